// Package udp moves datagrams in batches: sockets, bound as a node or repeater
// needs them, and recvmmsg(2) and sendmmsg(2). It knows nothing of what is in them.
//
// [Sockets] are what a node sends and receives by: what is sent gathers in memory of
// theirs until Flush. A [Batch] is one direction of up to [BatchLen] datagrams a
// call. Both belong to one goroutine.
package udp

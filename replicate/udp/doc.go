// Package udp moves datagrams in batches: sockets, bound as a node or repeater needs them, and
// recvmmsg(2) and sendmmsg(2). It does not interpret their contents.
//
// [Sockets] are a node's sockets: outgoing datagrams gather in their memory until Flush. A [Batch]
// is one direction of up to [BatchLen] datagrams a call. Both belong to one goroutine.
package udp

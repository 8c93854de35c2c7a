// Package replicate keeps the session memories of a fleet's nodes in step, and asks other nodes for
// sessions that are missing here.
//
// # Parts
//
//	loops -> Ring -> Poller -> Node -> wire, udp -> peers, and back
//
// A loop pushes an update on the [Ring]: lock-free and without allocation; if it is full, the
// update is dropped and counted. One goroutine, the [Poller], owns the sockets, drains the ring and
// drives the [Node], which is the protocol as a value: datagrams and time in, datagrams out, no
// socket and no clock, so that tests run dozens of them over a simulated network. Package wire has
// the bytes, udp the sockets, repeater the gateway for nodes that know only its address.
//
// # Authentication
//
// A datagram from an unknown sender gets only a retry, which is shorter. Introductions
// (introduce.go) prove that a node has the cluster secret, lives now, and receives what is sent to
// its address. Answers to a peer go to an address it has proved, wherever the question came from.
// Datagrams from configured addresses that cannot be opened are reported in the log and in
// statistics (contact.go).
//
// # Contents
//
// The stream to all carries sessions in mode push, and deletes in every mode; in mode homes each
// session goes to two nodes (home.go). Records carry a session's age and remaining life, both
// computed when a datagram is sealed. The outbox keeps only keys: repeated batches and the parts of
// snapshots are made from what the [Memory] returns at that moment. So expired, spent and forgotten
// sessions are never sent.
//
// Rules to forget (forget.go) and members (member.go) are sets on which all nodes come to agree:
// heartbeats carry digests.
//
// # Losses
//
// A receiver sees gaps in a sender's batch numbers (heartbeats carry the newest) and asks for them
// again; the sender keeps a bounded window. Older sessions are found by asking on a miss.
package replicate

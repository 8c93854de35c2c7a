// Package replicate keeps the session memories of a fleet's nodes in step, and asks
// other nodes for what is missing here.
//
// # Parts
//
//	loops -> Ring -> Poller -> Node -> wire, udp -> peers, and back
//
// A loop pushes an update on the [Ring]: lock-free, without allocation, and when
// it is full the update is dropped and counted. One goroutine, the [Poller],
// owns the sockets, drains the ring and drives the [Node], which is the protocol
// as a value: datagrams and time in, datagrams out, no socket and no clock, so
// that tests run dozens of them over a simulated network. Package wire has the bytes,
// udp the sockets, repeater the gateway for nodes that know nothing but its address.
//
// # Who is believed
//
// A datagram of a sender that is not known draws a retry, which is shorter, and nothing
// else. Introductions (introduce.go) prove that a node has the cluster secret, lives
// now, and receives what is sent to its address. Peers get what they ask for where they
// have proved to be, wherever the question came from. What configured addresses say
// that cannot be opened is told in the log and in statistics (contact.go).
//
// # What travels
//
// The stream to all carries sessions in mode push, and always deletes; in mode homes
// each session goes to two nodes (home.go). Records carry a session's age and what it has
// left, both computed when a datagram is sealed. The outbox keeps keys only: batches that
// are asked for again, and the parts of snapshots, are made of what the [Memory] gives at
// that moment. So nothing that has expired, was spent or is to be forgotten is sent.
//
// Rules to forget (forget.go) and members (member.go) are sets that all nodes come to
// agree on: heartbeats carry digests.
//
// # What may be lost, and what then
//
// A receiver sees gaps in a sender's batch numbers (heartbeats carry the newest)
// and asks for them again; the sender keeps a bounded window. What is older is
// found by asking on a miss.
package replicate

// Package replicate keeps the session memories of a fleet's nodes in step by
// sealed UDP datagrams, and asks other nodes for what is missing here.
//
// # Parts
//
//	loops -> Ring -> Poller -> Node -> sealed datagrams -> peers, and back
//
// A loop pushes an update on the [Ring]: lock-free, without allocation, and when
// it is full the update is dropped and counted. One goroutine, the [Poller],
// owns the sockets, drains the ring and drives the [Node], which is the protocol
// as a value: datagrams and time in, datagrams out, no socket and no clock, so
// that tests run dozens of them over a simulated network.
//
// # Datagrams
//
// All integers are big endian.
//
//	offset  length  field
//	     0       1  version, 1
//	     1       1  id of the cluster secret
//	     2      16  sender: random for each life of a node; the first four
//	                bytes are its short id, which its handles carry as owner
//	    18       8  counter, which never repeats in the sender's life
//	    26       n  messages, encrypted
//	  26+n      16  tag
//
// Sealed with AES-256-GCM. The key is HKDF-SHA-256(cluster secret, info
// "reprise datagram v1" and the sender), the nonce four zero bytes and the
// counter, the additional data bytes 0 to 25. A datagram whose counter is not new
// within a sliding window (RFC 6479) is dropped. Counters begin with 1 and go on when
// the secret is exchanged. The secret's id is HKDF-SHA-256(cluster secret, info
// "reprise datagram key id v1"), one byte.
//
// A recording from a sender that lived before the receiver did would open too. So
// what an unknown sender says is not believed before it has answered a challenge
// with a random nonce: nothing depends on clocks.
//
// # Messages
//
// A datagram's plaintext is messages back to back:
//
//	offset  length  field
//	     0       1  type
//	     1       2  length of the body
//	     3       n  body
//
// A body that is too short for its type makes the whole datagram malformed; bytes
// behind what is listed here, unknown types and records of unknown kinds are
// skipped, so that later versions may add some. "to" is the short id of the node that is meant: a
// datagram may pass by others (multicast, repeater), which skip the message.
//
//	type  name              body
//	   1  batch             seq 8, time of making in us 8, then records
//	   2  heartbeat         newest seq 8, oldest seq still to be had 8, time of sending in us 8
//	   3  echo              to 4, the heartbeat's time 8, us it was held 4
//	   4  challenge         to 4, nonce 16
//	   5  response          to 4, nonce 16
//	   6  repair            to 4, then ranges of missing batches: first seq 8, count 2
//	   7  ask               to 4, question 8, key 16
//	   8  answer            to 4, question 8, then one record, or none if there is no such session
//	   9  snapshot request  to 4, cursor 8, then the parts wanted: 2 each; none means all
//	  10  snapshot part     to 4, cursor 8, next cursor 8, part 2, parts 2, then records
//	  11  forget            id 8, what 1 (0 all, 1 server name, 2 context), hash 8
//	  12  forgotten         to 4, id 8, sessions dropped 4
//
// Records:
//
//	offset  length  field
//	     0       1  kind: 1 session, 2 delete
//	     1      16  key
//	    17       4  lifetime left in ms, rounded down
//	    21       2  length of the value, at most 16384
//	    23       n  value: a session's state; empty for a delete
//
// Times travel as what is left or as the sender's own clock given back to it, so
// clock skew between nodes costs nothing. Batches are numbered from 1. A batch
// keeps to the datagram size asked for (1200 bytes), unless a single session is
// larger.
//
// # What may be lost, and what then
//
// A receiver sees gaps in a sender's batch numbers (heartbeats carry the newest)
// and asks for them again; the sender keeps a bounded window. What is older is
// found by asking on a miss.
package replicate

// Package wire is the encoding of the messages between nodes: headers and their check,
// introductions, sealing, messages. It uses no sockets, and no clock but the readings it is given.
// docs/WIRE.md describes the same with an example, and the sequence of events.
//
// All integers are big endian.
//
// # Datagrams
//
//	offset  length  field
//	     0       1  version, 2
//	     1       1  kind: 1 sealed, 2 retry, 3 hello, 4 welcome, 5 proof
//	     2       1  id of the cluster secret
//	     3       1  sealed: low byte of the key's epoch; retry: the kind that it answers
//	     4       4  sender: the first four bytes of its id
//	     8       8  counter
//	    16       4  check of the header: AES-128(check key, bytes 0 to 15), its first bytes
//	    20       4  check of header and body, see [Checker]
//
//	sealed:   random 16, encrypted (time of sealing 4, messages), tag 16
//	retry:    to 4, cookie 16
//	hello:    to 4, cookie 16, Noise message 1: 48
//	welcome:  to 4, Noise message 2: 32 + introduction + 16
//	proof:    to 4, Noise transport message: introduction + 16
//
// A sealed datagram is XChaCha20-Poly1305 under the key of the sender's epoch, with the random
// bytes and the counter as nonce and bytes 0 to 15 as additional data. The keys of epochs follow
// from each other one way ([Chain]): a key does not reveal earlier ones. A [Sender] seals once for
// all receivers of a datagram; an [Opener] is a receiver's view of one sender, with its window of
// counters (RFC 6479) and a bound on how long a datagram was under way.
//
// Introductions are Noise_NNpsk0_25519_ChaChaPoly_SHA256; see introduction.go. secret.go says how
// the cluster secret is used: it authenticates, and encrypts nothing that lasts.
//
// # Messages
//
//	offset  length  field
//	     0       1  type
//	     1       2  length of the body
//	     3       4  to: the short id of the node it is for, or 0 for all
//	     7       n  the rest of the body
//
//	type  name              behind to
//	   1  batch             stream 1, seq 8, us waited 4, records
//	   2  heartbeat         newest seq 8, oldest 8, us sent 8, rules digest 8, members digest 4
//	   3  echo              the heartbeat's time 8, us held 4, stream 1, newest seq 8, oldest 8
//	   4  repair            stream 1, ranges: first seq 8, count 2
//	   5  ask               question 8, flags 1, key 16
//	   6  answer            question 8, flags 1, verdict 1, one record or none
//	   7  release           question 8, key 16
//	   8  snapshot request  stream 1, cursor 8, parts 2 each
//	   9  snapshot part     cursor 8, next cursor 8, part 2, parts 2, records
//	  10  rules             id 16, what 1, hash 8, age ms 4, left ms 4, each
//	  11  obeyed            id 16, sessions dropped 4
//	  12  members           short id 4, address 16, port 2, state 1, ms left 4, instance 16, each
//	  13  leave
//	  14  status request
//	  15  status            text, at most 1024
//
//	record  kind 1, key 16, age ms 4, left ms 4, length 2, value
//
// A body that is too short for its type makes the whole datagram malformed; bytes behind the listed
// ones, unknown types and records of unknown kinds are skipped.
package wire

// Package repeater is a gateway between nodes that know only its address, and a node's side of
// subscribing there.
//
// # Subscribing
//
// A [Repeater] forwards the sealed datagrams of its subscribers to each other. A subscriber proves
// that it has the repeater key and receives what is sent to its address: otherwise an attacker with
// a recording could have a fleet's datagrams sent to any address.
//
//	node                          repeater
//	subscribe, no cookie      ->
//	                          <-  challenge, a cookie
//	subscribe, that cookie    ->
//	                          <-  accepted, the next cookie
//	  ... a fifth of the lifetime later ...
//	subscribe, next cookie    ->
//	                          <-  accepted, the next cookie
//
// All four are control datagrams of one form and one length, so that no answer
// is larger than what it answers. All integers are big endian.
//
//	offset  length  field
//	     0       1  0xf1, where a sealed datagram has its version
//	     1       1  type: 1 subscribe, 2 challenge, 3 accepted
//	     2      16  nonce: random for each subscribe, and repeated in its answer
//	    18      16  cookie, or zeros
//	    34       4  accepted: lifetime of the subscription in ms; else 0
//	    38      16  tag
//
// The tag is HMAC-SHA-256(repeater key, bytes 0 to 37), the cookie HMAC-SHA-256(key that the
// repeater made at its start, IPv6 or IPv4-mapped address 16, port 2, epoch 8), both cut to 16
// bytes. An epoch is as long as a subscription's lifetime; cookies of this one and the one before
// are valid. So a repeater keeps no state about an unproved address, and a subscribe that is
// recorded and sent again keeps its own address subscribed for three lifetimes at most, and another
// address not at all.
//
// After a restart a repeater has no subscribers and accepts no old cookie: the next renewal is
// challenged, and the node is subscribed again one round trip later.
//
// A node subscribes at each unicast peer, since repeaters look like any other peer. Peers that are
// nodes do not answer, and are asked less and less often.
//
// # Forwarding
//
// A subscriber's datagram is forwarded to all others if its header passes the fleet's check, for
// which the repeater key is enough, and if it is new: a sealed one by its counter, as at a receiver
// (RFC 6479), one of an introduction by its sender's budget. The repeater cannot read sealed
// contents.
package repeater

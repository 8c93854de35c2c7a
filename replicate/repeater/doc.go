// Package repeater is a gateway between nodes that know nothing but its address,
// and a node's side of being subscribed there.
//
// # Subscribing
//
// A [Repeater] forwards the sealed datagrams of its subscribers to each other.
// Who subscribes shows that it has the repeater key, and that it receives what
// is sent to its address: else somebody with a recording could have a fleet's
// datagrams sent to anybody.
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
// The tag is HMAC-SHA-256(repeater key, bytes 0 to 37), the cookie
// HMAC-SHA-256(key that the repeater made at its start, IPv6 or IPv4-mapped
// address 16, port 2, epoch 8), both cut to 16 bytes. An epoch is as long as a
// subscription's lifetime; cookies of this one and the one before are good. So a
// repeater remembers nothing about an address that is not proven, and a
// subscribe that is recorded and sent again keeps its own address subscribed for
// three lifetimes at most, and any other not at all.
//
// After a restart a repeater knows nobody and takes no old cookie: the next
// renewal is challenged, and the node is subscribed again one round trip later.
//
// A node subscribes at each unicast peer, since repeaters look like any other.
// Peers that are nodes do not answer, and are asked less and less often.
//
// # Forwarding
//
// A datagram of a subscriber goes to all the others if its header passes the check of
// the fleet, for which the repeater key is enough, and if it is new: a sealed one by
// its counter, as for a receiver (RFC 6479), one of an introduction by a budget of its
// sender. The repeater reads nothing of what is sealed.
package repeater

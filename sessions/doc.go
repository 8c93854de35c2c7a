// Package sessions is the policy of a node's session memory: what is kept, how
// old it may become, what has been forgotten, and which handshake may use what.
// The bytes lie in package cache, other nodes are reached through a [Fleet],
// stores beyond them through a [Store], and TLS asks by tlsconn.Sessions.
//
// # One gate
//
// A session comes from a handshake here, from a peer (a push, a repair, a
// snapshot, an answer) or from a store. Whichever it is, it passes admit, which
// knows its birth, its end and the rules in force, before it is kept and again
// each time it is given away. Nothing else decides about age or forgetting.
//
// # Age
//
// A session is born with the full handshake it goes back to; what renews or moves
// it changes nothing about that. In here birth and end are instants of this
// node's clock, which never goes back and counts the time that the machine was
// asleep. At the borders they are durations, age and what is left, computed when
// they are handed out. What comes in is clipped: it ends one session lifetime
// after its birth at the latest, and to keep it again never makes it younger.
//
// # Forgetting
//
// A [Rule] refuses sessions that were born before it was given. It stays in force
// as long as any session can live that it is about, at each node and in each
// store, so that no late copy brings one back. Rules are few; when there are more
// than [maxRules], the oldest two become one that covers both.
//
// # Once
//
// A single-use session is held by one handshake and spent by compare-and-delete.
// Its owner, the node that made it, decides for the whole fleet as long as it is in
// contact, and after that one of those that are: hold and spend happen there. A hold that a
// node gives to a handshake of its own has an even number, one that it gives to a
// peer an odd one.
//
// # Concurrency
//
// All methods of [Memory] may be called by any goroutine, and none but Close of
// what it was given blocks for longer than a lock on a cache stripe.
package sessions

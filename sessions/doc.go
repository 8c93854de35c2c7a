// Package sessions is the policy of a node's session memory: which sessions are kept, how old they
// may become, which are forgotten, and which handshake may use which. Package cache stores the
// bytes, a [Fleet] reaches other nodes, a [Store] reaches memories beyond them, and TLS uses it as
// tlsconn.Sessions.
//
// # One gate
//
// A session comes from a handshake here, from a peer (a push, a repair, a snapshot, an answer) or
// from a store. In each case it passes admit, which knows its birth, its end and the rules in
// force, before it is kept and again each time it is given away. Nothing else decides about age or
// forgetting.
//
// # Age
//
// A session is born in its full handshake; renewing or moving it does not change that. Within this
// package birth and end are instants of this node's clock, which never goes back and counts the
// time that the machine was asleep. At the borders they are durations, age and remaining life,
// computed when they are handed out. Incoming values are limited: a session ends at the latest one
// lifetime after its birth, and keeping it again never makes it younger.
//
// # Forgetting
//
// A [Rule] refuses sessions that were born before it was given. It stays in force as long as a
// session that it covers can live, at each node and in each store, so that a late copy cannot bring
// one back. Rules are few; above [maxRules], the oldest two become one that covers both.
//
// # Once
//
// A single-use session is held by one handshake and spent by compare-and-delete. Its owner, the
// node that made it, decides for the whole fleet while it is in contact, and after that one of
// those in contact: hold and spend happen there. A node's hold for its own handshake has an even
// number, one for a peer's an odd number.
//
// # Concurrency
//
// All methods of [Memory] may be called by any goroutine, and except for Close of its parts none
// blocks for longer than a lock on a cache stripe.
package sessions

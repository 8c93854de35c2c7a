// Package backend decides which server a connection goes to, and knows whether that server is
// healthy and what its addresses are.
//
// # Choosing a pool
//
// A [Router] finds the [Pool] of a connection or request: by rules on the server name of its TLS
// handshake, its Host and its path; then by the host that a pool has subscribed to; else the
// default. It takes no lock, allocates nothing, and is shared by all loops.
//
// # Picking
//
// A [Pool] consists of [Node]s and is shared by all loops. Each loop has a [Cursor] for it, asks
// [Pool.Pick] for a node, connects to its [Node.Endpoint] (or Path), calls [Node.Connected] or
// [Node.Failed], and calls [Node.Release] when the connection has ended for whatever reason.
// Picking takes no lock and allocates nothing: a loop's own state is in its cursor, the shared
// state of a node is a few atomic words.
//
// The [Balance] chooses among the nodes that are usable and have room. A node is usable unless
//
//   - it failed less than Options.Grace ago. After that one connection tries it, and if that
//     fails, it is left alone for another Grace;
//   - active checks found it down ([Pool.StartChecks]);
//   - an operator drains it ([Node.SetDraining]);
//   - its DNS name has no address yet ([Pool.Resolve], [Pool.StartResolving]).
//
// Backups are used when no other node is usable. When none is usable at all, the nodes whose only
// fault is a failure are probed in turn, so a pool recovers by itself as soon as one of them does.
// With a slow start, a node that comes back begins with a tenth of its weight.
//
// The members of a pool made for it change at run time ([Pool.Add], [Pool.Remove]): the list is
// replaced as a whole, and each Pick works with the list it found.
//
// # Room
//
// A node with MaxConns never has more connections than that, over all loops. When all usable nodes
// are full, Pick answers [Full], and a flow that may wait is counted by [Pool.Enqueue]:
//
//	Pick -> Full -> Enqueue -> true: keep the flow, Pick again whenever OnRoom's function is called,
//	             |                   Dequeue once it was served or has given up
//	             +> false: the queue is full; refuse
//
// The pool counts the waiting flows; the loops know which flows wait and in which order they are
// served. A new connection may overtake those that wait.
//
// # Goroutines
//
// Checks and look-ups run on goroutines of their own, one for each node, never on a loop. Each is
// stopped by the function that starting it returned.
package backend

// Package backend is what stands behind the terminator: which server a
// connection goes to, whether that server is well, and where it is.
//
// # Choosing a pool
//
// A [Router] finds the [Pool] of a connection or request: by the server name of its TLS
// handshake, its Host and its path, as rules say; by the host that a pool has subscribed to;
// else the default. It takes no lock, allocates nothing, and is shared by all loops.
//
// # Picking
//
// A [Pool] is made of [Node]s and shared by all loops. Each loop has a [Cursor] for it, asks
// [Pool.Pick] for a node, connects to its [Node.Endpoint] (or Path), tells it [Node.Connected] or
// [Node.Failed], and calls [Node.Release] when the connection has ended, however it did. Picking
// takes no lock and allocates nothing: what a loop knows is in its cursor, what all know of a node
// is a few atomic words.
//
// Among the nodes that are usable and have room the [Balance] chooses. A node is
// usable unless
//
//   - it failed less than Options.Grace ago. After that one connection tries it, and if
//     that fails, it is left alone for another Grace;
//   - active checks found it down ([Pool.StartChecks]);
//   - an operator drains it ([Node.SetDraining]);
//   - its DNS name has no address yet ([Pool.Resolve], [Pool.StartResolving]).
//
// Backups are asked when no other node is usable. When there is none at all, those that only
// failed are probed in turn, so that a pool recovers by itself as soon as one does.
// A node that comes back starts with a tenth of its weight if there is a slow start.
//
// Members of a pool that is made for it change at run time ([Pool.Add], [Pool.Remove]): the list is
// replaced as a whole, and each Pick works with the one that it found.
//
// # Room
//
// A node with MaxConns never has more connections than that, over all loops. When all usable nodes
// have as many, Pick answers [Full], and whoever may wait counts itself with [Pool.Enqueue]:
//
//	Pick -> Full -> Enqueue -> true: keep the flow, Pick again whenever OnRoom's function is called,
//	             |                   Dequeue once it was served or has given up
//	             +> false: the queue is full; refuse
//
// The pool counts who waits; who that is and in which order they are served, the
// loops know. A connection that comes while others wait may be faster than they are.
//
// # Goroutines
//
// Checks and look-ups run on goroutines of their own, one for each node, never on a
// loop. Both are stopped by the function that starting them returned.
package backend

// Package backend is what stands behind the terminator: which server a
// connection goes to, and whether that server is well.
//
// A [Pool] is shared by all loops. Picking takes no lock: each loop walks the
// nodes by a [Cursor] of its own, and a node's health is a few atomic words.
package backend

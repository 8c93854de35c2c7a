// Package sim runs fleets of real session memories (package sessions over package
// cache) and the real protocol (replicate.Node) in one goroutine, on a network and
// a clock of its own, and holds what handshakes get against what was promised:
//
//   - no session resumes after birth + lifetime;
//   - none that was born before a forget resumes after that was acknowledged;
//   - a single-use session is used once while nodes are in contact.
//
// What is excused is in promise_test.go: a node that cannot have heard yet, or was
// named as silent, until it has had time to; two copies of one machine, which go by
// one name, as long as both run.
//
// Nodes are paused, cut off, killed, restarted, restored from snapshots and forked;
// datagrams are lost, repeated, delayed past others and held back for seconds. Each
// seed is another story:
//
//	go test ./sessions/sim -seeds 10000        as many stories
//	go test ./sessions/sim -seed 1234 -v       one, told
//
// A story is the same each time it is told: nodes walk their maps in order where it
// matters (replicate), and have their randomness from the seed.
package sim

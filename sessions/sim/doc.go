// Package sim runs fleets of real session memories (package sessions over package cache) and the
// real protocol (replicate.Node) in one goroutine, with a simulated network and clock, and compares
// the results of handshakes with the promises:
//
//   - no session resumes after birth + lifetime;
//   - no session born before a forget resumes after that was acknowledged;
//   - a single-use session is used once while nodes are in contact.
//
// promise_test.go says what is excused: a node that cannot have received the rule yet, or was named
// as silent, until it has had time to; two copies of one machine, which use one name, as long as
// both run.
//
// Nodes are paused, cut off, killed, restarted, restored from snapshots and forked; datagrams are
// lost, duplicated, reordered and held back for seconds. Each seed is another scenario:
//
//	go test ./sessions/sim -seeds 10000        as many scenarios
//	go test ./sessions/sim -seed 1234 -v       one, with its log
//
// A scenario is the same in each run: nodes walk their maps in order where it matters (replicate),
// and take their randomness from the seed.
package sim

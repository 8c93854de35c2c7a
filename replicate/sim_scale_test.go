package replicate

import (
	"testing"
	"time"
)

// runUntil lets time pass until cond holds and returns how much that was, in
// steps of a millisecond. It fails the test after limit.
func (s *sim) runUntil(limit time.Duration, cond func() bool) time.Duration {
	s.t.Helper()
	began := s.now
	for !cond() {
		if s.now-began >= limit {
			s.t.Fatalf("not reached within %v", limit)
		}
		s.run(time.Millisecond)
	}
	return s.now - began
}

// introduced reports whether every live node believes every other.
func (s *sim) introduced() bool {
	for _, n := range s.live {
		believed := 0
		for _, p := range n.known {
			if n.alive(p) {
				believed++
			}
		}
		if !n.down && believed < len(s.live)-1 {
			return false
		}
	}
	return true
}

// have reports whether every live node has at least that many sessions.
func (s *sim) have(sessions int) bool {
	for _, n := range s.live {
		if !n.down && len(n.memory.sessions) < sessions {
			return false
		}
	}
	return true
}

// What fleets of different sizes cost, in datagrams and bytes that one node
// sends, on networks of different quality. SCALING.md quotes the table.
func TestScale(t *testing.T) {
	t.Logf("%5s %5s %6s %12s %12s %22s %22s %22s", "nodes", "loss", "rate/s", "introduced", "converged", "idle: dgrams/s B/s", "paced: dgrams,B/session", "burst: dgrams,B/session")
	sizes := []int{3, 16, 64}
	if raceEnabled {
		sizes = sizes[:2] // the third takes minutes, in one goroutine
	}
	for _, nodes := range sizes {
		for _, loss := range []float64{0, 0.05, 0.2} {
			scale(t, nodes, loss)
		}
	}
}

func scale(t *testing.T, nodes int, loss float64) {
	s := newSim(t, nodes)
	s.loss = loss
	introduced := s.runUntil(20*time.Second, s.introduced)
	s.run(3 * time.Second)
	// cost runs f and returns what each node sent to each of its peers.
	cost := func(f func()) (datagrams, bytes float64) {
		s.datagrams, s.bytes = 0, 0
		f()
		return float64(s.datagrams) / float64(nodes), float64(s.bytes) / float64(nodes)
	}
	idleD, idleB := cost(func() { s.run(10 * time.Second) })

	value := string(make([]byte, len(benchSession.Value)))
	made := 0
	publish := func(n *simNode) {
		n.memory.Put(simKey(made), []byte(value), 0, time.Minute, false)
		n.Publish(n.clock(), &Update{
			Kind: UpdateSession, Key: simKey(made), Left: time.Minute,
			Value: []byte(value), Made: n.clock(),
		})
		made++
	}
	// Each node makes a session every 20 ms, in turn.
	pacedSessions := 20 * nodes
	pacedD, pacedB := cost(func() {
		for range pacedSessions {
			n := s.nodes[made%nodes]
			publish(n)
			n.Flush(n.clock())
			n.tick()
			s.run(20 * time.Millisecond / time.Duration(nodes))
		}
		s.run(400 * time.Millisecond)
	})
	if !s.have(made) {
		s.runUntil(10*time.Second, func() bool { return s.have(made) })
	}
	// One node makes 20 in each millisecond.
	const burst = 1000
	var converged time.Duration
	burstD, burstB := cost(func() {
		for i := range burst {
			publish(s.nodes[0])
			if i%20 == 19 {
				s.nodes[0].Flush(s.nodes[0].clock())
				s.nodes[0].tick()
				s.run(time.Millisecond)
			}
		}
		converged = s.runUntil(10*time.Second, func() bool { return s.have(made) })
	})
	// The peers' share of what all sent, per session and peer.
	perPaced, perBurst := float64(pacedSessions)/float64(nodes)*float64(nodes-1),
		float64(burst)/float64(nodes)*float64(nodes-1)
	t.Logf("%5d %4.0f%% %6d %12v %12v %12.1f %9.0f %12.2f %9.0f %12.2f %9.0f", nodes, loss*100, 50, introduced, converged,
		idleD/10, idleB/10, pacedD/perPaced, pacedB/perPaced, burstD/perBurst, burstB/perBurst)
}

package replicate

import (
	"testing"
	"time"
)

// Copies of forgotten sessions that are under way, or come by repair, snapshot or
// answer, do not come back; what is made afterwards does.
func TestForgetAgainstCopiesUnderWay(t *testing.T) {
	s := newSim(t, 4)
	s.runUntil(5*time.Second, s.introduced)
	s.loss, s.dup = 0.2, 0.2
	a := s.nodes[0]
	for i := range 400 {
		s.nodes[i%4].publish(simKey(i), "old session")
	}
	var result *Forgetting
	a.Forget(a.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	a.tick()
	s.run(2 * time.Second)
	if result == nil || len(result.Silent) != 0 || len(result.Dropped) != 3 {
		t.Fatalf("result %+v, want three nodes that obeyed", result)
	}
	for i := range 100 {
		s.nodes[i%4].publish(simKey(1000+i), "new session")
	}
	s.run(2 * time.Second)
	for i, n := range s.nodes {
		if got := len(n.memory.sessions); got != 100 {
			t.Errorf("node %d has %d sessions, want the 100 new ones", i, got)
		}
		if got, ok := n.ask(simKey(3), s.nodes[3].o.ID.Short(), 6*time.Millisecond); ok {
			t.Errorf("node %d got a forgotten session: %q", i, got)
		}
	}
}

// The secret is exchanged while datagrams are lost, repeated and reordered.
func TestRotationUnderLoss(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	s.loss, s.dup = 0.2, 0.2
	old, fresh := s.nodes[0].o.Secrets[0], testSecret(t, "the secret that comes next")
	made := 0
	for _, secrets := range [][]Secret{{old, fresh}, {fresh, old}, {fresh}} {
		for _, n := range s.nodes {
			n.Rekey(n.clock(), secrets)
			for range 200 {
				s.nodes[made%3].publish(simKey(made), "session")
				s.run(time.Millisecond)
				made++
			}
		}
		s.run(100 * time.Millisecond) // before the old secret goes, what is under way arrives
	}
	s.runUntil(2*time.Second, func() bool { return s.have(made) })
	for i, n := range s.nodes {
		for _, p := range n.known {
			if lost := p.counts.Lost.Load(); lost != 0 {
				t.Errorf("node %d gave up %d batches", i, lost)
			}
		}
	}
}

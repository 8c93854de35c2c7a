package replicate

import (
	"testing"
	"time"

	"reprise/replicate/wire"
)

// Machines that were installed as copies of each other name themselves alike. That one
// of them is introduced anew does not mean that the other one has ended.
func TestForgetWaitsForCopies(t *testing.T) {
	same := func(o *Options) { o.Instance = Instance{1} }
	s := newSim(t, 1)
	a := s.nodes[0]
	b, c := s.add(same), s.add(same)
	s.run(3 * time.Second)
	a.publish(simKey(1), "session")
	s.run(100 * time.Millisecond)
	s.cut = func(from, to *simNode) bool { return from == b || to == b }
	c.seal(c.heartbeat(wire.Everybody).Append(c.begin()))
	h, _ := wire.ParseHeader(c.sealed)
	a.retry(c.addr, h, &a.secrets[0])
	s.run(6500 * time.Millisecond) // b is not heard any more
	var f *Forgetting
	a.Forget(a.clock(), ForgetAll, 0, func(r Forgetting) { f = &r })
	a.tick()
	s.run(4 * time.Second)
	if _, has := b.memory.sessions[simKey(1)]; !has {
		t.Fatal("b never had the session, or was told")
	}
	if f == nil || len(f.Silent) == 0 {
		t.Errorf("b has the session and was not told, and nobody is named: %+v", f)
	}
}

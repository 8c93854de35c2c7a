package replicate

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Somebody delays all that a node sends, from the beginning, by less than its
// peer repeats a hello.
func TestDelayedWelcomeMakesNothingYounger(t *testing.T) {
	s := newSim(t, 1)
	s.unlisted = true
	a := s.nodes[0]
	b := s.add(nil)
	s.delay = 100 * time.Microsecond
	const by = 141 * time.Millisecond
	a.out = transportFunc(func(to netip.AddrPort, d []byte) {
		d = slices.Clone(d)
		s.at(s.now+by, func() { a.Send(to, d) })
	})
	b.SetPeers(b.clock(), []netip.AddrPort{a.addr}, nil)
	b.tick()
	s.run(3 * time.Second)
	p := b.peers[a.o.ID]
	if p == nil || !p.introduced {
		t.Fatal("not introduced")
	}
	wantForgotten(t, s, a, b, 2*time.Second)
}

// Nobody attacks, and hellos are repeated before they are answered: two continents.
func TestFarNodesForget(t *testing.T) {
	s := newSim(t, 1)
	s.unlisted = true
	a := s.nodes[0]
	b := s.add(nil)
	s.delay = 10 * time.Microsecond
	for _, n := range []*simNode{a, b} {
		n.out = transportFunc(func(to netip.AddrPort, d []byte) {
			d = slices.Clone(d)
			s.at(s.now+72*time.Millisecond, func() { n.Send(to, d) })
		})
	}
	b.SetPeers(b.clock(), []netip.AddrPort{a.addr}, nil)
	b.tick()
	s.run(5 * time.Second)
	wantForgotten(t, s, a, b, 3*time.Second)
}

// wantForgotten has a make a session, b forget all while it is on its way, and looks at b
// when the command has had its time.
func wantForgotten(t *testing.T, s *sim, a, b *simNode, patience time.Duration) {
	t.Helper()
	made := s.now
	a.publish(simKey(1), "session")
	s.run(50 * time.Millisecond)
	var f *Forgetting
	b.Forget(b.clock(), ForgetAll, 0, func(r Forgetting) { f = &r })
	b.tick()
	s.run(patience)
	if f == nil || len(f.Silent) > 0 {
		t.Fatalf("%+v", f)
	}
	if m, ok := b.memory.sessions[simKey(1)]; ok {
		t.Errorf("forgotten, acknowledged by all, and there: %v younger than it is", m.born-b.skew-made)
	}
}

type transportFunc func(to netip.AddrPort, d []byte)

func (f transportFunc) Send(to netip.AddrPort, d []byte) { f(to, d) }
func (f transportFunc) SendAll(to []netip.AddrPort, d []byte) {
	for _, a := range to {
		f(a, d)
	}
}

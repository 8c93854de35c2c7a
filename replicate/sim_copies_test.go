package replicate

import (
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// forget gives the command at n and returns what has become of it.
func (n *simNode) forget(t *testing.T) (result Forgetting) {
	t.Helper()
	done := false
	n.Forget(n.clock(), ForgetAll, 0, func(f Forgetting) { result, done = f, true })
	n.tick()
	n.sim.run(forgetFor + time.Second)
	if !done {
		t.Fatal("the command has not ended")
	}
	return result
}

// Machines that were installed as copies of each other name themselves alike. That one
// of them is introduced anew does not mean that the other one has ended.
func TestForgetWaitsForCopies(t *testing.T) {
	same := func(o *Options) { o.Instance = Instance{1} }
	s := newSim(t, 1)
	a := s.nodes[0]
	told := 0
	a.Notice = func(m Notice) {
		if m.Kind == NoticeCopies {
			told++
		}
	}
	b, c := s.add(same), s.add(same)
	s.run(3 * time.Second)
	a.publish(simKey(1), "session")
	s.run(100 * time.Millisecond)
	s.cut = func(from, to *simNode) bool { return from == b || to == b }
	c.seal(c.heartbeat(wire.Everybody).Append(c.begin()))
	h, _ := wire.ParseHeader(c.sealed)
	a.retry(c.addr, h, &a.secrets[0])
	s.run(6500 * time.Millisecond) // b is not heard any more
	f := a.forget(t)
	if _, has := b.memory.sessions[simKey(1)]; !has {
		t.Fatal("b never had the session, or was told")
	}
	if !slices.Equal(f.Silent, []string{b.addr.String()}) {
		t.Errorf("b has the session and was not told; silent: %q", f.Silent)
	}
	if told != 1 {
		t.Errorf("that there are copies was told %d times, want once", told)
	}
}

// What an earlier life sent, and what arrives after the later one was introduced, does
// not make two nodes of one.
func TestLateDatagramsOfAnEarlierLife(t *testing.T) {
	s := newSim(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	s.run(3 * time.Second)
	var late [][]byte
	s.cut = func(from, _ *simNode) bool { return from == b }
	s.tap = func(d []byte) { late = append(late, slices.Clone(d)) }
	for range 10 {
		b.seal(b.heartbeat(wire.Everybody).Append(b.begin()))
		b.Send(a.addr, b.sealed)
		s.run(20 * time.Millisecond)
	}
	s.cut, s.tap = nil, nil
	fresh := s.restart(b)
	s.runUntil(time.Second, func() bool { p := a.peers[fresh.o.ID]; return p != nil && p.introduced })
	believed := a.peers[b.o.ID].counts.ReceivedDatagrams.Load()
	for _, d := range late {
		a.Receive(a.clock(), b.addr, d)
		a.tick()
		s.run(50 * time.Millisecond)
	}
	if a.peers[b.o.ID].counts.ReceivedDatagrams.Load() == believed {
		t.Fatal("none of them was believed: nothing was tested")
	}
	if len(a.copied) != 0 || !a.peers[b.o.ID].superseded || a.peers[fresh.o.ID].superseded {
		t.Error("the node counts as two, or its lives are confused")
	}
	s.run(a.o.DeadAfter + time.Second)
	if got := len(a.peers); got != 1 {
		t.Errorf("%d peers are known, want the one that lives", got)
	}
}

// The last word about a node that was killed and has started again is that it is there.
func TestSupersededLifeIsNotFinal(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	var notices []NoticeKind
	s.nodes[0].Notice = func(m Notice) { notices = append(notices, m.Kind) }
	s.restart(s.nodes[1])
	s.run(10 * time.Second)
	if !slices.Equal(notices, []NoticeKind{NoticeUp}) {
		t.Errorf("notices %v, want NoticeUp for the new life", notices)
	}
}

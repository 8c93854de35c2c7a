package replicate

import (
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A question may arrive once more after its hold was released. What is held by that is
// released too: no handshake has used the session.
func TestLateQuestionUsesNothingUp(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.publish(simKey(1), "session")
	s.run(10 * time.Millisecond)
	delete(b.memory.sessions, simKey(1))
	var hold uint64
	b.Ask(b.clock(), &Question{
		Key: simKey(1), Owner: a.id, Hold: true,
		Answer: func(r Reply) { hold = r.Hold },
	})
	var late []byte
	s.tap = func(d []byte) { late = slices.Clone(d) }
	s.cut = func(from, _ *simNode) bool { return from == b }
	for number, q := range b.questions.open {
		b.sendAsk(number, q, &q.targets[0])
	}
	s.cut, s.tap = nil, nil
	s.run(50 * time.Millisecond)
	if hold == 0 || late == nil {
		t.Fatal("the session was not held, or not asked for twice")
	}
	b.release(&Update{Kind: UpdateRelease, Key: simKey(1), Owner: a.id, Hold: hold})
	s.run(50 * time.Millisecond)
	if _, _, _, ok := a.memory.Find(nil, simKey(1)); !ok {
		t.Fatal("the session was not released")
	}
	a.Receive(a.clock(), b.addr, late)
	a.tick()
	s.run(3 * time.Second)
	if _, _, _, ok := a.memory.Find(nil, simKey(1)); !ok {
		t.Error("the session is gone though no handshake has used it")
	}
}

// A number is one question: another key under it neither gets a session nor makes the
// node lose sight of the first hold.
func TestKnownQuestionWithAnotherKey(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.publish(simKey(1), "session")
	a.publish(simKey(2), "session")
	p := a.peers[b.o.ID]
	var first, second wire.Answer
	a.holdFor(p, wire.Ask{Question: 7, Flags: wire.FlagHold, Key: simKey(1)}, &first)
	a.holdFor(p, wire.Ask{Question: 7, Flags: wire.FlagHold, Key: simKey(2)}, &second)
	if first.Verdict != Found || second.Verdict != Unknown {
		t.Fatalf("verdicts %v and %v, want found and unknown", first.Verdict, second.Verdict)
	}
	if _, _, _, ok := a.memory.Find(nil, simKey(1)); ok {
		t.Error("the first session is not held any more")
	}
	if _, _, _, ok := a.memory.Find(nil, simKey(2)); !ok {
		t.Error("the second session is held")
	}
	a.handleRelease(p, wire.Release{Question: 7, Key: simKey(1)})
	if _, _, _, ok := a.memory.Find(nil, simKey(1)); !ok {
		t.Error("the first session was not released")
	}
}

// A question that is repeated, because its answer is on its way, does not let the
// session go for a moment in which another handshake could have it.
func TestRepeatedQuestionKeepsTheHold(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.publish(simKey(1), "session")
	p := a.peers[b.o.ID]
	memory := &eagerMemory{mapMemory: a.memory, key: simKey(1)}
	a.Node.memory = memory
	for range 3 {
		var answer wire.Answer
		a.holdFor(p, wire.Ask{Question: 7, Flags: wire.FlagHold, Key: simKey(1)}, &answer)
		if answer.Verdict != Found || answer.Flags != wire.FlagHold {
			t.Errorf("answered %v", answer.Verdict)
		}
	}
	if memory.got != 0 {
		t.Errorf("a handshake at the owner got the session %d times while a peer held it", memory.got)
	}
	a.handleRelease(p, wire.Release{Question: 7, Key: simKey(1)})
	if memory.got != 1 {
		t.Error("no handshake got the session after its release")
	}
}

// An eagerMemory is one of whose loops always one wants a session: it is there
// whenever the memory has done something.
type eagerMemory struct {
	*mapMemory
	key Key
	got int
}

func (m *eagerMemory) Release(key Key, hold uint64) {
	m.mapMemory.Release(key, hold)
	if _, _, _, _, v := m.mapMemory.Hold(nil, m.key, 0); v == Found {
		m.got++
	}
}

// A release that is lost is repeated, whatever else is lost with it.
func TestLostReleaseUsesNothingUp(t *testing.T) {
	for _, lost := range []string{"release", "answer", "acknowledgement", "most of everything"} {
		t.Run(lost, func(t *testing.T) {
			s := newSim(t, 2)
			s.run(3 * time.Second)
			a, b := s.nodes[0], s.nodes[1]
			a.publish(simKey(1), "session")
			s.run(10 * time.Millisecond)
			var hold uint64
			b.Ask(b.clock(), &Question{
				Key: simKey(1), Owner: a.id, Hold: true,
				Answer: func(r Reply) { hold = r.Hold },
			})
			b.tick()
			cutFor := func(from *simNode, d time.Duration) {
				s.cut = func(f, _ *simNode) bool { return f == from }
				s.run(d)
				s.cut = nil
			}
			if lost == "answer" { // the question ends unanswered
				cutFor(a, 10*time.Millisecond)
			}
			s.run(10 * time.Millisecond)
			if (hold == 0) != (lost == "answer") {
				t.Fatalf("hold %d", hold)
			}
			if hold != 0 {
				b.Publish(b.clock(), &Update{Kind: UpdateRelease, Key: simKey(1), Owner: a.id, Hold: hold})
				b.tick()
			}
			switch lost {
			case "release":
				s.queue.Clear() // all that is under way
				b.tick()
				a.tick()
				cutFor(b, 500*time.Millisecond)
			case "acknowledgement":
				cutFor(a, 500*time.Millisecond)
			case "most of everything":
				s.loss = 0.8
			}
			s.run(3 * time.Second)
			if _, _, _, ok := a.memory.Find(nil, simKey(1)); !ok {
				t.Error("the session is gone though no handshake has used it")
			}
			if len(a.holds.given)+len(a.holds.byKey)+len(b.holds.releases) != 0 ||
				b.counts.Lookups.Unheard.Load() != 0 {
				t.Errorf("left behind: %d holds, %d by key, %d releases", len(a.holds.given), len(a.holds.byKey), len(b.holds.releases))
			}
		})
	}
}

// A release that is not received ends when what it is about has lapsed, and there is a
// bound on how many there are.
func TestReleasesEnd(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.down = true
	for i := range maxReleases + 10 {
		b.release(&Update{Kind: UpdateRelease, Key: simKey(i), Owner: a.id, Hold: uint64(i + 1)})
	}
	if got := len(b.holds.releases); got != maxReleases {
		t.Errorf("%d releases wait, want %d", got, maxReleases)
	}
	b.tick()
	s.run(b.o.HoldFor + time.Second)
	if got, unheard := len(b.holds.releases), b.counts.Lookups.Unheard.Load(); got != 0 ||
		unheard != maxReleases+10 {
		t.Errorf("%d releases still wait, %d were given up", got, unheard)
	}
}

// What was held for a peer and is spent takes no room any more, and does not lapse.
func TestSpentHoldsAreOver(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.publish(simKey(1), "session")
	a.holdFor(a.peers[b.o.ID], wire.Ask{Question: 7, Flags: wire.FlagHold, Key: simKey(1)},
		&wire.Answer{})
	b.Publish(b.clock(), &Update{
		Kind: UpdateDelete, Key: simKey(1), Left: time.Minute,
		Made: b.clock(),
	})
	b.Flush(b.clock())
	s.run(10 * time.Millisecond)
	if len(a.holds.given)+len(a.holds.byKey) != 0 {
		t.Error("the hold is still kept")
	}
	s.run(3 * time.Second)
	if got := a.counts.Lookups.HoldsLapsed.Load(); got != 0 {
		t.Errorf("%d holds lapsed of one that was spent", got)
	}
}

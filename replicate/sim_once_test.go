package replicate

import (
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A question may arrive once more after its hold was released. What is held by that is
// released too: nobody has used the session.
func TestLateQuestionUsesNothingUp(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	a.publish(simKey(1), "session")
	s.run(10 * time.Millisecond)
	delete(b.memory.sessions, simKey(1))
	var hold uint64
	b.Ask(b.clock(), &Question{Key: simKey(1), Owner: a.id, Hold: true, Answer: func(r Reply) { hold = r.Hold }})
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
		t.Error("the session is gone though nobody has used it")
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

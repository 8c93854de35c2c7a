package replicate

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A node that is killed and started again is introduced as a new node and gets
// everything back; no node asks its former life for anything.
func TestRestart(t *testing.T) {
	s := newSim(t, 4)
	s.runUntil(5*time.Second, s.introduced)
	s.loss = 0.05
	const sessions = 500
	for i := range sessions {
		s.nodes[i%4].publish(simKey(i), "session")
		s.run(time.Millisecond)
	}
	s.runUntil(2*time.Second, func() bool { return s.have(sessions) })
	old := s.nodes[1]
	fresh := s.restart(old)
	took := s.runUntil(3*time.Second, func() bool { return s.introduced() && s.have(sessions) })
	t.Logf("introduced and joined after %v", took)
	for i := range 100 {
		fresh.publish(simKey(sessions+i), "session of its second life")
	}
	s.runUntil(2*time.Second, func() bool { return s.have(sessions + 100) })
	// A handle made by its first life still names that as its owner.
	if got, ok := s.nodes[2].ask(simKey(1_000_000), old.o.ID.Short(), 6*time.Millisecond); ok {
		t.Errorf("got %q for a session of no node", got)
	}
	s.nodes[2].Forget(s.nodes[2].clock(), ForgetAll, 0, func(f Forgetting) {
		if len(f.Silent) > 1 {
			t.Errorf("%d nodes silent, want at most the dead one", len(f.Silent))
		}
	})
	s.run(s.nodes[2].o.KnownFor + 5*time.Second)
	if got := len(s.nodes[2].peers); got != 3 {
		t.Errorf("%d peers are remembered, want 3", got)
	}
}

// What was made on both sides of a partition is everywhere once it heals, if it
// is within the window.
func TestPartitionHeals(t *testing.T) {
	s := newSim(t, 6)
	s.runUntil(5*time.Second, s.introduced)
	side := func(n *simNode) bool { return slices.Index(s.nodes, n) < 3 }
	s.cut = func(from, to *simNode) bool { return side(from) != side(to) }
	const sessions = 600
	for i := range sessions {
		s.nodes[i%6].publish(simKey(i), "session")
		s.run(10 * time.Millisecond) // longer than a peer counts as alive
	}
	if s.introduced() {
		t.Fatal("a peer behind the partition still counts as alive")
	}
	s.cut = nil
	t.Logf("healed after %v", s.runUntil(3*time.Second, func() bool { return s.introduced() && s.have(sessions) }))
}

// Ten times more batches than the window holds are made while a peer is deaf. It
// gives up what is gone, gets the rest, and finds the others by asking.
func TestBurstBeyondTheWindow(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	s.run(3 * time.Second) // heartbeats: b knows where a's batches begin
	s.cut = func(*simNode, *simNode) bool { return true }
	const sessions = 10 * keptLen
	for i := range sessions {
		a.publish(simKey(i), "session")
		if i%1000 == 0 {
			s.run(time.Millisecond)
		}
	}
	s.cut = nil
	took := s.runUntil(20*time.Second, func() bool { return len(b.memory.sessions) >= keptLen })
	lost := b.peers[a.o.ID].counts.Lost.Load()
	if lost != sessions-keptLen {
		t.Errorf("%d batches were given up, want %d", lost, sessions-keptLen)
	}
	t.Logf("%d batches repaired after %v, %d given up", len(b.memory.sessions), took, lost)
	if got, ok := b.ask(simKey(7), a.o.ID.Short(), 5*time.Millisecond); !ok || got != "session" {
		t.Errorf("a session beyond the window: got %q, %v when asked for", got, ok)
	}
	a.publish(simKey(sessions), "session")
	s.run(10 * time.Millisecond)
	if _, _, _, ok := b.memory.Find(nil, simKey(sessions)); !ok {
		t.Error("what is made afterwards does not arrive")
	}
}

// How many questions are answered within five milliseconds. A miss costs a full
// handshake, so what is wanted is a share.
func TestAskUnderLoss(t *testing.T) {
	tests := []struct {
		mode Mode
		loss float64
		want float64 // share found
	}{
		{Pull, 0, 1},
		{Pull, 0.05, 0.995},
		{Pull, 0.2, 0.98},
		{Push, 0.2, 0.995},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("mode=%v/loss=%v", test.mode, test.loss), func(t *testing.T) {
			s := newSim(t, 0)
			for range 4 {
				s.add(func(o *Options) { o.Mode = test.mode })
			}
			s.runUntil(5*time.Second, s.introduced)
			s.run(3 * time.Second) // round-trip times
			s.loss = test.loss
			const sessions = 3000
			found := 0
			for i := range sessions {
				owner, other := s.nodes[i%4], s.nodes[(i+1+i/4%3)%4]
				owner.publish(simKey(i), "session")
				s.run(time.Millisecond) // the client comes back with its ticket
				if _, ok := other.ask(simKey(i), owner.o.ID.Short(), 5*time.Millisecond); ok {
					found++
				}
			}
			share := float64(found) / sessions
			t.Logf("%.2f %% found within 5 ms", share*100)
			if share < test.want {
				t.Errorf("share %v, want at least %v", share, test.want)
			}
			for _, n := range s.nodes {
				if len(n.questions.open) != 0 {
					t.Errorf("%d questions are still open", len(n.questions.open))
				}
			}
		})
	}
}

// Questions have a bound and an end; each is answered exactly once.
func TestQuestionsAreBounded(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	b.down = true
	answers := 0
	const asked = 3000
	for i := range asked {
		a.Ask(a.clock(), &Question{Key: simKey(i), Owner: b.o.ID.Short(), Answer: func(r Reply) {
			if answers++; r.Verdict == Found {
				t.Error("found at a dead node")
			}
		}})
	}
	if got := len(a.questions.open); got != a.o.MaxQuestions {
		t.Errorf("%d questions are open, want %d", got, a.o.MaxQuestions)
	}
	a.tick()
	s.run(a.o.LookupTimeout + time.Millisecond)
	if answers != asked || len(a.questions.open) != 0 {
		t.Errorf("%d answers of %d, %d questions open", answers, asked, len(a.questions.open))
	}
	l := &a.counts.Lookups
	if got := l.Unanswered.Load() + l.Refused.Load(); got != asked {
		t.Errorf("%d unanswered and %d refused, want %d together", l.Unanswered.Load(), l.Refused.Load(), asked)
	}
}

// A delete wins against copies of the session that come later: repeated, in a
// repair, in a snapshot, or in an answer.
func TestDeleteBeatsLateCopies(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	s.cut = func(_, to *simNode) bool { return to == b }
	a.publish(simKey(1), "session") // lost on its way to b
	s.cut = nil
	b.memory.Delete(simKey(1), time.Minute)
	b.Publish(b.clock(), &Update{
		Kind: UpdateDelete, Key: simKey(1), Left: time.Minute,
		Made: b.clock(),
	})
	b.Flush(b.clock())
	b.tick()
	s.run(2 * time.Second)
	if b.peers[a.o.ID].counts.Repaired.Load() == 0 {
		t.Fatal("the session was not repaired: nothing was tested")
	}
	late := s.add(nil)
	s.run(3 * time.Second)
	for i, n := range []*simNode{a, b, c, late} {
		if got, ok := n.ask(simKey(1), a.o.ID.Short(), 6*time.Millisecond); ok {
			t.Errorf("node %d got the deleted session back: %q", i, got)
		}
	}
}

// A node without peers loses nothing of its own and leaves nothing behind.
func TestAlone(t *testing.T) {
	s := newSim(t, 1)
	n := s.nodes[0]
	for i := range 100 {
		n.publish(simKey(i), "session")
	}
	if _, ok := n.ask(simKey(1000), ShortID{1}, 0); ok || len(n.questions.open) != 0 {
		t.Errorf("without a node to ask: found %v, %d questions open", ok, len(n.questions.open))
	}
	done := false
	n.Forget(n.clock(), ForgetAll, 0, func(f Forgetting) { done = len(f.Dropped)+len(f.Silent) == 0 })
	if !done {
		t.Error("a command without peers is not done at once")
	}
	s.run(time.Minute)
	if got := n.stats(n.clock()).Join; got != JoinAlone.String() {
		t.Errorf("join: %v", got)
	}
}

// More nodes join than a donor serves at once, and its sessions change under
// their walk. All get what there was when they came.
func TestManyJoin(t *testing.T) {
	s := newSim(t, 1)
	donor := s.nodes[0]
	const sessions = 4000
	for i := range sessions {
		donor.memory.Put(simKey(i), []byte("old session of ordinary length"), 0, time.Minute, false)
	}
	s.loss = 0.05
	// They hear the donor only, or some would join others that have nothing.
	s.cut = func(from, to *simNode) bool { return from != donor && to != donor }
	for range 3 * maxDonations {
		s.add(nil)
	}
	made := sessions
	took := s.runUntil(30*time.Second, func() bool {
		donor.publish(simKey(made), "new session")
		made++
		return s.have(sessions)
	})
	t.Logf("%d nodes joined in %v", 3*maxDonations, took)
	s.run(2 * time.Second)
	if !s.have(made) {
		t.Errorf("not all have the %d sessions made meanwhile", made-sessions)
	}
	// Who has all by pushes may still be walking.
	s.runUntil(30*time.Second, func() bool { return len(donor.snapshot.donations) == 0 })
	if got := len(donor.snapshot.donations); got != 0 {
		t.Errorf("%d donations are still kept", got)
	}
}

// A join outlives its donor: it begins again with another node.
func TestJoinOutlivesDonor(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	const sessions = 3000
	for _, n := range s.nodes {
		n.o.SnapshotRate = 1 << 20
		for i := range sessions {
			n.memory.Put(simKey(i), []byte("old session of ordinary length"), 0, time.Minute, false)
		}
	}
	joined := s.add(nil)
	s.runUntil(5*time.Second, func() bool { return len(joined.memory.sessions) > 0 })
	donor := joined.snapshot.join.donor
	if donor == nil {
		t.Fatal("over before it could be disturbed")
	}
	s.live[donor.addr].down = true
	s.runUntil(10*time.Second, func() bool { return len(joined.memory.sessions) == sessions })
}

package sessions

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tlsconn"
)

// Of many loops' handshakes that try one single-use session one resumes, and no other can
// afterwards.
func TestOnceAtOneNode(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	for round := range 200 {
		save(m, round, "a.example")
		var spent atomic.Int32
		var loops sync.WaitGroup
		for range 4 {
			loops.Go(func() {
				s, v := m.Find(nil, numbered(round), self, true)
				if v == tlsconn.Found && m.Spend(numbered(round), self, s.Hold, lifetime) {
					spent.Add(1)
				}
			})
		}
		loops.Wait()
		if got := spent.Load(); got != 1 {
			t.Fatalf("spent %d times, want once", got)
		}
		if _, v := m.Find(nil, numbered(round), self, true); v != tlsconn.Spent {
			t.Fatalf("afterwards: %v, want spent", v)
		}
	}
}

// A client that does not prove that it holds the session leaves it to the one that does
// (SECURITY-CASES 10: an observer cannot use up a session).
func TestReleaseLeavesTheSession(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	s, _ := m.Find(nil, numbered(1), self, true)
	if _, v := m.Find(nil, numbered(1), self, true); v != tlsconn.Held {
		t.Errorf("while it is held: %v", v)
	}
	m.Release(numbered(1), self, s.Hold)
	again, v := m.Find(nil, numbered(1), self, true)
	if v != tlsconn.Found {
		t.Fatalf("after the release: %v", v)
	}
	// The first handshake, which was late, must not win now.
	if m.Spend(numbered(1), self, s.Hold, lifetime) {
		t.Error("spent by a handshake that has released it")
	}
	if !m.Spend(numbered(1), self, again.Hold, lifetime) {
		t.Error("not spent by the handshake that holds it")
	}
	if got := m.Stats().LostRaces.Load(); got != 1 {
		t.Errorf("%d lost races counted, want 1", got)
	}
}

// A handshake that hangs loses its hold to another, and with it the session.
func TestHoldLapses(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	stuck, _ := m.Find(nil, numbered(1), self, true)
	clock.pass(11 * time.Second)
	quick, v := m.Find(nil, numbered(1), self, true)
	if v != tlsconn.Found {
		t.Fatalf("after the hold: %v", v)
	}
	if m.Spend(numbered(1), self, stuck.Hold, lifetime) {
		t.Error("the stuck one has spent what another holds")
	}
	if !m.Spend(numbered(1), self, quick.Hold, lifetime) {
		t.Error("the other one could not")
	}
}

// A session that the cache evicts while a handshake holds it is spent by that handshake, and no
// copy brings it back.
func TestSpendWhatWasEvicted(t *testing.T) {
	clock := newFakeClock()
	m := newMemoryOf(t, clock, self, 2)
	save(m, 1, "a.example")
	s, _ := m.Find(nil, numbered(1), self, true)
	save(m, 2, "a.example")
	save(m, 3, "a.example")
	wantFind(t, m, 1, tlsconn.Unknown)
	if !m.Spend(numbered(1), self, s.Hold, lifetime) {
		t.Error("not spent")
	}
	m.Put(numbered(1), state("a.example", "ctx"), time.Second, lifetime-time.Second, false)
	wantFind(t, m, 1, tlsconn.Spent)
}

// M2, in pull mode at one node: a session that was pulled, or comes from a store, is held like any
// other. Two look-ups are answered, one handshake gets it.
func TestPulledSessionsAreHeld(t *testing.T) {
	clock := newFakeClock()
	value := state("a.example", "ctx")
	gone := tlsconn.NodeID{9}
	for name, connect := range map[string]func(m *Memory){
		"from a peer": func(m *Memory) {
			m.Connect(&answering{Answer{Value: value, Left: lifetime, Verdict: tlsconn.Found}})
		},
		"from a store": func(m *Memory) {
			st := newFakeStore()
			st.Set(numbered(1), value, 0, lifetime)
			m.Connect(nil, st)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t, clock)
			connect(m)
			first, _ := ask(m, 1, gone, true)
			second, _ := ask(m, 1, gone, true)
			s, v, _ := first.Result()
			if v != tlsconn.Found || s.Hold == 0 || len(s.State) == 0 {
				t.Fatalf("the first is answered %v, hold %d", v, s.Hold)
			}
			if _, v, _ := second.Result(); v != tlsconn.Held {
				t.Errorf("the second is answered %v, want held", v)
			}
			if !m.Spend(numbered(1), gone, s.Hold, lifetime) {
				t.Error("not spent")
			}
			third, _ := ask(m, 1, gone, true)
			if _, v, ok := third.Result(); !ok || v == tlsconn.Found {
				t.Errorf("afterwards: answered %t with %v", ok, v)
			}
		})
	}
}

// M2, at two nodes in contact: the owner decides, and neither a copy elsewhere nor a store's is
// used without it.
func TestOwnerArbitrates(t *testing.T) {
	clock := newFakeClock()
	owner, guest := newMemoryOf(t, clock, other, 100), newMemory(t, clock)
	st := newFakeStore()
	direct := &wired{to: owner, id: other}
	guest.Connect(direct, st)
	owner.Connect(&wired{to: guest, id: self})
	save(owner, 1, "a.example") // and pushed to the guest
	st.Set(numbered(1), state("a.example", "ctx"), 0, lifetime)
	if _, v := guest.Find(nil, numbered(1), other, false); v != tlsconn.Found {
		t.Fatalf("the guest has no copy: %v", v)
	}

	mine, _ := owner.Find(nil, numbered(1), other, true)
	if _, v := guest.Find(nil, numbered(1), other, true); v != tlsconn.Unknown {
		t.Errorf("the guest finds %v in its own copy", v)
	}
	l, asked := ask(guest, 1, other, true)
	if _, v, _ := l.Result(); !asked || v != tlsconn.Held {
		t.Errorf("asked %t, answered %v, want held", asked, v)
	}
	owner.Release(numbered(1), other, mine.Hold)

	l, _ = ask(guest, 1, other, true)
	s, v, _ := l.Result()
	if v != tlsconn.Found || s.Source != tlsconn.SourcePulled {
		t.Fatalf("answered %v from %v", v, s.Source)
	}
	if _, v := owner.Find(nil, numbered(1), other, true); v != tlsconn.Held {
		t.Errorf("at the owner meanwhile: %v, want held", v)
	}
	clock.pass(time.Minute) // however long it takes
	if _, v := owner.Find(nil, numbered(1), other, true); v != tlsconn.Held {
		t.Errorf("at the owner a minute later: %v, want held", v)
	}
	if !guest.Spend(numbered(1), other, s.Hold, s.Expires.Sub(clock.Now())) {
		t.Error("the guest could not spend what it holds")
	}
	for name, m := range map[string]*Memory{"owner": owner, "guest": guest} {
		if _, v := m.Find(nil, numbered(1), m.self, true); v != tlsconn.Spent {
			t.Errorf("%s: %v, want spent", name, v)
		}
	}
	if len(st.values) != 0 {
		t.Error("the store still has it")
	}

	testLostOwner(t, owner, guest, st, direct)
}

// testLostOwner: an owner that is silent decides, and one that is dead does not.
func testLostOwner(t *testing.T, owner, guest *Memory, st *fakeStore, direct *wired) {
	// A silent owner is not dead: no other node may give the session away.
	save(owner, 2, "a.example")
	st.Set(numbered(2), state("a.example", "ctx"), 0, lifetime)
	direct.silent = true
	l, asked := ask(guest, 2, other, true)
	if _, v, ok := l.Result(); asked && (!ok || v == tlsconn.Found) {
		t.Errorf("with a silent owner: %v", v)
	}
	// A guest does not get a session held for it if the owner dies meanwhile: the new arbiter may
	// not know of the hold.
	direct.silent = false
	save(owner, 3, "a.example")
	l, _ = ask(guest, 3, other, true)
	s, v, _ := l.Result()
	if v != tlsconn.Found {
		t.Fatalf("answered %v", v)
	}
	direct.dead = true
	if guest.Spend(numbered(3), other, s.Hold, lifetime) {
		t.Error("spent, though its owner has died since it was held")
	}
	// With a dead owner the copy may be used, once.
	s, v = guest.Find(nil, numbered(2), other, true)
	if v != tlsconn.Found || !guest.Spend(numbered(2), other, s.Hold, lifetime) {
		t.Errorf("with a dead owner: %v", v)
	}
}

// A hold that comes too late for its handshake is released.
func TestLateHoldIsReleased(t *testing.T) {
	clock := newFakeClock()
	owner, guest := newMemoryOf(t, clock, other, 100), newMemory(t, clock)
	direct := &wired{to: owner, id: other, manual: true}
	guest.Connect(direct)
	save(owner, 1, "a.example")
	l, _ := ask(guest, 1, other, true)
	l.GiveUp()
	direct.answer()
	if _, v := owner.Find(nil, numbered(1), other, true); v != tlsconn.Found {
		t.Errorf("at the owner: %v, want found", v)
	}
	if got := guest.Stats().Parked; got != 0 {
		t.Errorf("%d look-ups under way, want none", got)
	}
}

// A peer can end only holds of peers.
func TestPeerCannotEndOwnHolds(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	s, _ := m.Find(nil, numbered(1), self, true)
	m.ReleaseFor(numbered(1), s.Hold)
	if _, v := m.Find(nil, numbered(1), self, true); v != tlsconn.Held {
		t.Errorf("a peer has released it: %v", v)
	}
}

// Look-ups beyond the process are bounded, and each ends once.
func TestLookupsAreBounded(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	if _, asked := ask(m, 1, other, false); asked {
		t.Error("asked, though there is no other node")
	}
	st := newFakeStore()
	st.manual = true
	m.Connect(nil, st)
	for i := range 6 {
		if _, asked := ask(m, i, other, false); asked != (i < 4) {
			t.Errorf("look-up %d: asked %t", i, asked)
		}
	}
	if got := m.Stats(); got.Parked != 4 || got.Refused.Load() != 2 {
		t.Errorf("%d under way, %d refused, want 4 and 2", got.Parked, got.Refused.Load())
	}
	for _, answer := range st.asked {
		answer()
	}
	if got := m.Stats().Parked; got != 0 {
		t.Errorf("%d under way after all were answered", got)
	}
}

// wired is a fleet of one peer, called directly.
type wired struct {
	to     *Memory
	id     tlsconn.NodeID
	silent bool
	dead   bool
	manual bool
	asked  []*Question
}

func (w *wired) Made(key [16]byte, value []byte, age, left time.Duration) {
	w.to.Put(key, value, age, left, false)
}
func (w *wired) Deleted(key [16]byte, left time.Duration) { w.to.Delete(key, left) }
func (w *wired) Pulls() bool                              { return true }
func (w *wired) Reachable(owner tlsconn.NodeID) bool      { return owner == w.id && !w.dead }
func (w *wired) Arbiter(_ [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	if w.Reachable(owner) {
		return owner
	}
	if w.id == other {
		return self
	}
	return other
}

func (w *wired) Release(key [16]byte, _ tlsconn.NodeID, hold uint64) {
	w.to.ReleaseFor(key, hold)
}

func (w *wired) Ask(q *Question) bool {
	switch {
	case w.dead:
		return false
	case w.silent:
		q.Answer(Answer{Verdict: tlsconn.Unknown})
	case w.manual:
		w.asked = append(w.asked, q)
	default:
		w.serve(q)
	}
	return true
}

func (w *wired) answer() {
	for _, q := range w.asked {
		w.serve(q)
	}
}

func (w *wired) serve(q *Question) {
	var a Answer
	if q.Hold {
		a.Value, a.Age, a.Left, a.Hold, a.Verdict = w.to.HoldFor(nil, q.Key, 0)
	} else if value, age, left, ok := w.to.Lookup(nil, q.Key); ok {
		a = Answer{Value: value, Age: age, Left: left, Verdict: tlsconn.Found}
	} else {
		a.Verdict = tlsconn.Unknown
	}
	q.Answer(a)
}

// A peer that asks again gets the hold it was given, and no other handshake gets the session in
// between or afterwards.
func TestHeldAgain(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	_, _, _, hold, v := m.HoldFor(nil, numbered(1), 0)
	if v != tlsconn.Found {
		t.Fatalf("verdict %v", v)
	}
	value, _, _, again, v := m.HoldFor(nil, numbered(1), hold)
	if v != tlsconn.Found || again != hold || len(value) == 0 {
		t.Errorf("held again: %v under %d, want %d", v, again, hold)
	}
	if _, _, _, _, v = m.HoldFor(nil, numbered(1), 0); v != tlsconn.Held {
		t.Errorf("for another question: %v", v)
	}
	if _, _, _, _, v = m.HoldFor(nil, numbered(1), hold+2); v != tlsconn.Held {
		t.Errorf("under another number: %v", v)
	}
	if _, v = m.Find(nil, numbered(1), self, true); v != tlsconn.Held {
		t.Errorf("at the owner: %v", v)
	}

	// Evicted, and put again as a copy: it is still reserved for that peer.
	for i := range 2000 {
		save(m, 100+i, "a.example")
	}
	if _, _, _, _, v = m.HoldFor(nil, numbered(1), hold); v != tlsconn.Unknown {
		t.Fatalf("not evicted: %v", v)
	}
	m.Put(numbered(1), state("a.example", "ctx"), 0, lifetime, false)
	if _, v = m.Find(nil, numbered(1), self, true); v != tlsconn.Held {
		t.Errorf("a copy at the owner: %v", v)
	}
	if _, _, _, again, v = m.HoldFor(nil, numbered(1), hold); v != tlsconn.Found || again != hold {
		t.Errorf("a copy, held again: %v", v)
	}

	// Spent: a repeated question after that gets nothing.
	m.Delete(numbered(1), lifetime)
	if _, _, _, _, v = m.HoldFor(nil, numbered(1), hold); v != tlsconn.Spent {
		t.Errorf("after it was spent: %v", v)
	}
	// Released: its number is invalid from then on.
	save(m, 2, "a.example")
	_, _, _, hold, _ = m.HoldFor(nil, numbered(2), 0)
	m.ReleaseFor(numbered(2), hold)
	if _, _, _, _, v = m.HoldFor(nil, numbered(2), hold); v == tlsconn.Found {
		t.Error("held by a number that was released")
	}
	if _, v = m.Find(nil, numbered(2), self, true); v != tlsconn.Found {
		t.Errorf("at the owner after that: %v", v)
	}
}

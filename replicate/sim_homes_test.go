package replicate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A session's two homes are the same at all nodes, spread evenly, and change for a
// share of the sessions only when a node comes or goes.
func TestHomesAreAgreedOn(t *testing.T) {
	const nodes, sessions = 16, 4000
	s := newSim(t, 0)
	for range nodes {
		s.add(func(o *Options) { o.Mode = Homes })
	}
	s.runUntil(5*time.Second, s.introduced)
	homes := func(n *simNode, key Key) [2]ID {
		a, b := n.homesOf(key)
		ids := [2]ID{n.o.ID, n.o.ID}
		for i, p := range []*peer{a, b} {
			if p != nil {
				ids[i] = p.id
			}
		}
		return ids
	}
	load := make(map[ID]int)
	before := make([][2]ID, sessions)
	for i := range sessions {
		key := randomKey(s)
		before[i] = homes(s.nodes[0], key)
		load[before[i][0]]++
		load[before[i][1]]++
		if before[i][0] == before[i][1] {
			t.Fatal("both homes are one node")
		}
		for _, n := range s.nodes[1:] {
			if got := homes(n, key); got != before[i] {
				t.Fatalf("nodes disagree about homes: %v and %v", got, before[i])
			}
		}
	}
	for id, n := range load {
		if mean := 2 * sessions / nodes; n < mean*3/4 || n > mean*5/4 {
			t.Errorf("node %v is home of %d sessions, the mean is %d", id, n, mean)
		}
	}
}

func randomKey(s *sim) (k Key) {
	binary.BigEndian.PutUint64(k[:], s.rand.Uint64())
	binary.BigEndian.PutUint64(k[8:], s.rand.Uint64())
	return k
}

// In mode homes a session is at its owner and two homes, is found from everywhere,
// also when the owner or a home has just died, and costs the same in any fleet.
func TestHomes(t *testing.T) {
	for _, nodes := range []int{3, 8, 24} {
		t.Run(fmt.Sprintf("nodes=%d", nodes), func(t *testing.T) {
			s := newSim(t, 0)
			for range nodes {
				s.add(func(o *Options) { o.Mode = Homes })
			}
			s.runUntil(5*time.Second, s.introduced)
			s.run(3 * time.Second)
			const sessions = 300
			keys := make([]Key, sessions)
			s.datagrams = 0
			for i := range keys {
				keys[i] = randomKey(s)
				s.nodes[i%nodes].publish(keys[i], "session")
			}
			if perSession := float64(s.datagrams) / sessions; perSession > 2.5 {
				t.Errorf("%.1f datagrams for a session", perSession)
			}
			s.run(500 * time.Millisecond)
			for _, key := range keys {
				copies := 0
				for _, n := range s.nodes {
					if _, _, _, ok := n.memory.Find(nil, key); ok {
						copies++
					}
				}
				if copies < 2 || copies > 3 {
					t.Fatalf("%d copies, want the owner's and those of two homes, of which it may be one", copies)
				}
			}
			asked := func(what string, from *simNode, i int, want float64) bool {
				got, ok := from.ask(keys[i], s.nodes[i%nodes].o.ID.Short(), 5*time.Millisecond)
				return ok && got == "session"
			}
			for i := range 100 {
				if !asked("all live", s.nodes[(i+1)%nodes], i, 1) {
					t.Fatalf("session %d was not found", i)
				}
			}
			s.nodes[0].down = true // no node knows it yet
			found, tried := 0, 0
			for i := 100; i < sessions; i++ {
				from := s.nodes[1+s.rand.IntN(nodes-1)]
				tried++
				if asked("one dead", from, i, 1) {
					found++
				}
			}
			if share := float64(found) / float64(tried); share < 0.995 {
				t.Errorf("%.3f found after a death", share)
			}
		})
	}
}

// The mode is chosen by how many nodes there are, and a restart does not change it.
func TestAutoMode(t *testing.T) {
	s := newSim(t, 0)
	auto := func(o *Options) { o.Mode = Auto }
	for range pushNodes {
		s.add(auto)
	}
	s.runUntil(5*time.Second, s.introduced)
	s.run(20 * time.Second)
	mode := func(want Mode) {
		t.Helper()
		for i, n := range s.nodes {
			if got := n.sends(); !n.down && got != want {
				t.Errorf("node %d: mode %v, want %v", i, got, want)
			}
		}
	}
	mode(Push)
	extra := s.add(auto)
	s.run(autoDelay + time.Second)
	mode(Homes)
	extra.down = true
	s.run(autoDelay / 2)
	mode(Homes)
	extra = s.start(extra.addr, auto)
	s.run(autoDelay)
	mode(Homes)
	extra.down = true
	s.run(2 * autoDelay)
	mode(Push)
}

// Sessions that a fleet in mode auto has sent to their homes are found when it has become so small
// that it sends to all, and their owner is gone.
func TestHomesAreAskedAfterAutoHasChanged(t *testing.T) {
	s := newSim(t, 0)
	for range pushNodes + 1 {
		s.add(func(o *Options) { o.Mode = Auto })
	}
	s.runUntil(5*time.Second, s.introduced)
	s.run(autoDelay + time.Second)
	owner := s.nodes[0]
	if owner.sends() != Homes {
		t.Fatal("a large fleet does not send to homes")
	}
	keys := make([]Key, 200)
	for i := range keys {
		keys[i] = randomKey(s)
		owner.publish(keys[i], "session")
	}
	s.run(time.Second)
	owner.down = true
	s.run(2 * autoDelay)
	for i, key := range keys {
		from := s.nodes[1+i%pushNodes]
		if from.sends() != Push {
			t.Fatal("a small fleet does not send to all")
		}
		if _, _, _, here := from.memory.Find(nil, key); here {
			continue
		}
		if got, ok := from.ask(key, owner.o.ID.Short(), 5*time.Millisecond); !ok || got != "session" {
			t.Fatalf("session %d was not found", i)
		}
	}
}

// A fleet in mode homes is restarted node by node and loses nothing: each new life
// fetches the sessions that it is a home of.
func TestHomesOutliveRollingRestart(t *testing.T) {
	s := newSim(t, 0)
	const nodes, sessions = 6, 1000
	homes := func(o *Options) { o.Mode = Homes }
	for range nodes {
		s.add(homes)
	}
	s.runUntil(5*time.Second, s.introduced)
	for i := range sessions {
		s.nodes[i%nodes].publish(randomKey(s), "session")
	}
	keys := make(map[Key]bool)
	for _, n := range s.nodes {
		for key := range n.memory.sessions {
			keys[key] = true
		}
	}
	s.run(time.Second)
	for i := range nodes {
		s.nodes[i].down = true
		s.run(time.Second)
		s.start(s.nodes[i].addr, homes)
		s.run(4 * time.Second)
	}
	lost := 0
	for key := range keys {
		found := false
		for _, n := range s.live {
			if _, _, _, ok := n.memory.Find(nil, key); ok {
				found = true
			}
		}
		if !found {
			lost++
		}
	}
	if len(keys) != sessions || lost > 0 {
		t.Errorf("%d of %d sessions were lost", lost, len(keys))
	}
}

// Batches to homes that are lost are repaired.
func TestHomesUnderLoss(t *testing.T) {
	s := newSim(t, 0)
	const nodes, sessions = 5, 2000
	for range nodes {
		s.add(func(o *Options) { o.Mode = Homes })
	}
	s.runUntil(5*time.Second, s.introduced)
	s.run(2 * time.Second)
	s.loss, s.dup = 0.2, 0.1
	var keys []Key
	for i := range sessions {
		keys = append(keys, randomKey(s))
		s.nodes[i%nodes].publish(keys[i], "session")
		s.run(time.Millisecond)
	}
	took := s.runUntil(10*time.Second, func() bool {
		for i, key := range keys {
			a, b := s.nodes[i%nodes].homesOf(key)
			for _, home := range []*peer{a, b} {
				if home == nil {
					continue
				}
				if _, _, _, ok := s.live[home.addr].memory.Find(nil, key); !ok {
					return false
				}
			}
		}
		return true
	})
	t.Logf("the last one was at its homes after %v", took)
}

// A session for one use is given to one handshake at a time, by its owner, and to
// none after it was spent or its hold has lapsed.
func TestSingleUse(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	s.run(3 * time.Second)
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	for i := range 4 {
		a.publish(simKey(i), "session")
	}
	s.run(100 * time.Millisecond)

	first := holdAt(b, a.id, simKey(0))
	if first.Verdict != Found || first.Hold == 0 || string(first.Value) != "session" {
		t.Fatalf("the first got %+v", first)
	}
	if got := holdAt(c, a.id, simKey(0)); got.Verdict != Held || got.Hold != 0 {
		t.Errorf("the second got %+v", got)
	}
	b.Publish(b.clock(), &Update{Kind: UpdateRelease, Key: simKey(0), Owner: a.id, Hold: first.Hold})
	s.run(5 * time.Millisecond)
	second := holdAt(c, a.id, simKey(0))
	if second.Verdict != Found {
		t.Errorf("after the release the second got %+v", second)
	}
	c.memory.Delete(simKey(0), time.Minute)
	c.Publish(c.clock(), &Update{
		Kind: UpdateDelete, Key: simKey(0), Left: time.Minute,
		Made: c.clock(),
	})
	c.Flush(c.clock())
	s.run(10 * time.Millisecond)
	if got := holdAt(b, a.id, simKey(0)); got.Verdict != Spent {
		t.Errorf("after it was spent the first got %+v", got)
	}

	testHolds(t, s)
}

// testHolds: a hold ends with its time, with an asker that gives up and with its owner, and by
// nothing that is repeated.
func testHolds(t *testing.T, s *sim) {
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	// Not released in time.
	if got := holdAt(b, a.id, simKey(1)); got.Verdict != Found {
		t.Fatalf("got %+v", got)
	}
	s.run(a.o.HoldFor + time.Second)
	if got := holdAt(c, a.id, simKey(1)); got.Verdict != Spent {
		t.Errorf("after a hold that lapsed: %+v", got)
	}

	// The answer is lost, again and again: the asker gives up, and gives back.
	s.cut = func(from, to *simNode) bool { return from == a }
	if got := holdAt(b, a.id, simKey(2)); got.Verdict != Unanswered {
		t.Errorf("without an answer: %+v", got)
	}
	s.cut = nil
	s.run(100 * time.Millisecond)
	if got := holdAt(c, a.id, simKey(2)); got.Verdict != Found {
		t.Errorf("after the asker gave up: %+v", got)
	}

	// Answers that are repeated do not give back what is held.
	s.dup = 1
	if got := holdAt(b, a.id, simKey(3)); got.Verdict != Found {
		t.Fatalf("got %+v", got)
	}
	s.run(100 * time.Millisecond)
	if got := holdAt(c, a.id, simKey(3)); got.Verdict != Held {
		t.Errorf("while it is held: %+v", got)
	}

	// The owner is dead: the deciding node may have a copy.
	a.down = true
	s.run(a.o.DeadAfter + time.Second)
	if got := holdAt(b, a.id, simKey(3)); got.Verdict != Unanswered {
		t.Errorf("the owner is dead: %+v", got)
	}
}

// holdAt asks the owner of a session for one use.
func holdAt(n *simNode, owner ShortID, key Key) (r Reply) {
	r.Verdict = Unanswered
	n.Ask(n.clock(), &Question{Key: key, Owner: owner, Hold: true, Answer: func(got Reply) {
		r = got
		r.Value = bytes.Clone(got.Value)
	}})
	n.tick()
	n.sim.run(6 * time.Millisecond)
	return r
}

// Nodes that are named in one direction only become one fleet: each hears what the
// others make, and a command to forget reaches all.
func TestOneWayLists(t *testing.T) {
	s := newSim(t, 0)
	s.unlisted = true
	a, b, c := s.add(nil), s.add(nil), s.add(nil)
	a.SetPeers(a.clock(), addrsOf(b), nil)
	c.SetPeers(c.clock(), addrsOf(a), nil)
	for _, n := range s.nodes {
		n.tick()
	}
	took := s.runUntil(5*time.Second, s.introduced)
	t.Logf("introduced after %v", took)
	for i, n := range s.nodes {
		n.publish(simKey(i), "session")
	}
	s.runUntil(time.Second, func() bool { return s.have(3) })
	var result *Forgetting
	c.Forget(c.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	c.tick()
	s.run(time.Second)
	if result == nil || len(result.Silent) > 0 || len(result.Dropped) != 2 || result.Here != 3 {
		t.Errorf("the command to forget: %+v", result)
	}
}

// A command given before all are introduced names those that only others hear.
func TestForgetNamesUnmetNodes(t *testing.T) {
	s := newSim(t, 0)
	s.unlisted = true
	a, b, c := s.add(nil), s.add(nil), s.add(nil)
	s.cut = func(from, to *simNode) bool { return from != a && to != a }
	a.SetPeers(a.clock(), addrsOf(b, c), nil)
	a.tick()
	s.run(3 * time.Second)
	var result *Forgetting
	c.Forget(c.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	c.tick()
	s.run(5 * time.Second)
	if result == nil || len(result.Silent) != 1 || result.Silent[0] != b.addr.String() {
		t.Fatalf("the command to forget: %+v, want %v silent", result, b.addr)
	}
	if len(b.memory.rules) != 1 {
		t.Error("the rule was not passed on by the node between")
	}
	s.cut = nil
	s.runUntil(40*time.Second, s.introduced)
}

func addrsOf(nodes ...*simNode) (list []netip.AddrPort) {
	for _, n := range nodes {
		list = append(list, n.addr)
	}
	return list
}

// A node that was away for a command learns it when it is back, and is named.
func TestForgetReachesReturningNodes(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	for i := range 50 {
		a.publish(simKey(i), "session")
	}
	s.run(time.Second)
	s.cut = func(from, to *simNode) bool { return from == c || to == c }
	s.run(2 * time.Minute) // longer than any node keeps keys
	var result *Forgetting
	a.Forget(a.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	a.tick()
	s.run(5 * time.Second)
	if result == nil || len(result.Silent) != 1 || result.Silent[0] != c.addr.String() ||
		len(result.Dropped) != 1 {
		t.Fatalf("result %+v, want %v silent", result, c.addr)
	}
	s.cut = nil
	s.runUntil(10*time.Second, func() bool { return len(c.memory.rules) == 1 })
	s.run(5 * time.Second)
	for i, n := range []*simNode{a, b, c} {
		if got := len(n.memory.sessions); got != 0 {
			t.Errorf("node %d has %d sessions", i, got)
		}
	}
	// And one that starts later.
	late := s.add(nil)
	s.runUntil(5*time.Second, func() bool { return len(late.memory.rules) == 1 })
}

// A node that ends announces it: no node waits for it.
func TestLeave(t *testing.T) {
	s := newSim(t, 3)
	s.runUntil(5*time.Second, s.introduced)
	s.run(time.Second) // both ways
	a, b := s.nodes[0], s.nodes[1]
	b.Leave(b.clock())
	b.down = true
	s.runUntil(time.Second, func() bool { return len(a.stats(a.clock()).Peers) == 1 })
	var result *Forgetting
	a.Forget(a.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	a.tick()
	s.run(time.Second)
	if result == nil || len(result.Silent) != 0 || len(result.Dropped) != 1 {
		t.Errorf("result %+v, want one node that obeyed and none silent", result)
	}
	if got := len(a.stats(a.clock()).Peers); got != 1 {
		t.Errorf("%d peers are listed", got)
	}
}

// Restarts leave nothing behind: a node is listed once, under its name.
func TestRestartsLeaveNoSeries(t *testing.T) {
	s := newSim(t, 0)
	for _, name := range []string{"alpha", "beta", ""} {
		s.add(func(o *Options) { o.Name = name })
	}
	s.runUntil(5*time.Second, s.introduced)
	for range 5 {
		s.nodes[1].down = true
		fresh := s.start(s.nodes[1].addr, func(o *Options) { o.Name = "beta" })
		s.runUntil(10*time.Second, func() bool {
			p := s.nodes[0].peers[fresh.o.ID]
			return p != nil &&
				p.introduced
		})
		fresh.down = true
		s.run(4 * time.Second)
	}
	var names []string
	for _, p := range s.nodes[0].stats(s.nodes[0].clock()).Peers {
		names = append(names, p.Name)
	}
	if fmt.Sprint(names) != fmt.Sprint([]string{s.nodes[2].addr.String(), "beta"}) {
		t.Errorf("listed: %q", names)
	}
}

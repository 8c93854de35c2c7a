package replicate

import (
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// oneWay is a fleet in which c alone knows all from its configuration, and b has been
// cut off after it got a session.
func oneWay(t *testing.T) (s *sim, a, b, c *simNode) {
	s = newSim(t, 0)
	s.unlisted = true
	a, b, c = s.add(nil), s.add(nil), s.add(nil)
	c.SetPeers(c.clock(), addrsOf(a, b), nil)
	c.tick()
	s.runUntil(5*time.Second, s.introduced)
	a.publish(simKey(1), "session")
	s.runUntil(time.Second, func() bool { return s.have(1) })
	s.cut = func(from, to *simNode) bool { return from == b || to == b }
	s.run(5 * time.Second)
	return s, a, b, c
}

// restartKnowing starts another life of n that is configured with peers.
func (s *sim) restartKnowing(n *simNode, peers ...*simNode) *simNode {
	fresh := s.restart(n)
	fresh.SetPeers(fresh.clock(), addrsOf(peers...), nil)
	fresh.tick()
	s.runUntil(5*time.Second, func() bool {
		return !slices.ContainsFunc(peers,
			func(p *simNode) bool { return fresh.peers[p.o.ID] == nil || p.peers[fresh.o.ID] == nil })
	})
	return fresh
}

// Who may have sessions is known to the fleet and not only to those that have heard
// it: a node that has started meanwhile waits for it too.
func TestForgetAfterARestartNamesTheSilent(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		s, a, b, c := oneWay(t)
		a = s.restartKnowing(a, c)
		if f := a.forget(t); !slices.Equal(f.Silent, []string{b.addr.String()}) {
			t.Errorf("b has the session and was not told; silent: %q", f.Silent)
		}
	})
	t.Run("though no node is left that has heard it", func(t *testing.T) {
		s, a, b, c := oneWay(t)
		a = s.restartKnowing(a, c)
		s.runUntil(2*time.Second, func() bool { return len(a.rumours) == 1 })
		c = s.restartKnowing(c, a)
		s.runUntil(2*time.Second, func() bool { return len(c.rumours) == 1 })
		if f := c.forget(t); !slices.Equal(f.Silent, []string{b.addr.String()}) {
			t.Errorf("b has the session and was not told; silent: %q", f.Silent)
		}
		if a.digest != c.digest {
			t.Error("they do not agree on the known nodes")
		}
		// However long they pass it on to each other, it ends.
		for range 20 {
			s.run(a.o.KnownFor / 20)
		}
		s.run(time.Minute)
		if len(a.rumours)+len(c.rumours) != 0 {
			t.Error("b is remembered beyond the life of its sessions")
		}
		if f := c.forget(t); len(f.Silent) != 0 {
			t.Errorf("silent: %q", f.Silent)
		}
	})
	t.Run("and it comes back", func(t *testing.T) {
		s, a, b, c := oneWay(t)
		a = s.restartKnowing(a, c)
		a.forget(t)
		s.cut = nil
		s.runUntil(40*time.Second, func() bool {
			return len(b.memory.rules) == 1 &&
				a.peers[b.o.ID] != nil
		})
		s.run(2 * time.Second)
		if len(a.rumours)+len(b.rumours)+len(c.rumours) != 0 || a.digest != b.digest ||
			a.digest != c.digest {
			t.Error("they do not agree on the known nodes")
		}
	})
}

// Nobody is waited for whose memory is known to be gone.
func TestForgetDoesNotWaitForTheDead(t *testing.T) {
	t.Run("it lives again", func(t *testing.T) {
		s, a, b, c := oneWay(t)
		s.cut = nil
		b = s.restart(b)
		s.runUntil(5*time.Second, func() bool { return c.peers[b.o.ID] != nil && b.peers[a.o.ID] != nil })
		a = s.restartKnowing(a, c)
		s.run(5 * time.Second)
		if f := a.forget(t); len(f.Silent) != 0 || len(f.Dropped) != 2 {
			t.Errorf("%+v, want two nodes that obeyed and none silent", f)
		}
	})
	t.Run("it lives again, after another node was told that it is silent", func(t *testing.T) {
		s, a, b, c := oneWay(t)
		a = s.restartKnowing(a, c)
		s.runUntil(2*time.Second, func() bool { return len(a.rumours) == 1 })
		s.cut = nil
		b = s.restart(b)
		s.runUntil(5*time.Second, func() bool { return a.peers[b.o.ID] != nil })
		s.run(5 * time.Second)
		if f := a.forget(t); len(f.Silent) != 0 || len(f.Dropped) != 2 {
			t.Errorf("%+v, want two nodes that obeyed and none silent", f)
		}
	})
	t.Run("one has not received its leave message", func(t *testing.T) {
		s := newSim(t, 3)
		s.runUntil(5*time.Second, s.introduced)
		s.run(time.Second) // both ways
		a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
		s.cut = func(from, to *simNode) bool { return from == b && to == c }
		b.Leave(b.clock())
		b.down = true
		s.run(10 * time.Second)
		for _, n := range []*simNode{a, c} {
			if f := n.forget(t); len(f.Silent) != 0 {
				t.Errorf("silent: %q", f.Silent)
			}
		}
	})
}

// What peers tell of members is bounded, and of those that are heard it changes
// nothing.
func TestHostileMembers(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	for _, state := range []wire.MemberState{
		wire.MemberHeard, wire.MemberSilent, wire.MemberEnded,
		99,
	} {
		for i := range maxRumours + 100 {
			id := NewID()
			var list wire.MemberList
			list = list.Append(wire.Member{
				ID: id.Short(), Addr: elsewhere, State: state, Left: time.Hour,
				Instance: Instance{byte(i), byte(i >> 8), 1},
			})
			list = list.Append(wire.Member{
				ID: b.o.ID.Short(), Addr: elsewhere, State: state,
				Left: time.Hour, Instance: b.o.Instance,
			})
			list = list.Append(wire.Member{
				ID: a.o.ID.Short(), Addr: elsewhere, State: state,
				Left: time.Hour, Instance: a.o.Instance,
			})
			a.handleMembers(wire.Members{List: list})
		}
	}
	if len(a.rumours) > maxRumours || len(a.departed) > maxRumours {
		t.Errorf("%d rumours, %d departed", len(a.rumours), len(a.departed))
	}
	if p := a.peers[b.o.ID]; p == nil || !p.up || p.superseded || p.addr != b.addr {
		t.Error("the peer was lost")
	}
	s.run(2 * time.Second)
	b.publish(simKey(1), "session")
	s.runUntil(time.Second, func() bool { return s.have(1) })
}

// Where sessions live longer, they are waited for longer: at whichever node the command
// is given. And the nodes say that they differ.
func TestLifetimesDiffer(t *testing.T) {
	s := newSim(t, 0)
	a := s.add(func(o *Options) { o.Lifetime, o.KnownFor = 5*time.Minute, 6*time.Minute })
	told := make(map[string]Notice)
	a.Notice = func(m Notice) {
		if m.Kind == NoticeLifetime {
			told[m.Name] = m
		}
	}
	b := s.add(func(o *Options) { o.Name, o.Lifetime, o.KnownFor = "b", 20*time.Minute, 21*time.Minute })
	c := s.add(func(o *Options) { o.Name, o.Lifetime, o.KnownFor = "c", 5*time.Minute, 6*time.Minute })
	s.runUntil(5*time.Second, s.introduced)
	if len(told) != 1 || told["b"].Theirs != "20m0s" || told["b"].Ours != "5m0s" {
		t.Errorf("told %+v, want that b differs", told)
	}
	b.publishFor(20*time.Minute, simKey(1), "session")
	s.run(time.Second)
	s.cut = func(from, to *simNode) bool { return from == b || to == b }
	s.run(8 * time.Minute)
	for _, n := range []*simNode{a, c} {
		if f := n.forget(t); !slices.Equal(f.Silent, []string{"b"}) {
			t.Errorf("b has the session and was not told; silent: %q", f.Silent)
		}
	}
	s.run(9 * time.Minute)
	s.cut = nil
	s.runUntil(time.Minute, func() bool { return len(b.memory.rules) == 2 })
	if _, has := b.memory.sessions[simKey(1)]; has {
		t.Error("b still has the session, since the rules had ended")
	}
	s.run(25 * time.Minute)
	if a.longest() != 21*time.Minute || len(a.peers) != 2 {
		t.Errorf("%d peers, rules are kept for %v", len(a.peers), a.longest())
	}
}

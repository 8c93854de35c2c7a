package sessions_test

import (
	"fmt"
	"slices"
	"time"

	"reprise/replicate"
	"reprise/sessions"
	"reprise/tlsconn"
)

func (s *sim) step() {
	n := s.nodes[s.rand.IntN(len(s.nodes))]
	switch what := s.rand.IntN(40); {
	case n.stopped:
	case what < 8:
		s.last++
		truth := &simSession{born: s.now, name: fmt.Sprintf("%c.example", 'a'+s.rand.IntN(3)), owner: n.id}
		s.truth[s.last] = truth
		born := time.Unix(1e9, 0).Add(n.clock())
		state := tlsconn.AppendStatePrefix(nil, tlsconn.NameHash(truth.name), tlsconn.ContextHash("ctx"),
			tlsconn.CodecStandard)
		n.memory.Save(simKey(s.last), tlsconn.Session{
			State: append(state, "a master secret"...), Born: born,
			Expires: born.Add(simLifetime),
		})
	case what < 10:
		n.forget()
	case what < 11:
		n.memory.Sweep()
	case what < 24:
		n.finish()
	case s.last > 0:
		n.comeBack(s.last-s.rand.IntN(min(s.last, 30)), s.rand.IntN(2) == 0)
	}
	if s.rand.IntN(12) == 0 {
		s.shake(n)
	}
	most := 300 * time.Millisecond
	switch s.rand.IntN(10) {
	case 0:
		most = 12 * time.Second
	case 1, 2, 3:
		most = 2 * time.Millisecond
	}
	s.run(time.Duration(s.rand.Int64N(int64(most))))
}

// shake causes one of the run's faults.
func (s *sim) shake(n *simNode) {
	var shakes []func()
	if s.kind.pause {
		shakes = append(shakes, func() { n.stop(false) })
	}
	if s.kind.restored {
		shakes = append(shakes, func() { n.stop(true) })
	}
	if s.kind.part {
		shakes = append(shakes, func() { n.islanded = !n.islanded })
	}
	if s.kind.restart {
		shakes = append(shakes, func() {
			n.end()
			s.start(n.index)
			s.nodes[n.index].islanded = n.islanded
		})
	}
	if len(shakes) > 0 {
		s.shaken = true
		shakes[s.rand.IntN(len(shakes))]()
	}
}

// stop gives a node no time for a while. A machine that is set back to a snapshot has not run
// meanwhile: its clock lags until the next look at others.
func (n *simNode) stop(asleep bool) {
	if n.stopped || n.gone {
		return
	}
	n.stopped, n.asleep, n.sleptAt = true, asleep, n.s.now
	n.s.at(n.s.now+time.Duration(n.s.rand.Int64N(int64(40*time.Second))), func() {
		if n.gone {
			return
		}
		if asleep {
			slept := n.s.now - n.sleptAt
			n.asleep = false
			n.slept += slept
			n.memory.Age(slept)
		}
		n.stopped = false
		for _, receive := range n.socket {
			receive()
		}
		n.socket = nil
		n.tick()
	})
}

// forget gives a command, and records it once all nodes have acknowledged it.
func (n *simNode) forget() {
	rule := simRule{given: n.s.now}
	what, hash := replicate.ForgetAll, uint64(0)
	if n.s.rand.IntN(3) > 0 {
		rule.name = fmt.Sprintf("%c.example", 'a'+n.s.rand.IntN(3))
		what, hash = replicate.ForgetScope(sessions.ForgetName), tlsconn.NameHash(rule.name)
	}
	n.node.Forget(n.clock(), what, hash, func(f replicate.Forgetting) {
		// A node unknown to this life of another cannot be named.
		if len(f.Silent) == 0 && len(f.Dropped) == len(n.s.nodes)-1 && !n.gone {
			n.s.rules = append(n.s.rules, rule)
			n.s.forgotten++
		}
	})
	n.tick()
}

// comeBack is a client with a session that it once got.
func (n *simNode) comeBack(session int, hold bool) {
	truth := n.s.truth[session]
	found, v := n.memory.Find(nil, simKey(session), truth.owner, hold)
	h := &simHandshake{session: session, hold: hold, found: found}
	switch v {
	case tlsconn.Found:
		n.hold(truth, "found")
	case tlsconn.Unknown:
		h.lookup = tlsconn.NewLookup(simKey(session), truth.owner, hold, noWaker{})
		if !n.memory.Ask(h.lookup) {
			return
		}
	default:
		n.s.refused++
		return
	}
	n.inFlight = append(n.inFlight, h)
}

// judge checks the answers to look-ups at the moment they are given.
func (n *simNode) judge() {
	for _, h := range n.inFlight {
		if h.lookup == nil || h.judged {
			continue
		}
		_, v, ok := h.lookup.Result()
		if h.judged = ok; ok && v == tlsconn.Found {
			n.hold(n.s.truth[h.session], "answered")
		}
	}
}

// finish ends a handshake: successfully, or because the client did not prove itself.
func (n *simNode) finish() {
	if len(n.inFlight) == 0 {
		return
	}
	i := n.s.rand.IntN(len(n.inFlight))
	h := n.inFlight[i]
	truth := n.s.truth[h.session]
	if h.lookup != nil {
		if n.s.rand.IntN(8) == 0 {
			h.lookup.GiveUp()
		}
		found, v, ok := h.lookup.Result()
		if !ok {
			return // not yet
		}
		if h.found = found; v != tlsconn.Found {
			n.inFlight = slices.Delete(n.inFlight, i, i+1)
			n.s.refused++
			return
		}
	}
	n.inFlight = slices.Delete(n.inFlight, i, i+1)
	left := h.found.Expires.Sub(time.Unix(1e9, 0).Add(n.clock()))
	switch {
	case !h.hold:
	case n.s.rand.IntN(4) == 0 || left <= 0:
		n.memory.Release(simKey(h.session), truth.owner, h.found.Hold)
	case n.memory.Spend(simKey(h.session), truth.owner, h.found.Hold, left):
		n.s.spent++
		if truth.spent++; truth.spent > 1 && !n.s.shaken {
			n.s.t.Errorf("session %d was spent %d times by nodes in contact", h.session, truth.spent)
		}
	}
}

// hold checks a session given to a handshake against the truth.
func (n *simNode) hold(truth *simSession, how string) {
	s := n.s
	s.resumed++
	if age := s.now - truth.born; age >= simLifetime+simSlack {
		s.t.Errorf("node %d: %s at the age of %v", n.index, how, age)
	}
	for _, r := range s.rules {
		if truth.born <= r.given && (r.name == "" || r.name == truth.name) {
			s.t.Errorf("node %d: %s, though all had acknowledged to forget it (born %v before the command, %v ago)",
				n.index, how, r.given-truth.born, s.now-r.given)
		}
	}
}

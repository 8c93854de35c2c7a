package sim

import (
	"fmt"
	"time"

	"reprise/replicate"
	"reprise/tlsconn"
)

// A session is what a client holds.
type session struct {
	name    string // for the log
	key     tlsconn.Key
	owner   replicate.ID
	ownerAt *slot
	born    time.Duration // true time of its full handshake
	sni     int
	context int
	used    []use
}

// A use is a resumption.
type use struct {
	at, foundAt time.Duration
	by          *slot
}

var (
	serverNames = []string{"a.example", "b.example", "c.example"}
	contexts    = []string{"one", "two"}
)

// An attempt is a handshake that offers a session.
type attempt struct {
	id      int
	of      *session
	takes   time.Duration // until the client's Finished
	leaves  bool          // it never finishes
	renewed tlsconn.Key   // of the session that replaces this one
	lookup  *tlsconn.Lookup
	session tlsconn.Session
	foundAt time.Duration // true time
	// against are forgets that should have kept it from being found.
	against []*forget
}

// full makes a full handshake at s.
func (w *world) full(s *slot) {
	c := &session{
		name: fmt.Sprintf("s%d",
			len(w.clients)), key: randomKey(w.rand), owner: s.node.id, ownerAt: s, born: w.now,
		sni: w.rand.IntN(len(serverNames)), context: w.rand.IntN(len(contexts)),
	}
	w.clients = append(w.clients, c)
	w.counts.made++
	w.probe(c)
	w.log("%s is made at node %d for %s in %s", c.name, s.index, serverNames[c.sni], contexts[c.context])
	s.node.input(func(n *node) {
		now := n.now()
		n.memory.Save(c.key, tlsconn.Session{
			State: c.state(), Born: now, Expires: now.Add(lifetime),
			Source: tlsconn.SourceLocal,
		})
	})
}

// probe offers c when its life has just ended, at any node that may count otherwise.
func (w *world) probe(c *session) {
	for range 2 {
		w.at(c.born+lifetime+ageSlack+w.between(time.Millisecond, 200*time.Millisecond), func() {
			if s := w.anySlot((*slot).serves); s != nil {
				w.offer(s, c)
			}
		})
	}
}

// serves reports whether clients can connect to s.
func (s *slot) serves() bool { return s.node != nil && !s.paused }

func (n *node) now() time.Time { return n.w.epoch().Add(n.clock()) }

func (c *session) state() []byte {
	b := tlsconn.AppendStatePrefix(nil, tlsconn.NameHash(serverNames[c.sni]),
		tlsconn.ContextHash(contexts[c.context]), tlsconn.CodecStandard)
	return append(b, "a master secret"...)
}

// offer begins a handshake at s that offers c.
func (w *world) offer(s *slot, c *session) {
	w.lastID++
	w.counts.offered++
	a := attempt{
		id: w.lastID, of: c, takes: w.between(0, 30*time.Millisecond), leaves: w.chance(0.1),
		renewed: randomKey(w.rand),
	}
	if w.chance(0.1) {
		a.takes = w.between(0, handshakeTime)
	}
	s.node.input(func(n *node) {
		a := a
		n.attempts[a.id] = &a
		n.begun(&a)
	})
}

// begun looks for the session as the engine does.
func (n *node) begun(a *attempt) {
	owner := tlsconn.NodeID(a.of.owner.Short())
	s, v := n.memory.Find(nil, a.of.key, owner, n.w.single)
	switch v {
	case tlsconn.Found:
		n.found(a, s)
		return
	case tlsconn.Unknown:
		a.lookup = tlsconn.NewLookup(a.of.key, owner, n.w.single, waker{n, a.id})
		if n.memory.Ask(a.lookup) {
			n.plan(n.w.now+lookupTime, func(n *node) { n.giveUp(a.id) })
			return
		}
	}
	n.missed(a, v)
}

type waker struct {
	n  *node
	id int
}

// Wake implements tlsconn.Waker.
func (w waker) Wake() { w.n.plan(w.n.w.now, func(n *node) { n.answered(w.id) }) }

func (n *node) answered(id int) {
	a := n.attempts[id]
	if a == nil || a.lookup == nil {
		return
	}
	s, v, ok := a.lookup.Result()
	if !ok {
		return
	}
	a.lookup = nil
	if v != tlsconn.Found {
		n.missed(a, v)
		return
	}
	n.found(a, s)
}

func (n *node) giveUp(id int) {
	a := n.attempts[id]
	if a == nil || a.lookup == nil {
		return
	}
	a.lookup.GiveUp()
	if s, v, ok := a.lookup.Result(); ok && v == tlsconn.Found { // the answer came just before
		a.lookup = nil
		n.found(a, s)
		return
	}
	n.missed(a, tlsconn.Late)
}

func (n *node) missed(a *attempt, v tlsconn.Verdict) {
	delete(n.attempts, a.id)
	if !n.reliving {
		n.w.log("%s is refused at node %d: %v", a.of.name, n.slot.index, v.Miss())
	}
}

// found continues with a session. Later the client proves that it holds it.
func (n *node) found(a *attempt, s tlsconn.Session) {
	a.session = s
	if !n.reliving {
		a.foundAt = n.w.now
		a.against = n.w.forgotten(n, a.of)
	}
	n.plan(n.w.now+a.takes, func(n *node) { n.finished(a.id) })
}

// finished is the client's Finished, or its end.
func (n *node) finished(id int) {
	a := n.attempts[id]
	if a == nil {
		return
	}
	delete(n.attempts, id)
	owner := tlsconn.NodeID(a.of.owner.Short())
	now := n.now()
	switch {
	case a.leaves:
		if n.w.single {
			n.memory.Release(a.of.key, owner, a.session.Hold)
		}
		return
	case n.w.single:
		if !n.memory.Spend(a.of.key, owner, a.session.Hold, a.session.Expires.Sub(now)) {
			if !n.reliving {
				n.w.log("%s was lost to another handshake at node %d", a.of.name, n.slot.index)
			}
			return
		}
	}
	if !n.reliving {
		n.w.resumed(n, a)
	}
	n.memory.Save(a.renewed, tlsconn.Session{
		State: a.of.state(), Born: a.session.Born, Expires: a.session.Expires,
		Source: tlsconn.SourceLocal,
	})
}

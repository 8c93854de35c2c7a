package sim

import (
	"fmt"
	"slices"
	"time"

	"reprise/replicate"
	"reprise/tlsconn"
)

const (
	// ageSlack is what rounding and the shortest path between nodes may add to a session's life.
	ageSlack = 20 * time.Millisecond
	// settleTime is the time that separated nodes need to exchange everything.
	settleTime = 3 * time.Second
)

// A forget is a command to forget and its outcome.
type forget struct {
	name   string
	scope  replicate.ForgetScope
	which  int
	given  time.Duration
	acked  time.Duration // 0 as long as nothing is promised
	silent []*slot
	// unknown are the slots whose nodes the commanding node has not been in contact with for longer
	// than a session lives.
	unknown []*slot
	obeyed  []*node // lives that ran when it was acknowledged, except silent ones and copies
	copied  bool    // there were copies: one of them may have answered for the other
}

func (f *forget) covers(c *session) bool {
	if c.born >= f.given {
		return false
	}
	switch f.scope {
	case replicate.ForgetName:
		return c.sni == f.which
	case replicate.ForgetContext:
		return c.context == f.which
	default:
		return true
	}
}

// forget gives the command at s.
func (w *world) forget(s *slot) {
	f := &forget{
		name: fmt.Sprintf("f%d", len(w.forgets)), scope: replicate.ForgetScope(w.rand.IntN(3)),
		given: w.now,
	}
	var hash uint64
	switch f.scope {
	case replicate.ForgetName:
		f.which = w.rand.IntN(len(serverNames))
		hash = tlsconn.NameHash(serverNames[f.which])
	case replicate.ForgetContext:
		f.which = w.rand.IntN(len(contexts))
		hash = tlsconn.ContextHash(contexts[f.which])
	}
	for _, other := range w.slots {
		if other != s && w.now-w.link(other, s).heardAt > lifetime-100*time.Millisecond {
			f.unknown = append(f.unknown, other)
		}
	}
	w.forgets = append(w.forgets, f)
	w.log("%s is given at node %d: scope %d, %d", f.name, s.index, f.scope, f.which)
	s.node.input(func(n *node) {
		n.proto.Forget(n.clock(), f.scope, hash, func(r replicate.Forgetting) {
			if !n.reliving && n.restoredFrom == 0 {
				w.acknowledged(f, r)
			}
		})
		n.tick()
	})
}

func (w *world) acknowledged(f *forget, r replicate.Forgetting) {
	f.acked = w.now
	for _, name := range r.Silent {
		f.silent = append(f.silent, w.named(name)...)
	}
	for _, s := range w.slots {
		switch {
		case s.node == nil || slices.Contains(f.silent, s):
		case w.copies(s.node) > 1:
			f.copied = true
		default:
			f.obeyed = append(f.obeyed, s.node)
		}
	}
	w.counts.acknowledged++
	if len(r.Silent) > 0 {
		w.counts.silent++
	}
	w.log("%s is acknowledged; silent: %v", f.name, r.Silent)
	for range 5 { // clients of forgotten sessions come at once
		s, c := w.anySlot((*slot).serves), w.clients[len(w.clients)-1-w.rand.IntN(min(20,
			len(w.clients)))]
		if s != nil {
			w.after(w.between(1, 20*time.Millisecond), func() {
				if s.serves() {
					w.offer(s, c)
				}
			})
		}
	}
}

// named returns the slots that a node may mean by a peer's name.
func (w *world) named(name string) (list []*slot) {
	for _, s := range w.slots {
		if name == s.name() || name == s.addr.String() || s.node != nil &&
			name == s.node.id.Short().String() {
			list = append(list, s)
		}
	}
	return list
}

func (s *slot) name() string { return fmt.Sprintf("node%d", s.index) }

// resumed checks a resumption against the promises.
func (w *world) resumed(n *node, a *attempt) {
	c := a.of
	w.counts.resumed++
	age := a.foundAt - c.born
	w.log("%s resumes at node %d at the age of %v, and is s%d from now on", c.name, n.slot.index, age, len(w.clients))
	if age > lifetime+ageSlack {
		w.fail("%s, born %v ago, resumed at node %d", c.name, age, n.slot.index)
	}
	for _, f := range a.against {
		w.fail("%s, forgotten by %s, which had been acknowledged %v before, resumed at node %d", c.name, f.name, a.foundAt-f.acked, n.slot.index)
	}
	c.used = append(c.used, use{w.now, a.foundAt, n.slot})
	if w.single {
		w.counts.spent++
		if len(c.used) > 1 && w.inContact(c) {
			w.fail("%s was used %d times: %v", c.name, len(c.used), c.used)
		}
	}
	renewed := &session{
		name: fmt.Sprintf("s%d",
			len(w.clients)), key: a.renewed, owner: n.id, ownerAt: n.slot, born: c.born, sni: c.sni,
		context: c.context,
	}
	w.clients = append(w.clients, renewed)
	w.probe(renewed)
}

// forgotten returns the forgets because of which node n should not find c now.
func (w *world) forgotten(n *node, c *session) (list []*forget) {
	for _, f := range w.forgets {
		if f.acked != 0 && w.now > f.acked && f.covers(c) && !w.excused(f, n) {
			list = append(list, f)
		}
	}
	return list
}

// excused reports whether node n may not know of f yet: it was named as silent, or continues from a
// state before f, and has not been in contact with the others long enough since; or no node is left
// that could have told it.
func (w *world) excused(f *forget, n *node) bool {
	unsettled := w.now-n.slot.troubleAt < settleTime || w.isCutOff(n.slot)
	old := n.restoredFrom != 0 && n.restoredFrom <= f.acked
	young := n.born > f.given-settleTime // the commanding nodes may not have known it
	silent := len(f.silent) > 0
	if slices.Contains(f.unknown, n.slot) {
		return true
	}
	if unsettled && (old || silent || young) {
		return true
	}
	// Two copies share one name and one key: messages for one reach the other, and each makes the
	// other's datagrams replays.
	if w.copies(n) > 1 || unsettled && w.forked[n.id] {
		return true
	}
	obeyedLives := slices.ContainsFunc(f.obeyed, func(m *node) bool { return !m.dead && m != n })
	return (silent || f.copied) && !obeyedLives
}

// copies is the number of nodes that claim to be the machine n.
func (w *world) copies(n *node) (count int) {
	for _, s := range w.slots {
		if s.node != nil && s.node.instance == n.instance {
			count++
		}
	}
	return count
}

func (w *world) isCutOff(s *slot) bool {
	return slices.ContainsFunc(w.slots,
		func(o *slot) bool { return o.node != nil && o.group != s.group })
}

// inContact reports whether all nodes that decide about c, and those that used it, have been in
// contact all the time: its owner, or, if that is long gone, all that run.
func (w *world) inContact(c *session) bool {
	if w.forked[c.owner] {
		return false
	}
	since := w.now
	for _, u := range c.used {
		since = min(since, u.foundAt)
	}
	since -= settleTime
	var deciding []*slot
	if owner := c.ownerAt.node; owner != nil && owner.id == c.owner {
		deciding = []*slot{c.ownerAt}
	} else {
		for _, s := range w.slots {
			if s.node != nil {
				deciding = append(deciding, s)
			} else if s.troubleAt > since {
				return false // it has just died
			}
		}
	}
	for _, u := range c.used {
		deciding = append(deciding, u.by)
	}
	for _, a := range deciding {
		if a.node == nil || a.troubleAt > since || w.forked[a.node.id] {
			return false
		}
		for _, b := range deciding {
			if l := w.link(a, b); a != b && (l.gapAt > since || w.now-l.heardAt > deadAfter) {
				return false
			}
		}
	}
	return true
}

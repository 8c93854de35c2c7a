package replicate

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

const (
	forgetEvery = 100 * time.Millisecond
	// forgetFor is how long acknowledgements are waited for.
	forgetFor = 3 * time.Second
	// forgottenLen bounds how many commands are remembered, so that one that
	// is repeated is acknowledged and not obeyed again.
	forgottenLen = 64
)

// rule is the rule that a command puts in force.
func (n *Node) rule(m Forget) Rule {
	r := Rule{What: m.What, Hash: m.Hash, Left: n.o.KnownFor}
	binary.BigEndian.PutUint64(r.ID[:], m.ID)
	return r
}

// forgetting is a command of this node under way.
type forgetting struct {
	here    bool // this node itself has obeyed
	message Forget
	waiting map[ID]bool
	result  Forgetting
	until   time.Duration
	againAt time.Duration
	done    func(Forgetting)
}

// Forget makes this node and all live peers drop sessions. done is called once, on
// the node's goroutine, when all have obeyed or some have not for a while.
func (n *Node) Forget(now time.Duration, what ForgetScope, hash uint64, done func(Forgetting)) {
	n.now = now
	var id [8]byte
	_, _ = rand.Read(id[:])
	f := &forgetting{
		message: Forget{ID: binary.BigEndian.Uint64(id[:]), What: what, Hash: hash},
		waiting: make(map[ID]bool), result: Forgetting{Dropped: make(map[string]int)},
		until: now + forgetFor, againAt: now, done: done,
	}
	for id, p := range n.peers {
		if n.alive(p) {
			f.waiting[id] = true
		}
	}
	f.result.Rule = n.rule(f.message)
	n.forgets[f.message.ID] = f
	n.memory.AddRule(f.result.Rule, func(dropped int) {
		n.Defer(func() { f.here, f.result.Here = true, dropped; n.tickForgets() })
	})
	n.tickForgets()
}

func (n *Node) tickForgets() time.Duration {
	next := n.now + time.Second
	for id, f := range n.forgets {
		if f.here && (len(f.waiting) == 0 || n.now >= f.until) {
			delete(n.forgets, id)
			for id := range f.waiting {
				f.result.Silent = append(f.result.Silent, id.Short().String())
			}
			f.done(f.result)
			continue
		}
		if n.now >= f.againAt {
			f.againAt = n.now + forgetEvery
			n.broadcast(f.message.Append(n.msgs[:0]))
		}
		next = min(next, f.againAt)
	}
	return next
}

// handleForget obeys once and acknowledges each time.
func (n *Node) handleForget(p *peer, m Forget) {
	for i := range n.obeyed {
		if o := &n.obeyed[i]; o.id == m.ID {
			if o.done {
				n.acknowledge(p, o)
			}
			return
		}
	}
	n.nextObeyed = (n.nextObeyed + 1) % forgottenLen
	o := &n.obeyed[n.nextObeyed]
	*o = obeyed{id: m.ID}
	n.memory.AddRule(n.rule(m), func(dropped int) { n.Defer(func() { n.finishForget(p, m.ID, dropped) }) })
}

func (n *Node) finishForget(p *peer, id uint64, dropped int) {
	for i := range n.obeyed {
		if o := &n.obeyed[i]; o.id == id {
			o.done, o.dropped = true, dropped
			n.acknowledge(p, o)
		}
	}
}

type obeyed struct {
	id      uint64
	done    bool
	dropped int
}

func (n *Node) acknowledge(p *peer, o *obeyed) {
	n.sendTo(p, Forgotten{To: p.id.Short(), ID: o.id, Dropped: uint32(o.dropped)}.Append(n.msgs[:0]))
}

func (n *Node) handleForgotten(p *peer, m Forgotten) {
	f := n.forgets[m.ID]
	if f == nil || !f.waiting[p.id] {
		return
	}
	delete(f.waiting, p.id)
	f.result.Dropped[p.id.Short().String()] = int(m.Dropped)
	n.tickForgets()
}

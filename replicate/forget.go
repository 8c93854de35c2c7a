package replicate

import (
	"crypto/rand"
	"maps"
	"net/netip"
	"slices"
	"time"

	"reprise/replicate/wire"
)

// The rules to forget are a set that all nodes have, like the sessions: heartbeats carry its
// digest, and a node that receives a different digest sends its rules. So a node that was away, or
// is in contact with only one node, learns what it missed.

const (
	forgetEvery = 100 * time.Millisecond
	// forgetFor is the time to wait for acknowledgements.
	forgetFor = 3 * time.Second
	// rulesPerDatagram keeps a list within the smallest datagram.
	rulesPerDatagram = 30
	// maxDropped bounds the rules whose numbers of dropped sessions are kept.
	maxDropped = 256
)

// forgetting is a command of this node under way.
type forgetting struct {
	here    bool               // this node itself has obeyed
	waiting map[ShortID]string // nodes that have not acknowledged, with their labels
	obeyed  map[ShortID]bool   // nodes that have
	// unheard are configured addresses from which no node has been heard yet. A node there may have
	// lived, and received sessions, before this node started.
	unheard map[netip.AddrPort]string
	result  Forgetting
	until   time.Duration
	againAt time.Duration
	done    func(Forgetting)
}

// Forget makes this node and all others drop sessions. done is called once, on the node's
// goroutine, when all nodes have obeyed that are known to have lived within the longest life of a
// session, or some have not for a while. Configured peers count as known for that time even if they
// have never been heard.
func (n *Node) Forget(now time.Duration, what ForgetScope, hash uint64, done func(Forgetting)) {
	n.now = now
	rule := Rule{What: what, Hash: hash, Left: n.longest()}
	_, _ = rand.Read(rule.ID[:]) // never fails
	f := &forgetting{
		waiting: make(map[ShortID]string), obeyed: make(map[ShortID]bool),
		unheard: make(map[netip.AddrPort]string),
		result:  Forgetting{Rule: rule, Dropped: make(map[string]int)},
		until:   now + forgetFor, againAt: now + forgetEvery, done: done,
	}
	for _, p := range n.known {
		if !p.superseded {
			f.waiting[p.id.Short()] = n.label(p)
		}
	}
	for id, r := range n.rumours {
		if _, known := f.waiting[id]; !known {
			f.waiting[id] = n.rumourLabel(r)
		}
	}
	for addr, c := range n.contacts {
		if !c.isGroup && (c.is(Introducing) || c.is(NeverHeard) && now-c.toldAt < rule.Left) {
			f.unheard[addr] = c.label()
		}
	}
	n.forgets[rule.ID] = f
	n.memory.AddRule(rule, func(dropped int) {
		n.Defer(func() {
			f.here, f.result.Here = true, dropped
			n.tickForgets()
		})
	})
	n.repack()
	n.seal(wire.Rules{List: wire.RuleList(nil).Append(rule)}.Append(n.begin()))
	n.out.SendAll(n.told, n.sealed)
	n.tickForgets()
}

func (n *Node) tickForgets() time.Duration {
	next := n.now + time.Second
	for _, id := range keysOf(n.forgets, compareRules) {
		f := n.forgets[id]
		n.hearUnheard(f)
		if f.here && (len(f.waiting)+len(f.unheard) == 0 || n.now >= f.until) {
			delete(n.forgets, id)
			f.result.Silent = slices.AppendSeq(f.result.Silent, maps.Values(f.waiting))
			f.result.Silent = slices.AppendSeq(f.result.Silent, maps.Values(f.unheard))
			slices.Sort(f.result.Silent)
			f.result.Silent = slices.Compact(f.result.Silent)
			f.done(f.result)
			continue
		}
		if n.now >= f.againAt {
			f.againAt = n.now + forgetEvery
			rule := f.result.Rule
			rule.Age = n.now - (f.until - forgetFor)
			rule.Left -= rule.Age
			for _, id := range keysOf(f.waiting, compareShort) {
				if p := n.byShort[id]; p != nil && p.introduced {
					n.sendTo(p, wire.Rules{
						To:   id,
						List: wire.RuleList(nil).Append(rule),
					}.Append(n.begin()))
				}
			}
		}
		next = min(next, f.againAt, f.until)
	}
	return next
}

// hearUnheard adds peers introduced meanwhile to the waiting set.
func (n *Node) hearUnheard(f *forgetting) {
	for addr := range f.unheard {
		if c := n.contacts[addr]; c != nil && !c.is(Alive) {
			continue
		}
		delete(f.unheard, addr)
		for _, p := range n.known {
			if id := p.id.Short(); p.hasProved(addr) && !p.superseded && !f.obeyed[id] {
				f.waiting[id] = n.label(p)
			}
		}
	}
}

// sendRules sends p the rules in force, since its digest differs.
func (n *Node) sendRules(p *peer) {
	n.rules = n.memory.Rules(n.rules[:0])
	for rules := range slices.Chunk(n.rules, rulesPerDatagram) {
		var list wire.RuleList
		for _, r := range rules {
			if r.Left > 0 {
				list = list.Append(r)
			}
		}
		n.sendTo(p, wire.Rules{To: p.id.Short(), List: list}.Append(n.begin()))
	}
}

// handleRules puts rules in force and acknowledges each, even known ones.
func (n *Node) handleRules(p *peer, m wire.Rules) {
	for r := range m.List.All() {
		if r.Left <= 0 {
			continue
		}
		r.Left = min(r.Left, n.longest())
		id, isNew := r.ID, r.Age < forgetFor+time.Second
		if n.memory.AddRule(r, func(dropped int) {
			n.Defer(func() {
				n.obeyed(p, id, dropped,
					isNew)
			})
		}) {
			n.repack()
		}
	}
}

// obeyed acknowledges a rule. The number of sessions it dropped when it was new is kept, because an
// acknowledgement may be lost. The commanding node must also wait for the nodes that this node is
// not in contact with and that it does not know, having started after them.
func (n *Node) obeyed(p *peer, id RuleID, dropped int, isNew bool) {
	if dropped > 0 {
		if len(n.dropped) >= maxDropped {
			clear(n.dropped)
		}
		n.dropped[id] = dropped
	}
	dropped = n.dropped[id]
	if n.peers[p.id] == p && p.introduced {
		var silent wire.MemberList
		if isNew {
			silent = n.appendSilent(nil, p)
		}
		b := n.begin()
		if first := silent[:min(len(silent), membersPerDatagram*wire.MemberLen)]; len(first) > 0 {
			n.sendMemberList(p, silent[len(first):])
			b = wire.Members{To: p.id.Short(), List: first}.Append(b)
		}
		n.sendTo(p, wire.Obeyed{To: p.id.Short(), ID: id, Dropped: uint32(dropped)}.Append(b))
	}
}

func (n *Node) handleObeyed(p *peer, m wire.Obeyed) {
	f := n.forgets[m.ID]
	if f == nil {
		return
	}
	if _, waiting := f.waiting[p.id.Short()]; !waiting {
		return
	}
	delete(f.waiting, p.id.Short())
	f.obeyed[p.id.Short()] = true
	f.result.Dropped[n.label(p)] += int(m.Dropped)
	n.tickForgets()
}

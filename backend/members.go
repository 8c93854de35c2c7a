package backend

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Add makes a node a member of a pool with Options.Changing. It may be called from any goroutine.
// Loops find the node with their next Pick, without a lock, since the list of members is replaced
// as a whole. A node whose address has a DNS name is refused: its first look-up would come too
// late.
func (p *Pool) Add(s Spec) (*Node, error) {
	if !p.Options().Changing {
		return nil, fmt.Errorf("backend %s: the members of this pool do not change", s.Name)
	}
	n, err := p.add(s)
	if err != nil {
		return nil, err
	}
	p.wake()
	return n, nil
}

// Remove takes a node out of the pool. Connections to it go on, and it may be asked for its
// endpoint and told of failures as before, but it is not picked any more.
func (p *Pool) Remove(n *Node) {
	p.changing.Lock()
	m := p.members.Load()
	i := slices.Index(m.nodes, n)
	if i >= 0 {
		p.members.Store(newMembers(slices.Concat(m.nodes[:i], m.nodes[i+1:]), m.slots))
	}
	p.changing.Unlock()
	if i >= 0 {
		n.leave()
		p.wake() // waiting flows learn that no node is left
	}
}

// Removed reports whether the node was taken out of its pool.
func (n *Node) Removed() bool { return n.removed.Err() != nil }

// Close marks the pool as unused for good, so that what is kept for it can be freed.
func (p *Pool) Close() {
	p.closed.Store(true)
	for _, n := range p.Nodes() {
		p.Remove(n)
	}
}

// Closed reports whether Close was called.
func (p *Pool) Closed() bool { return p.closed.Load() }

// add makes a node and lists it.
func (p *Pool) add(s Spec) (*Node, error) {
	n, err := newNode(p, s, p.Options().TLS)
	if err != nil {
		return nil, err
	}
	if n.host != "" && p.Options().Changing {
		return nil, fmt.Errorf("backend %s: address %q: write a numeric one", n.Name(), s.Address)
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	m := p.members.Load()
	p.enlist(n, m.nodes)
	p.members.Store(newMembers(append(slices.Clip(m.nodes), n), max(m.slots, n.index+1)))
	p.startWatching(n)
	return n, nil
}

// enlist prepares a node as a member beside others. changing is held.
func (p *Pool) enlist(n *Node, others []*Node) {
	n.index = freeIndex(others)
	for hasSeed(others, n.seed) { // the same server twice is two nodes to Source as well
		n.seed++
	}
	n.graceEnd = time.AfterFunc(time.Hour, p.wake)
	n.graceEnd.Stop() // until Failed sets it
	n.removed, n.remove = context.WithCancel(context.Background())
}

// startWatching starts all of the pool's watchers for n. changing is held.
func (p *Pool) startWatching(n *Node) {
	for _, w := range p.watchers {
		w.start(n)
	}
}

// leave ends n's membership. changing is not held.
func (n *Node) leave() {
	n.remove()
	n.graceEnd.Stop()
}

func newMembers(nodes []*Node, slots int) *members {
	m := &members{nodes: nodes, slots: slots}
	for _, n := range nodes {
		tier := 0
		if n.backup.Load() {
			tier = 1
		}
		m.tiers[tier] = append(m.tiers[tier], n)
	}
	return m
}

// freeIndex returns the lowest index that no member has, so that cursors grow with the largest
// number of members at one time, not with their total.
func freeIndex(nodes []*Node) int {
	taken := make([]bool, len(nodes)+1)
	for _, n := range nodes {
		if n.index < len(taken) {
			taken[n.index] = true
		}
	}
	return slices.Index(taken, false)
}

func hasSeed(nodes []*Node, seed uint64) bool {
	return slices.ContainsFunc(nodes, func(n *Node) bool { return n.seed == seed })
}

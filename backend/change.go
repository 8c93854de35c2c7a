package backend

import (
	"context"
	"errors"
	"slices"
	"time"

	"reprise/backend/tlsclient"
)

// A Change gives a serving pool other members and options. Prepare does all that may fail, so
// Commit cannot fail.
type Change struct {
	pool   *Pool
	o      Options
	specs  []Spec
	nodes  []*Node // by their index in specs; those that stay are the same as before
	fresh  []*Node
	before *members

	clients map[*Node]*tlsclient.Client // of nodes that stay, if Options.TLS has changed
}

// Prepare makes a change that has no effect before its Commit. A backend that is already a member
// stays, with its connections and the state of its health; its weight, its bound and whether it is
// a backup may change. New ones with a DNS name are resolved. Errors are lines for an operator. No
// other change may be made before the Commit.
func (p *Pool) Prepare(ctx context.Context, specs []Spec, o Options,
	lookup Lookup,
) (*Change, error) {
	if len(specs) == 0 && !o.Changing {
		return nil, errors.New("a pool of backends needs at least one")
	}
	c := &Change{
		pool: p, o: o, before: p.members.Load(),
		clients: make(map[*Node]*tlsclient.Client),
	}
	left := slices.Clone(c.before.nodes)
	for _, s := range specs {
		n, err := newNode(p, s, o.TLS)
		if err != nil {
			return nil, err
		}
		c.specs = append(c.specs, n.spec)
		if i := slices.IndexFunc(left, func(old *Node) bool { return same(&old.spec, &n.spec) }); i >= 0 {
			if o.TLS != p.Options().TLS {
				c.clients[left[i]] = n.TLS()
			}
			n = left[i]
			left = slices.Delete(left, i, i+1)
		} else if c.fresh = append(c.fresh, n); n.host != "" {
			if err := n.resolveFirst(ctx, lookup); err != nil {
				return nil, err
			}
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

// same reports whether two specs name one server, so that its state is kept.
func same(a, b *Spec) bool {
	x, y := *a, *b
	x.Weight, x.MaxConns, x.Backup = y.Weight, y.MaxConns, y.Backup
	return x == y
}

// Differs reports whether Commit changes anything.
func (c *Change) Differs() bool {
	if c.o != *c.pool.Options() || !slices.Equal(c.nodes, c.before.nodes) {
		return true
	}
	for i, n := range c.nodes {
		s := &c.specs[i]
		if n.share.Load() != int64(s.Weight) || n.maxConns.Load() != int64(s.MaxConns) ||
			n.backup.Load() != s.Backup {
			return true
		}
	}
	return false
}

// Commit makes the change. The next Pick sees it; connections to former members go on.
func (c *Change) Commit() {
	p := c.pool
	p.changing.Lock()
	// New nodes may get the indices of nodes that go: cursors tell them apart.
	var stay []*Node
	for _, n := range c.nodes {
		if !slices.Contains(c.fresh, n) {
			stay = append(stay, n)
		}
	}
	slots := c.before.slots
	for _, n := range c.fresh {
		p.enlist(n, stay)
		stay = append(stay, n)
		slots = max(slots, n.index+1)
	}
	for i, n := range c.nodes {
		n.tune(&c.specs[i])
		if client, is := c.clients[n]; is {
			n.tls.Store(client)
		}
	}
	p.o.Store(&c.o)
	p.members.Store(newMembers(c.nodes, slots))
	for _, n := range c.fresh {
		p.startWatching(n)
	}
	p.changing.Unlock()
	for _, n := range c.before.nodes {
		if !slices.Contains(c.nodes, n) {
			n.leave()
		}
	}
	p.wake()
}

// Inherit takes over the state of the servers that are in both pools.
func (p *Pool) Inherit(old *Pool) {
	for _, n := range p.Nodes() {
		i := slices.IndexFunc(old.Nodes(), func(o *Node) bool { return same(&o.spec, &n.spec) })
		if i < 0 {
			continue
		}
		o := old.Nodes()[i]
		n.flags.Or(o.flags.Load() & (flagDown | flagDraining))
		if at := o.failedAt.Load(); at != 0 {
			n.failedAt.Store(p.stamp(old.epoch.Add(time.Duration(at))))
		}
	}
}

// SetOptions replaces the pool's options.
func (p *Pool) SetOptions(o Options) {
	p.o.Store(&o)
	p.wake()
}

// Retire marks a pool that no rule leads to any more. Flows on their way to it still get a node;
// connections are not kept for later requests, and nodes are not checked.
func (p *Pool) Retire() {
	p.closed.Store(true)
	p.SetChecks(nil)
	for _, n := range p.Nodes() {
		n.remove()
	}
}

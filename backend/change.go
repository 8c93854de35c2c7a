package backend

import (
	"context"
	"errors"
	"slices"
	"time"

	"reprise/backend/tlsclient"
)

// A Change is other members and options for a pool that serves. It is prepared first, so
// that whatever may fail has been done when it is made, and Commit cannot fail.
type Change struct {
	pool   *Pool
	o      Options
	specs  []Spec
	nodes  []*Node // by their place in specs; those that stay are the same as before
	fresh  []*Node
	before *members

	clients map[*Node]*tlsclient.Client // of those that stay, if Options.TLS is another
}

// Prepare makes a change of which nothing is seen before its Commit. A backend that is
// there already stays, with its connections and what is known of its health; its weight,
// its bound and whether it is a backup may change. New ones with a DNS name are resolved.
// Errors are lines for an operator. No other change may be made before the Commit.
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

// same reports whether two specs are of one server, so that what is known of it stays.
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

// Commit makes the change. Whoever picks next finds it; connections to members that are
// gone go on.
func (c *Change) Commit() {
	p := c.pool
	p.changing.Lock()
	// Indices of those that go may be given to those that come: cursors tell them apart.
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

// Inherit takes over what old knows of the servers that are in both pools.
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

// SetOptions puts others in place of the pool's.
func (p *Pool) SetOptions(o Options) {
	p.o.Store(&o)
	p.wake()
}

// Retire says that nothing new leads to this pool any more. Those who are on their way to
// it still get a node; no connection is kept for a later request, and nothing is checked.
func (p *Pool) Retire() {
	p.closed.Store(true)
	p.SetChecks(nil)
	for _, n := range p.Nodes() {
		n.remove()
	}
}

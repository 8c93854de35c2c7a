package backend

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
)

// Options are what the nodes of a pool have in common.
type Options struct {
	Balance   Balance
	Grace     time.Duration // how long a node that failed is left alone
	SlowStart time.Duration // how long a node that comes back takes to its full weight; 0: none
	QueueLen  int           // how many may wait for room
}

// A Pool is the servers that serve one listener. All loops share it.
type Pool struct {
	o      Options
	epoch  time.Time
	nodes  []*Node
	tiers  [2][]*Node // the nodes without the backups, and the backups
	onRoom []func()   // written before the pool is used

	queued  atomic.Int64
	refused metric.Counter
}

// NewPool makes a pool. Nodes whose address has a DNS name are not used before Resolve.
// Errors are lines for an operator.
func NewPool(specs []Spec, o Options) (*Pool, error) {
	if len(specs) == 0 {
		return nil, errors.New("a pool of backends needs at least one")
	}
	p := &Pool{o: o, epoch: time.Now()}
	seeds := make(map[uint64]bool)
	for i, s := range specs {
		n, err := newNode(p, i, s)
		if err != nil {
			return nil, err
		}
		for seeds[n.seed] { // the same server twice is two nodes to Source as well
			n.seed++
		}
		seeds[n.seed] = true
		if o.QueueLen > 0 {
			n.graceEnd = time.AfterFunc(time.Hour, p.wake)
			n.graceEnd.Stop() // until Failed sets it
		}
		tier := 0
		if s.Backup {
			tier = 1
		}
		p.nodes, p.tiers[tier] = append(p.nodes, n), append(p.tiers[tier], n)
	}
	return p, nil
}

// Nodes returns the nodes in order; the slice must not be changed.
func (p *Pool) Nodes() []*Node { return p.nodes }

// stamp is a time in nanoseconds since the pool was made, by the monotonic clock,
// so that setting the clock neither heals a node nor keeps it ill. It is never 0.
func (p *Pool) stamp(t time.Time) int64 { return int64(t.Sub(p.epoch)) | 1 }

// A Cursor is one loop's place in the round of a pool. It belongs to its loop. The
// zero value is ready; its first use allocates, and so does its first use
// with another pool, where it starts afresh.
type Cursor struct {
	pool       *Pool
	places     []place // by Node.index
	candidates []*Node // scratch of Pick
	turn       uint    // where LeastConns begins to compare, so that equals take turns
}

type place struct {
	credit   int64 // of RoundRobin
	endpoint uint  // the next address
}

func (c *Cursor) enter(p *Pool) {
	if c.pool != p {
		*c = Cursor{pool: p, places: make([]place, len(p.nodes)), candidates: make([]*Node, 0, len(p.nodes))}
	}
}

// A Verdict is how Pick ended.
type Verdict uint8

const (
	Picked Verdict = iota // a slot of the node is taken until its Release
	Full                  // nodes are well, but have as many connections as they may: wait
	Down                  // no node may be used
)

// Pick chooses a node for a connection from source and takes a slot of it.
// avoid is a node that has just been tried, or nil: another is preferred, but it alone
// is better than none. Pick takes no lock and allocates nothing.
//
// Backups are picked if no other node is usable; that the others are full is no reason.
// If all nodes have failed, the one that failed or was tried longest ago is probed.
func (p *Pool) Pick(c *Cursor, source netip.Addr, avoid *Node, now time.Time) (*Node, Verdict) {
	c.enter(p)
	at := p.stamp(now)
	full := false
	for _, tier := range p.tiers {
		full = c.collect(tier, avoid, at)
		for len(c.candidates) > 0 {
			i := p.o.Balance.choose(c, source, at)
			if n := c.candidates[i]; n.take(at) {
				return n, Picked
			}
			full = true // another loop took the last slot
			c.candidates = slices.Delete(c.candidates, i, i+1)
		}
		if full {
			break
		}
	}
	if avoid != nil && avoid.usable(at) {
		if avoid.take(at) {
			return avoid, Picked
		}
		full = true
	}
	if full {
		return nil, Full
	}
	return p.probe(avoid, at)
}

// collect gathers the usable nodes with room and reports whether there are
// usable nodes without.
func (c *Cursor) collect(tier []*Node, avoid *Node, at int64) (full bool) {
	c.candidates = c.candidates[:0]
	for _, n := range tier {
		switch {
		case n == avoid || !n.usable(at):
		case n.hasRoom():
			c.candidates = append(c.candidates, n)
		default:
			full = true
		}
	}
	return full
}

// probe picks among nodes that have all failed.
func (p *Pool) probe(avoid *Node, at int64) (*Node, Verdict) {
	var best *Node
	verdict := Down
	for _, n := range p.nodes {
		switch {
		case n.flags.Load() != 0:
		case !n.hasRoom():
			verdict = Full
		case best == nil, best == avoid, n != avoid && n.failedAt.Load() < best.failedAt.Load():
			best = n
		}
	}
	switch {
	case best == nil:
		return nil, verdict
	case best.take(at):
		return best, Picked
	default:
		return nil, Full
	}
}

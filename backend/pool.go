package backend

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"reprise/backend/tlsclient"
	"reprise/internal/metric"
)

// Options are what the nodes of a pool have in common.
type Options struct {
	Name      string // for logs and statistics; may be empty
	Balance   Balance
	Grace     time.Duration // how long a failed node is left alone
	SlowStart time.Duration // time until a node that comes back has its full weight; 0: none
	QueueLen  int           // how many flows may wait for room

	// The rest is for the engine; the pool itself does not use it.

	Retries        int           // further nodes to try when one cannot be reached
	ConnectTimeout time.Duration // for each node tried, and for room at one
	SendProxy      int           // version of the PROXY header that nodes get, 0: none

	TLS *tlsclient.Policy // TLS to nodes that have it; nil if there are none

	// Changing allows Add and Remove. Such a pool may begin empty.
	Changing bool
}

// A Pool is the set of servers for connections or requests of one kind. All loops share it.
type Pool struct {
	o       atomic.Pointer[Options]
	epoch   time.Time
	members atomic.Pointer[members]
	onRoom  atomic.Pointer[[]func()]

	// held to replace members or onRoom, and by watch; never by Pick
	changing sync.Mutex
	served   []*metric.Histograms[Class] // one of each loop; guarded by changing
	watchers []*watcher
	checks   func() // ends the health checks, nil if there are none; guarded by checking
	checking sync.Mutex

	queued  atomic.Int64
	refused metric.Counter
	closed  atomic.Bool
	shared  SharedCounts
	tls     tlsclient.Counts
}

// SharedCounts counts the connections to backends of HTTP/2. Only loops write it.
type SharedCounts struct {
	Conns, Streams metric.Gauge
}

// Shared returns the pool's counts of shared connections.
func (p *Pool) Shared() *SharedCounts { return &p.shared }

// members are the nodes of a pool at one time. They are immutable once published: a Pick that has
// begun continues with those it found.
type members struct {
	nodes []*Node
	tiers [2][]*Node // the nodes without the backups, and the backups
	slots int        // above every Node.index, of former members too
}

// NewPool makes a pool. Nodes whose address has a DNS name are unusable before Resolve. Errors are
// lines for an operator.
func NewPool(specs []Spec, o Options) (*Pool, error) {
	if len(specs) == 0 && !o.Changing {
		return nil, errors.New("a pool of backends needs at least one")
	}
	p := &Pool{epoch: time.Now()}
	p.o.Store(&o)
	p.members.Store(new(members))
	p.onRoom.Store(new([]func()))
	for _, s := range specs {
		if _, err := p.add(s); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Options returns the options the pool was made with, or those of the last Change. They must not be
// changed.
func (p *Pool) Options() *Options { return p.o.Load() }

// Nodes returns the nodes in order; the slice must not be changed.
func (p *Pool) Nodes() []*Node { return p.members.Load().nodes }

// stamp is a time in nanoseconds since the pool was made, by the monotonic clock, so that setting
// the clock neither ends nor extends a grace. It is never 0.
func (p *Pool) stamp(t time.Time) int64 { return int64(t.Sub(p.epoch)) | 1 }

// A Cursor is one loop's place in the round of a pool. It belongs to its loop. The zero value is
// ready; it allocates at its first use, at its first use with another pool, where it starts afresh,
// and after members were added.
type Cursor struct {
	pool       *Pool
	places     []place // by Node.index
	candidates []*Node // scratch of Pick
	turn       uint    // where LeastConns begins to compare, so that equal nodes take turns
}

type place struct {
	node     *Node // its node: a later node may have the same index
	credit   int64 // of RoundRobin
	endpoint uint  // index of the next address
}

func (c *Cursor) enter(p *Pool) *members {
	m := p.members.Load()
	if c.pool != p {
		*c = Cursor{pool: p}
	}
	if len(c.places) < m.slots {
		c.places = append(c.places, make([]place, m.slots-len(c.places))...)
		c.candidates = make([]*Node, 0, m.slots)
	}
	return m
}

// place returns the cursor's place for n, which is one of the members entered.
func (c *Cursor) place(n *Node) *place {
	at := &c.places[n.index]
	if at.node != n {
		*at = place{node: n}
	}
	return at
}

// A Verdict is how Pick ended.
type Verdict uint8

const (
	Picked Verdict = iota // a slot of the node is taken until its Release
	Full                  // nodes are up, but all are full: wait
	Down                  // no node may be used
)

// Pick chooses a node for a connection from source and takes a slot of it. avoid is a node that has
// just been tried, or nil: it is picked only if it is the only choice. Pick takes no lock and
// allocates nothing.
//
// Backups are picked if no other node is usable; full nodes are not a reason. If all nodes have
// failed, the one whose last failure or attempt is the oldest is probed.
func (p *Pool) Pick(c *Cursor, source netip.Addr, avoid *Node, now time.Time) (*Node, Verdict) {
	m := c.enter(p)
	at, balance := p.stamp(now), p.o.Load().Balance
	full := false
	for _, tier := range m.tiers {
		full = c.collect(tier, avoid, at)
		for len(c.candidates) > 0 {
			i := balance.choose(c, source, at)
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
	if avoid != nil && avoid.pool == p && avoid.usable(at) {
		if avoid.take(at) {
			return avoid, Picked
		}
		full = true
	}
	if full {
		return nil, Full
	}
	return m.probe(avoid, at)
}

// collect gathers the usable nodes that have room and reports whether there are usable nodes that
// have none.
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
func (m *members) probe(avoid *Node, at int64) (*Node, Verdict) {
	var best *Node
	verdict := Down
	for _, n := range m.nodes {
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

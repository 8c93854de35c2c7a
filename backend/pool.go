package backend

import (
	"errors"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
)

// A Node is one backend server.
type Node struct {
	// Network is "tcp" or "unix", Address what to connect to: a numeric
	// host:port or a path.
	Network, Address string

	failedAt atomic.Int64 // unix nanoseconds of the last failure, 0 if well; written by any loop

	connects, failures metric.Counter
}

// Connected notes that a connection was established: the node is well.
func (n *Node) Connected() {
	n.connects.Inc()
	if n.failedAt.Load() != 0 {
		n.failedAt.Store(0)
	}
}

// Failed notes that no connection could be established.
func (n *Node) Failed(now time.Time) {
	n.failures.Inc()
	n.failedAt.Store(now.UnixNano())
}

// A Pool is the servers that serve one listener, in equal shares.
type Pool struct {
	nodes []*Node
	grace time.Duration
}

// NewPool makes a pool. A node that failed is left alone for grace, unless all
// have: then each attempt probes the one that failed longest ago.
func NewPool(nodes []*Node, grace time.Duration) (*Pool, error) {
	if len(nodes) == 0 {
		return nil, errors.New("backend: a pool needs at least one node")
	}
	return &Pool{nodes: nodes, grace: grace}, nil
}

// A Cursor is one loop's place in the round; the zero value starts with the
// first node. It belongs to its loop.
type Cursor struct{ next int }

// Pick returns the next node that is not failed, round robin.
func (p *Pool) Pick(c *Cursor, now time.Time) *Node {
	var probe *Node
	for range p.nodes {
		n := p.nodes[c.next%len(p.nodes)]
		c.next = (c.next + 1) % len(p.nodes)
		failedAt := n.failedAt.Load()
		if failedAt == 0 || now.UnixNano()-failedAt >= int64(p.grace) {
			return n
		}
		if probe == nil || failedAt < probe.failedAt.Load() {
			probe = n
		}
	}
	return probe
}

// NodeStats is a node as the stats server shows it.
type NodeStats struct {
	Name     string `json:"name" label:"name"`
	Hits     uint64 `json:"hits" metric:"counter" help:"Connections established to the backend."`
	Failures uint64 `json:"failures" metric:"counter" help:"Connections to the backend that failed or timed out."`
	// Grace is uWSGI's: the unix time at which the node was marked dead, 0
	// while it is well.
	Grace int64 `json:"grace"`
	Up    int   `json:"up" metric:"gauge" help:"1 while the backend is well, 0 while it is left alone."`
}

// Stats returns the state of all nodes. It may be called from any goroutine.
func (p *Pool) Stats() []NodeStats {
	list := make([]NodeStats, 0, len(p.nodes))
	for _, n := range p.nodes {
		s := NodeStats{Name: n.Address, Hits: n.connects.Load(), Failures: n.failures.Load(), Up: 1}
		if at := n.failedAt.Load(); at != 0 {
			s.Grace, s.Up = at/int64(time.Second), 0
		}
		list = append(list, s)
	}
	return list
}

// Nodes returns the nodes in order; the slice must not be changed.
func (p *Pool) Nodes() []*Node { return p.nodes }

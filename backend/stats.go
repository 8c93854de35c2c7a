package backend

import (
	"slices"
	"time"

	"reprise/backend/tlsclient"
	"reprise/internal/metric"
)

// Stats is a pool as the stats server shows it.
type Stats struct {
	PoolStats
	Nodes []NodeStats `json:"nodes"`
}

// PoolStats has what its nodes have in common.
type PoolStats struct {
	Queued  int64  `json:"queued" metric:"gauge" help:"Clients waiting because all backends have as many connections as they may."`
	Refused uint64 `json:"refused" metric:"counter" help:"Clients refused because too many were waiting for a backend."`

	H2CConns   int64 `json:"h2c_connections" metric:"gauge" help:"Connections to h2c backends open now, which requests of many clients share."`
	H2CStreams int64 `json:"h2c_streams" metric:"gauge" help:"Requests under way on connections to h2c backends."`

	// RequestDuration has only the classes of responses that occurred.
	RequestDuration *metric.Histograms[Class] `json:"request_duration" label:"class" help:"Time from a request's first byte to the end of its response, by class of the response's status."`

	TLS *tlsclient.Counts `json:"tls,omitempty"` // nil if no backend uses TLS
}

// NodeStats is a node as the stats server shows it.
type NodeStats struct {
	Name     string `json:"name" label:"name"`
	State    string `json:"state"` // up, backup, grace, draining or down
	Hits     uint64 `json:"hits" metric:"counter" help:"Connections established to the backend."`
	Failures uint64 `json:"failures" metric:"counter" help:"Connections to the backend that failed or timed out."`
	// Grace is uWSGI's: the unix time at which the node was marked dead, or last tried; 0 while it
	// is up.
	Grace         int64  `json:"grace"`
	Up            int    `json:"up" metric:"gauge" help:"1 while the backend is well, 0 while it is left alone."`
	Active        int64  `json:"active" metric:"gauge" help:"Connections that hold a slot of the backend."`
	MaxActive     int    `json:"max_active" metric:"gauge" help:"Connections the backend may have at once, 0 = no limit."`
	Draining      int    `json:"draining" metric:"gauge" help:"1 while the backend gets no new connections because an operator said so."`
	Checks        uint64 `json:"checks" metric:"counter" help:"Health checks made."`
	CheckFailures uint64 `json:"check_failures" metric:"counter" help:"Health checks that the backend failed."`
}

// Stats returns the state of the pool and its nodes. It may be called from any goroutine.
func (p *Pool) Stats() Stats {
	nodes := p.Nodes()
	s := Stats{
		PoolStats: PoolStats{
			Queued: p.queued.Load(), Refused: p.refused.Load(), H2CConns: p.shared.Conns.Load(),
			H2CStreams:      p.shared.Streams.Load(),
			RequestDuration: p.durations(), TLS: p.tlsStats(),
		},
		Nodes: make([]NodeStats, 0, len(nodes)),
	}
	for _, n := range nodes {
		s.Nodes = append(s.Nodes, n.stats())
	}
	return s
}

// Live reports whether there is a node that Pick would choose. A failed node counts once its grace
// is over, since nothing but a client's connection tries it. It may be called from any goroutine.
func (p *Pool) Live(now time.Time) bool {
	at := p.stamp(now)
	return slices.ContainsFunc(p.Nodes(), func(n *Node) bool { return n.usable(at) })
}

func (n *Node) stats() NodeStats {
	s := NodeStats{
		Name: n.spec.Name, State: n.state(), Hits: n.connects.Load(), Failures: n.failures.Load(),
		Active: n.active.Load(), MaxActive: int(n.maxConns.Load()),
		Checks: n.checks.Load(), CheckFailures: n.checksFailed.Load(),
	}
	if s.State == "up" || s.State == "backup" {
		s.Up = 1
	}
	if n.flags.Load()&flagDraining != 0 {
		s.Draining = 1
	}
	if at := n.failedAt.Load(); at != 0 {
		s.Grace = n.pool.epoch.Add(time.Duration(at)).Unix()
	}
	return s
}

func (n *Node) state() string {
	switch flags := n.flags.Load(); {
	case flags&(flagDown|flagUnresolved) != 0:
		return "down"
	case flags&flagDraining != 0:
		return "draining"
	case n.failedAt.Load() != 0:
		return "grace"
	case n.backup.Load():
		return "backup"
	default:
		return "up"
	}
}

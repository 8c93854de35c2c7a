package node

import (
	"fmt"
	"runtime"
	"strings"

	"reprise/backend"
	"reprise/cache"
	"reprise/stats"
)

// observe starts the stats and admin servers that are configured.
func (n *Node) observe() (err error) {
	r := n.registry()
	if a := n.config.Stats; !a.IsZero() {
		if n.stats, err = stats.ListenJSON(a.String(), r,
			stats.JSONOptions{Start: n.shown(statsSocket, a.String())}); err != nil {
			return err
		}
		n.onClose(func() { shutDown(n.stats) })
	}
	if err := n.observeRouters(); err != nil {
		return err
	}
	if err := n.openAdmin(r); err != nil {
		return err
	}
	return nil
}

// registry returns all statistics by name.
func (n *Node) registry() *stats.Registry {
	r := stats.NewRegistry(n.program.Version)
	r.RegisterCaches(n.cacheRows)
	build := buildInfo{n.program.Version, runtime.Version(), 1}
	r.Register("build", func() any { return build })
	r.Register("engine", func() any { return n.engine.Stats() })
	r.Register("backends", func() any { return n.backendRows() })
	if n.subscriptions != nil {
		r.Register("subscriptions", func() any { return n.subscriptions.table.Stats() })
	}
	if n.poller != nil {
		r.Register("replication", func() any { return n.poller.Stats() })
	}
	if n.sessions != nil {
		r.Register("lookups", func() any { return n.sessions.Stats() })
	}
	for i, st := range n.stores {
		r.Register(fmt.Sprintf("store%d", i+1), func() any { return st.Stats() })
	}
	for i, repeater := range n.repeaters {
		r.Register(fmt.Sprintf("repeater%d", i+1), func() any { return repeater.Stats() })
	}
	if n.accessLog.Load() != nil {
		r.Register("access_log", func() any { return n.accessStats() })
	}
	if n.acme != nil {
		r.Register("acme", func() any { return n.acme.Stats() })
	}
	r.Register("certificate", func() any { return n.expiry.snapshot() })
	r.Register("client_crl", func() any { return n.expiry.crlSnapshot() })
	r.Register("reload", func() any { return &n.reloads })
	r.Register("upgrade", func() any { return &n.upgrades })
	r.Register("log", func() any { return logStats{Dropped: n.log.Dropped()} })
	return r
}

// A buildInfo names the running program: by labels, as Prometheus' rules and dashboards join them.
type buildInfo struct {
	Version   string `json:"version" label:"version"`
	GoVersion string `json:"go_version" label:"goversion"`
	Info      int    `json:"info" metric:"gauge" help:"1, with the version of Reprise and of Go that it was built with."`
}

type logStats struct {
	Dropped uint64 `json:"dropped" metric:"counter" help:"Log lines lost because the log was not read."`
}

// A cacheRow is uWSGI's row of a cache, with our own counters.
type cacheRow struct {
	stats.Cache
	Tombstones    int    `json:"tombstones" metric:"gauge" help:"Deleted keys that are remembered, so that no late copy brings them back."`
	Expired       uint64 `json:"expired" metric:"counter" help:"Look-ups that found an entry too old."`
	Held          uint64 `json:"held" metric:"counter" help:"Look-ups that found an entry reserved by another handshake."`
	Spent         uint64 `json:"spent" metric:"counter" help:"Look-ups of a deleted entry."`
	Replaced      uint64 `json:"replaced" metric:"counter" help:"Entries replaced by one of the same key."`
	TooLarge      uint64 `json:"too_large" metric:"counter" help:"Entries refused because key or value exceeds its bound."`
	Refused       uint64 `json:"refused" metric:"counter" help:"Entries refused because their key had been deleted."`
	Evicted       uint64 `json:"evicted" metric:"counter" help:"Live entries dropped to make room."`
	Swept         uint64 `json:"swept" metric:"counter" help:"Expired entries reclaimed."`
	Deleted       uint64 `json:"deleted" metric:"counter" help:"Entries deleted on demand."`
	LiveBytes     int    `json:"live_bytes" metric:"gauge" help:"Bytes of the entries, with their overhead."`
	ResidentBytes int    `json:"resident_bytes" metric:"gauge" help:"Upper bound of the memory in use."`
	ReservedBytes int    `json:"reserved_bytes" metric:"gauge" help:"Address space reserved, which costs nothing until it is used."`
	Stripes       int    `json:"stripes"`
}

func (n *Node) cacheRows() []stats.CacheRow {
	rows := make([]stats.CacheRow, 0, len(n.caches))
	for _, c := range n.caches {
		row := newCacheRow(c.Stats())
		if n.memory == c {
			row.Hits, row.Miss = resumptions(n.engine.Stats().TLS.Outcomes.Counts())
		}
		rows = append(rows, row)
	}
	return rows
}

// resumptions counts hits and misses as uWSGI's document understands them: sessions that were
// resumed, wherever they came from, and sessions that could not be found.
func resumptions(outcomes map[string]uint64) (hits, miss uint64) {
	for o, n := range outcomes {
		switch {
		case strings.HasPrefix(o, "resumed_"):
			hits += n
		case o == "unknown", o == "expired", o == "late":
			miss += n
		}
	}
	return hits, miss
}

func newCacheRow(s cache.Stats) cacheRow {
	return cacheRow{
		Cache: stats.Cache{
			Name: s.Name, Hash: "maphash", KeySize: s.KeyLen, MaxItems: s.MaxItems,
			Blocks:    s.MaxItems,
			BlockSize: s.BlockLen, Items: s.Items, Hits: s.Hits, Miss: s.Miss, Full: s.Full,
		},
		Tombstones: s.Tombstones, Expired: s.Expired, Held: s.Held, Spent: s.Spent,
		Replaced: s.Replaced,
		TooLarge: s.TooLarge, Refused: s.Refused, Evicted: s.Evicted, Swept: s.Swept,
		Deleted:   s.Deleted,
		LiveBytes: s.BytesLive, ResidentBytes: s.BytesResident, ReservedBytes: s.BytesReserved,
		Stripes: s.Stripes,
	}
}

type backendRow struct {
	Router string `json:"router" label:"router"`
	Pool   string `json:"pool" label:"pool"`
	backend.NodeStats
}

// A poolRow is what the backends of a pool have in common.
type poolRow struct {
	Router string `json:"router" label:"router"`
	Pool   string `json:"pool" label:"pool"`
	backend.PoolStats
}

type backendRows struct {
	Pools []poolRow    `json:"pools"`
	Nodes []backendRow `json:"nodes"`
}

func (n *Node) backendRows() backendRows {
	rows := backendRows{Pools: []poolRow{}, Nodes: []backendRow{}}
	for _, p := range n.allPools() {
		router, name, s := p.router.String(), p.name(), p.Stats()
		rows.Pools = append(rows.Pools, poolRow{Router: router, Pool: name, PoolStats: s.PoolStats})
		for _, node := range s.Nodes {
			rows.Nodes = append(rows.Nodes, backendRow{Router: router, Pool: name, NodeStats: node})
		}
	}
	return rows
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
)

// fleet measures resumption at any node. The share of resumptions is a result and so not checked.
// Reprise's nodes have met before.
func fleet(ctx context.Context, b *bench, s *server, nodes int) (report.Sample, error) {
	if s.peer.Name == "reprise" && nodes > 1 {
		if err := s.awaitPeers(); err != nil {
			return report.Sample{}, err
		}
	}
	return b.load(ctx, s, load.Options{
		Mode: load.Resumed, TLS: true, HTTP: true, Conns: 16,
		Duration: b.duration,
	})
}

// replication measures a node's cost of receiving sessions.
func replication(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	if err := s.awaitPeers(); err != nil {
		return report.Sample{}, err
	}
	told := *s
	told.nodes = s.nodes[1:]
	meter, err := told.meter()
	if err != nil {
		return report.Sample{}, err
	}
	before, err := readStats(s.stats[1])
	if err != nil {
		return report.Sample{}, err
	}
	o := s.options(load.Options{
		Mode: load.Full, TLS: true, HTTP: true, Conns: 16,
		Duration: b.duration, Meter: meter,
	})
	o.Addrs = s.addrs[:1]
	result, err := load.Run(ctx, o)
	if err != nil {
		return report.Sample{}, err
	}
	sample := sampleOf(result)
	sample.Invalid = check(o, s, result)
	sample.Latency, sample.Handshakes = nil, 0 // those of clients, which are not measured here
	var after stats
	for deadline := time.Now().Add(time.Second); ; { // the last ones are under way
		if after, err = readStats(s.stats[1]); err != nil {
			return sample, err
		}
		if after.Replication.SessionsIn-before.Replication.SessionsIn >= result.Ops ||
			time.Now().After(deadline) {
			break
		}
	}
	received := after.Replication.SessionsIn - before.Replication.SessionsIn
	if received == 0 || len(after.Replication.Peers) == 0 {
		return sample, errors.New("no session arrived")
	}
	sample.Figure = 1e6 * sample.CPUSeconds / float64(received)
	sample.More = map[string]float64{
		"lag p50 µs": after.Replication.Peers[0].Lag.P50, "lag p99 µs": after.Replication.Peers[0].Lag.P99,
		"arrived %":    100 * float64(received) / float64(result.Ops),
		"ring dropped": float64(after.Replication.RingDropped),
	}
	return sample, nil
}

// stats are the fields of a node's statistics used here.
type stats struct {
	Caches      []cacheStats
	Replication struct {
		SessionsIn  int64 `json:"sessions_in"`
		RingDropped int64 `json:"ring_dropped"`
		AlivePeers  int   `json:"alive_peers"`
		Lookups     struct {
			Asked int64
			Time  quantiles
		}
		Peers []struct {
			Introduced int `json:"introduced"`
			Lag        quantiles
		}
	}
}

type cacheStats struct {
	Items         int
	LiveBytes     int64 `json:"live_bytes"`
	ResidentBytes int64 `json:"resident_bytes"`
}

type quantiles struct {
	Count int64
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
}

// cache is the one that keeps sessions.
func (s stats) cache() (c cacheStats) {
	if len(s.Caches) > 0 {
		c = s.Caches[0]
	}
	return c
}

func readStats(addr string) (stats, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return stats{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var all stats
	err = json.NewDecoder(io.LimitReader(conn, 1<<20)).Decode(&all)
	return all, err
}

// awaitPeers waits until all nodes have met.
func (s *server) awaitPeers() error { return s.awaitMembers(len(s.nodes) - 1) }

// awaitMembers waits until each node hears so many others.
func (s *server) awaitMembers(others int) error {
	for i, node := range s.nodes {
		err := node.await(func() error {
			st, err := readStats(s.stats[i])
			if alive := st.Replication.AlivePeers; err == nil && alive < others {
				err = fmt.Errorf("node %d hears %d of %d peers", i, alive, others)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

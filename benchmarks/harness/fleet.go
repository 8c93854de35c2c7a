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

// fleet measures resumption at any node. How much of it resumes is what it finds out
// and so not checked. Reprise's nodes have met before.
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

// replication measures what a node pays for being told of sessions.
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
	sample.Latency, sample.Handshakes = nil, 0 // those of clients, which are not the question
	var after stats
	for deadline := time.Now().Add(time.Second); ; { // the last ones are on their way
		if after, err = readStats(s.stats[1]); err != nil {
			return sample, err
		}
		if after.SessionsIn-before.SessionsIn >= result.Ops || time.Now().After(deadline) {
			break
		}
	}
	received := after.SessionsIn - before.SessionsIn
	if received == 0 || len(after.Peers) == 0 {
		return sample, errors.New("no session arrived")
	}
	sample.Figure = 1e6 * sample.CPUSeconds / float64(received)
	sample.More = map[string]float64{
		"lag p50 µs": after.Peers[0].Lag.P50, "lag p99 µs": after.Peers[0].Lag.P99,
		"arrived %":    100 * float64(received) / float64(result.Ops),
		"ring dropped": float64(after.RingDropped),
	}
	return sample, nil
}

// stats are what we look at of a node's statistics.
type stats struct {
	SessionsIn  int64 `json:"sessions_in"`
	RingDropped int64 `json:"ring_dropped"`
	Peers       []struct {
		Introduced int `json:"introduced"`
		Lag        struct {
			P50 float64 `json:"p50_us"`
			P99 float64 `json:"p99_us"`
		} `json:"lag"`
	} `json:"peers"`
}

func readStats(addr string) (stats, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return stats{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var all struct{ Replication stats }
	err = json.NewDecoder(io.LimitReader(conn, 1<<20)).Decode(&all)
	return all.Replication, err
}

// awaitPeers waits until all nodes have met.
func (s *server) awaitPeers() error {
	for i, node := range s.nodes {
		err := node.await(func() error {
			st, err := readStats(s.stats[i])
			met := 0
			for _, peer := range st.Peers {
				met += peer.Introduced
			}
			if err == nil && met < len(s.nodes)-1 {
				err = fmt.Errorf("node %d has met %d of %d peers", i, met, len(s.nodes)-1)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

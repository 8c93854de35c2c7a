package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
	"reprise/cache"
)

// lookUps measures Reprise's cache with n sessions of TLS 1.3 in it.
func lookUps(_ context.Context, b *bench, _ *server, n int) (sample report.Sample, err error) {
	const never = 1 << 62
	c, err := cache.New(cache.Options{Name: "bench", Items: n, KeyLen: 128, BlockLen: 4096})
	if err != nil {
		return sample, err
	}
	defer c.Close()
	lookups := 2_000_000
	if b.smoke {
		lookups = 1000
	}
	var key [16]byte
	value, buf := make([]byte, fillValueLen), make([]byte, 0, 4096)
	begin := time.Now()
	for i := range n {
		c.Put(sessionKey(&key, i), value, cache.Entry{Expires: never}, 0)
	}
	put := time.Since(begin)
	rng := rand.New(rand.NewPCG(1, 2))
	hits := 0
	begin = time.Now()
	for range lookups {
		if _, _, outcome := c.AppendGet(buf, sessionKey(&key, rng.IntN(n)), 1); outcome == cache.Hit {
			hits++
		}
	}
	get := time.Since(begin)
	if sample.Ops = int64(lookups); hits < lookups*99/100 {
		// A bound on items is a bound on each stripe's share of them, so a few may have been
		// evicted.
		sample.Invalid = fmt.Sprintf("%d of %d look-ups found nothing", lookups-hits, lookups)
	}
	sample.Seconds = get.Seconds()
	sample.Figure = float64(get.Nanoseconds()) / float64(lookups)
	sample.More = map[string]float64{
		"ns per put":        float64(put.Nanoseconds()) / float64(n),
		"bytes per session": float64(c.Stats().BytesResident) / float64(n),
		"GC pause µs":       micros(longestPause()),
	}
	return sample, nil
}

// indexLen is what a session takes besides in the cache's index, by the case resumed13-among.
const indexLen = 17

// sessionBytes measures what a node keeps of the session of a client that did a full handshake.
func sessionBytes(version uint16) measure {
	return func(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
		sample, err := b.load(ctx, s, load.Options{
			Mode: load.Full, Version: version, TLS: true, HTTP: true, Conns: 16, Duration: b.duration,
		})
		if err != nil {
			return sample, err
		}
		st, err := readStats(s.stats[0])
		if err != nil {
			return sample, err
		}
		kept := st.cache()
		if kept.Items == 0 {
			return sample, errors.New("the node keeps no session")
		}
		bytes := float64(kept.LiveBytes)/float64(kept.Items) + indexLen
		sample.Figure, sample.Latency, sample.Seconds = bytes, nil, 0
		sample.More = map[string]float64{"millions in a GB": gigabyte / bytes / 1e6}
		return sample, nil
	}
}

// among measures resumption at a node that has so many sessions of other clients.
func among(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	if err := b.fill(ctx, s, b.few(s.setup.sessions)); err != nil {
		return report.Sample{}, err
	}
	sample, err := b.load(ctx, s, load.Options{
		Mode: load.Resumed, TLS: true, HTTP: true, Conns: 16, Duration: b.duration,
	})
	if err != nil {
		return sample, err
	}
	st, err := readStats(s.stats[0])
	kept := st.cache()
	sample.More = map[string]float64{
		"sessions":                   float64(kept.Items),
		"resident bytes per session": float64(kept.ResidentBytes) / float64(max(kept.Items, 1)),
	}
	return sample, err
}

// few is n, or less if there is but a moment.
func (b *bench) few(n int) int {
	if b.smoke {
		return min(n, 1000)
	}
	return n
}

// sessionKey is a key as random as a handle's, derived from i.
func sessionKey(key *[16]byte, i int) []byte {
	const odd = 0x9e3779b97f4a7c15
	binary.LittleEndian.PutUint64(key[:8], uint64(i)*odd)
	binary.LittleEndian.PutUint64(key[8:], uint64(i))
	return key[:]
}

// longestPause runs the collector some times and returns the longest pause of the program.
func longestPause() time.Duration {
	const collections = 5
	for range collections {
		runtime.GC()
	}
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	var longest time.Duration
	for _, pause := range stats.Pause[:min(collections, len(stats.Pause))] {
		longest = max(longest, pause)
	}
	return longest
}

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"reprise/benchmarks/report"
	"reprise/cache"
)

// sessions measures Reprise's cache with n sessions of 200 bytes in it.
func sessions(_ context.Context, b *bench, _ *server, n int) (sample report.Sample, err error) {
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
	value, buf := make([]byte, 200), make([]byte, 0, 4096)
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

// sessionKey is a key as random as a handle's, made of i.
func sessionKey(key *[16]byte, i int) []byte {
	const odd = 0x9e3779b97f4a7c15
	binary.LittleEndian.PutUint64(key[:8], uint64(i)*odd)
	binary.LittleEndian.PutUint64(key[8:], uint64(i))
	return key[:]
}

// longestPause collects some times and returns the longest pause of the program that made.
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

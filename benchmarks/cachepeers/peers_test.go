package cachepeers

import (
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	items    = 20_000
	valueLen = 200
	lifetime = 300 * time.Second
)

// A key is a session's handle: random, so that a peer may use it unchanged.
type key = [16]byte

// store is the interface of a competitor. Values go in and out by copying, as a session's buffers
// are reused.
type store interface {
	// appendGet appends the value of k to dst.
	appendGet(dst []byte, k *key) (value []byte, ok bool)
	// put copies value; a full store drops an old entry for a new one.
	put(k *key, value []byte)
	close()
}

// run measures a store for about items entries: get finds one of items keys, put replaces one,
// evict puts a new one into a full store. memory is what filling it with ten times as many adds to
// the process, per entry.
func run(b *testing.B, newStore func(items int) store) {
	b.Run("op=get", func(b *testing.B) {
		s, keys := filled(b, newStore)
		inParallel(b, func(i int, buf []byte) {
			if v, ok := s.appendGet(buf, &keys[i%items]); ok && len(v) != valueLen {
				b.Errorf("a value of %d bytes, want %d", len(v), valueLen)
			}
		})
	})
	b.Run("op=put", func(b *testing.B) {
		s, keys := filled(b, newStore)
		value := make([]byte, valueLen)
		inParallel(b, func(i int, _ []byte) { s.put(&keys[i%items], value) })
	})
	b.Run("op=evict", func(b *testing.B) {
		s := newStore(items)
		b.Cleanup(s.close)
		value := make([]byte, valueLen)
		fresh := randomKeys(1 << 20) // fifty times what fits: a repeated key is unknown by then
		for i := range items {
			s.put(&fresh[i], value)
		}
		inParallel(b, func(i int, _ []byte) { s.put(&fresh[(i+items)%len(fresh)], value) })
	})
	b.Run("op=memory", func(b *testing.B) {
		keys, value := randomKeys(10*items), make([]byte, valueLen)
		for b.Loop() {
			b.StopTimer()
			before := residentBytes(b)
			b.StartTimer()
			s := newStore(len(keys))
			for i := range keys {
				s.put(&keys[i], value)
			}
			b.StopTimer()
			b.ReportMetric(float64(residentBytes(b)-before)/float64(len(keys)), "B/session")
			s.close()
			b.StartTimer()
		}
	})
}

func filled(b *testing.B, newStore func(items int) store) (store, []key) {
	s := newStore(2 * items)
	b.Cleanup(s.close)
	keys, value := randomKeys(items), make([]byte, valueLen)
	for i := range keys {
		s.put(&keys[i], value)
	}
	found := 0
	for i := range keys {
		if _, ok := s.appendGet(nil, &keys[i]); ok {
			found++
		}
	}
	if found < items*99/100 {
		b.Fatalf("%d of %d keys found: the comparison would be unfair", found, items)
	}
	return s, keys
}

func randomKeys(n int) []key {
	keys, rng := make([]key, n), rand.NewChaCha8([32]byte{})
	for i := range keys {
		rng.Read(keys[i][:])
	}
	return keys
}

// inParallel runs op for rising numbers on GOMAXPROCS goroutines that start far apart.
func inParallel(b *testing.B, op func(i int, buf []byte)) {
	var begin atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(begin.Add(1<<19 + items/3))
		buf := make([]byte, 0, 4096)
		for pb.Next() {
			op(i, buf)
			i++
		}
	})
}

// residentBytes is the process's resident memory once the garbage is gone.
func residentBytes(b *testing.B) int {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc: ", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
)

const benchItems = 20_000

// benchStripes are one stripe and as many as New would choose.
var benchStripes = []int{1, Options{Items: benchItems}.stripes()}

// benchCache is a cache of benchItems entries of 200 bytes, at half of its bound, with their keys.
func benchCache(b *testing.B, stripes int) (*Cache, [][]byte) {
	c := newCache(b, Options{
		Name: "b", Items: 2 * benchItems, KeyLen: 128, BlockLen: 4096,
		Stripes: stripes,
	})
	keys := make([][]byte, benchItems)
	rng := rand.NewChaCha8([32]byte{})
	value := make([]byte, 200)
	for i := range keys {
		keys[i] = make([]byte, 16)
		rng.Read(keys[i])
		c.Put(keys[i], value, Entry{Expires: 1 << 62}, 0)
	}
	return c, keys
}

// inParallel runs op for rising numbers on GOMAXPROCS goroutines that start at different places.
func inParallel(b *testing.B, op func(i int, buf []byte)) {
	var begin atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(begin.Add(benchItems / 3))
		buf := make([]byte, 0, 4096)
		for pb.Next() {
			op(i, buf)
			i++
		}
	})
}

func BenchmarkGet(b *testing.B) {
	for _, stripes := range benchStripes {
		b.Run(fmt.Sprintf("stripes=%d", stripes), func(b *testing.B) {
			c, keys := benchCache(b, stripes)
			inParallel(b, func(i int, buf []byte) {
				if _, _, outcome := c.AppendGet(buf, keys[i%len(keys)], 1); outcome != Hit {
					b.Error(outcome)
				}
			})
		})
	}
}

func BenchmarkMiss(b *testing.B) {
	for _, stripes := range benchStripes {
		b.Run(fmt.Sprintf("stripes=%d", stripes), func(b *testing.B) {
			c, keys := benchCache(b, stripes)
			for i := range keys {
				keys[i][0]++
			}
			inParallel(b, func(i int, buf []byte) { c.AppendGet(buf, keys[i%len(keys)], 1) })
		})
	}
}

// BenchmarkPut replaces entries; BenchmarkPutFull evicts one for each it stores.
func BenchmarkPut(b *testing.B) {
	for _, stripes := range benchStripes {
		b.Run(fmt.Sprintf("stripes=%d", stripes), func(b *testing.B) {
			c, keys := benchCache(b, stripes)
			value := make([]byte, 200)
			inParallel(b, func(i int, _ []byte) {
				c.Put(keys[i%len(keys)], value, Entry{Expires: 1 << 62},
					0)
			})
		})
	}
}

func BenchmarkPutFull(b *testing.B) {
	for _, stripes := range benchStripes {
		b.Run(fmt.Sprintf("stripes=%d", stripes), func(b *testing.B) {
			c := newCache(b, Options{
				Name: "b", Items: benchItems, KeyLen: 128, BlockLen: 4096,
				Stripes: stripes,
			})
			value := make([]byte, 200)
			var goroutine atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(goroutine.Add(1)) << 32; pb.Next(); i++ {
					key := [16]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24), byte(i >> 32)}
					c.Put(key[:], value, Entry{Expires: 1 << 62}, 0)
				}
			})
		})
	}
}

// BenchmarkFill stores new entries until the cache is full and reports the memory per entry:
// live/session is its record, resident/session its share of all memory touched.
func BenchmarkFill(b *testing.B) {
	for _, items := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprintf("items=%d/value=200", items), func(b *testing.B) {
			value := make([]byte, 200)
			var st Stats
			for b.Loop() {
				c, err := New(Options{Name: "b", Items: items, KeyLen: 128, BlockLen: 4096})
				if err != nil {
					b.Fatal(err)
				}
				for i := range items {
					c.Put(numbered(i), value, Entry{Expires: 1 << 62}, 0)
				}
				st = c.Stats()
				c.Close()
			}
			b.ReportMetric(float64(st.BytesLive)/float64(items), "live-B/session")
			b.ReportMetric(float64(st.BytesResident)/float64(items), "resident-B/session")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/session")
		})
	}
}

// BenchmarkGrow measures the longest time a stripe is locked: its index doubles to the largest size
// New allows.
func BenchmarkGrow(b *testing.B) {
	const records = maxStripeItems
	half := indexSlots(records) / 2
	mem := make([]byte, indexSlots(records)*slotLen)
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		b.StopTimer()
		clear(mem)
		x := index{mem: mem, len: half}
		for i := range half * 3 / 4 {
			x.insert(newSlot(rng.Uint32(), i*recordAlign))
		}
		b.StartTimer()
		x.reserve(half * 3 / 4)
		if x.len == half {
			b.Fatal("did not grow")
		}
		runtime.KeepAlive(mem)
	}
}

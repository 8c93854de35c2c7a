package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Many goroutines use one full cache in every way at once: a value is never torn and never belongs
// to another key, the bound holds at every moment, and hits and misses add up exactly.
func TestHammer(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("procs=%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			o := Options{Name: "t", Items: 4096, KeyLen: 16, BlockLen: 256, Stripes: 4}
			c := newCache(t, o)
			var clock, lookUps atomic.Int64
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() { hammer(t, c, rand.New(rand.NewPCG(uint64(g), 0)), &clock, &lookUps) })
			}
			wg.Wait()
			st := c.Stats()
			if got := int64(st.Hits + st.Miss); got != lookUps.Load() {
				t.Errorf("hits+miss = %d, look-ups %d", got, lookUps.Load())
			}
			if st.Hits == 0 || st.Evicted == 0 || st.Held == 0 || st.Spent == 0 || st.Swept == 0 ||
				st.Refused == 0 {
				t.Errorf("some outcome did not occur: %+v", st)
			}
			checkInvariants(t, c)
		})
	}
}

func hammer(t *testing.T, c *Cache, rng *rand.Rand, clock, lookUps *atomic.Int64) {
	var buf []byte
	// valueOf is a value that shows which key it belongs to and whether it is whole.
	valueOf := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i%128) }
	checkValue := func(i int, got []byte) {
		if !bytes.Equal(got, valueOf(i)) {
			t.Errorf("key %d has the value % x", i, got)
		}
	}
	for n := range 20_000 {
		i := rng.IntN(12_000)
		key, now := numbered(i), clock.Add(1)
		switch rng.IntN(12) {
		default:
			c.Put(key, valueOf(i), Entry{Expires: now + 2000 + rng.Int64N(30_000)}, now)
		case 0, 1, 2:
			var outcome Outcome
			if buf, _, outcome = c.AppendGet(buf[:0], key, now); outcome == Hit {
				checkValue(i, buf)
			}
			lookUps.Add(1)
		case 3:
			var outcome Outcome
			if buf, _, outcome = c.Hold(buf[:0], key, now,
				Hold{ID: uint64(now + 20_000), Until: now + 20_000}); outcome == Hit {
				checkValue(i, buf)
				switch n % 3 {
				case 0:
					c.Release(key, uint64(now+20_000))
				case 1:
					c.Delete(key, now, now+1000)
				}
			}
			lookUps.Add(1)
		case 4:
			c.Delete(key, now, now+1000)
		case 5:
			if got := c.Stats().Items; got > c.opts.Items {
				t.Errorf("%d items, the bound is %d", got, c.opts.Items)
			}
			c.Sweep(now, 8)
		case 6:
			if n%16 == 0 {
				c.Scan(Cursor(rng.IntN(4))<<32, now, func(key, value []byte, _ Entry) {
					checkValue(int(key[14])<<8|int(key[15]), value)
				})
				c.DeleteFunc(Cursor(rng.IntN(4))<<32,
					func(key, _ []byte, _ Entry) bool { return key[15] == byte(n) })
			}
		}
	}
}

// Of many goroutines that hold one entry at once, one gets it and can spend it, whatever the others
// try.
func TestHoldIsExclusive(t *testing.T) {
	c := newCache(t, small)
	key := []byte("key")
	for round := range int64(200) {
		now := 10 * round
		c.Put(key, []byte("v"), Entry{Expires: now + 100}, now)
		var hits, spent atomic.Int32
		var wg sync.WaitGroup
		for id := uint64(1); id <= 4; id++ {
			wg.Go(func() {
				if _, _, outcome := c.Hold(nil, key, now, Hold{ID: id, Until: now + 5}); outcome == Hit {
					hits.Add(1)
				}
				if c.Spend(key, id, now, now+9) == Hit {
					spent.Add(1)
				}
			})
		}
		wg.Wait()
		if hits.Load() != 1 || spent.Load() != 1 {
			t.Fatalf("%d holds succeeded, %d spent the entry, want 1 and 1",
				hits.Load(), spent.Load())
		}
	}
}

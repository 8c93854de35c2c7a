package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A cache for large values that gets small ones uses memory for small ones, however long it runs.
func TestMemoryFollowsWhatIsLive(t *testing.T) {
	o := Options{Name: "t", Items: 20_000, KeyLen: 128, BlockLen: 65_536, Stripes: 4}
	c := newCache(t, o)
	value := make([]byte, 200)
	const lifetime = 10_000 // entries live at a time
	for i := range 20 * lifetime {
		c.Put(numbered(i), value, Entry{Expires: int64(i + lifetime)}, int64(i))
	}
	st := c.Stats()
	if live := lifetime * recordLen(16, 200); st.BytesLive < live || st.BytesLive > live+live/10 {
		t.Errorf("%d bytes live, want about %d", st.BytesLive, live)
	}
	// Beyond the live records: the index, and in each stripe parts of the oldest and the newest
	// segment.
	index := 2 * indexSlots(lifetime/4) * slotLen
	if most := st.BytesLive + 4*(index+2*c.segmentLen); st.BytesResident > most {
		t.Errorf("%d bytes resident of %d live, want at most %d", st.BytesResident, st.BytesLive, most)
	}
	if st.Evicted > 0 {
		t.Errorf("evicted %d of a cache that was never full", st.Evicted)
	}
}

// Whatever the lengths, the reserve holds Items entries: only the bound on items evicts.
func TestReserveHoldsItemsOfAnyLength(t *testing.T) {
	for _, tt := range []struct {
		name string
		len  func(rng *rand.Rand, i int, most int) int
	}{
		{"longest", func(_ *rand.Rand, _, most int) int { return most }},
		{"random", func(rng *rand.Rand, _, most int) int { return rng.IntN(most + 1) }},
		{"worst fit", func(_ *rand.Rand, i, most int) int { return most - (i%2)*most*3/5 }},
	} {
		for _, blockLen := range []int{10, 4096, 100_000} {
			t.Run(fmt.Sprintf("%s/blocksize=%d", tt.name, blockLen), func(t *testing.T) {
				c := newCache(t, Options{Name: "t", Items: 60, KeyLen: 16, BlockLen: blockLen})
				rng := rand.New(rand.NewPCG(1, 2))
				for i := range 1000 {
					c.Put(numbered(i), make([]byte, tt.len(rng, i, blockLen)), Entry{Expires: 10}, 0)
					if st := c.Stats(); st.Items != min(i+1, 60) {
						t.Fatalf("%d items after %d puts", st.Items, i+1)
					}
				}
				checkInvariants(t, c)
			})
		}
	}
}

// Secrets are wiped from memory as soon as they are dead, however they die.
func TestSecretsAreWiped(t *testing.T) {
	secret := []byte("a-secret-master-secret-for-tests")
	key := []byte("key")
	for _, tt := range []struct {
		name string
		kill func(c *Cache)
	}{
		{"deleted", func(c *Cache) { c.Delete(key, 1, 20) }},
		{"deleted without tombstone", func(c *Cache) { c.Delete(key, 1, 0) }},
		{"replaced", func(c *Cache) { c.Put(key, []byte("x"), Entry{Expires: 20}, 1) }},
		{"evicted", func(c *Cache) {
			for i := range small.Items {
				c.Put(numbered(i), nil, Entry{Expires: 20}, 1)
			}
		}},
		{"expired and looked up", func(c *Cache) { c.AppendGet(nil, key, 10) }},
		{"expired and held", func(c *Cache) { c.Hold(nil, key, 10, Hold{ID: 20, Until: 20}) }},
		{"expired and swept", func(c *Cache) { c.Sweep(10, 100) }},
		{"expired and another put", func(c *Cache) { c.Put(numbered(1), nil, Entry{Expires: 20}, 10) }},
		{"forgotten", func(c *Cache) {
			c.DeleteFunc(0,
				func(k, _ []byte, _ Entry) bool { return bytes.Equal(k, key) })
		}},
		{"cleared", func(c *Cache) { c.Clear() }},
		{"closed", func(c *Cache) { c.stripes[0].close() }}, // all of Close but the unmapping
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, small)
			c.Put(numbered(100), nil, Entry{Expires: 10}, 0)
			c.Put(key, secret, Entry{Expires: 10}, 0)
			if !bytes.Contains(c.mem, secret) {
				t.Fatal("the secret is not where this test looks for it")
			}
			c.Delete(numbered(100), 0, 0) // leaves the secret alone in its segment
			tt.kill(c)
			if bytes.Contains(c.mem, secret) {
				t.Error("the secret is still in memory")
			}
		})
	}
}

package cache

import (
	"bytes"
	"testing"
)

// The commit of a hold is compare-and-delete: it succeeds for the hold that no other has followed,
// as often as it is tried, and has no effect for others.
func TestSpend(t *testing.T) {
	key := []byte("key")
	hold := func(c *Cache, now int64, id uint64) {
		c.Hold(nil, key, now,
			Hold{ID: id, Until: now + 3})
	}
	for _, tt := range []struct {
		name  string
		setUp func(c *Cache)
		want  Outcome
		after Outcome
	}{
		{"held", func(c *Cache) { hold(c, 4, 1) }, Hit, Spent},
		{"lapsed, without another", func(c *Cache) { hold(c, 0, 1) }, Hit, Spent},
		{"lapsed, and another came", func(c *Cache) { hold(c, 0, 1); hold(c, 4, 2) }, Held, Held},
		{"another came and went", func(c *Cache) { hold(c, 0, 1); hold(c, 4, 2); c.Release(key, 2) }, Held, Hit},
		{"released", func(c *Cache) { hold(c, 4, 1); c.Release(key, 1) }, Held, Hit},
		{"never held", func(*Cache) {}, Held, Hit},
		{"spent by the same", func(c *Cache) { hold(c, 4, 1); c.Spend(key, 1, 4, 20) }, Hit, Spent},
		{"spent by another", func(c *Cache) { hold(c, 4, 2); c.Spend(key, 2, 4, 20) }, Spent, Spent},
		{"spent by the same, then deleted", func(c *Cache) { hold(c, 4, 1); c.Spend(key, 1, 4, 20); c.Delete(key, 4, 20) }, Hit, Spent},
		{"deleted", func(c *Cache) { hold(c, 4, 1); c.Delete(key, 4, 20) }, Spent, Spent},
		{"evicted", func(c *Cache) { hold(c, 4, 1); c.Clear() }, Unknown, Spent},
		{"put again while held", func(c *Cache) { hold(c, 4, 1); c.Put(key, nil, Entry{Expires: 99}, 4) }, Hit, Spent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, small)
			c.Put(key, []byte("v"), Entry{Expires: 10}, 0)
			tt.setUp(c)
			if got := c.Spend(key, 1, 5, 20); got != tt.want {
				t.Errorf("spend: got %v, want %v", got, tt.want)
			}
			if _, _, got := c.AppendGet(nil, key, 5); got != tt.after {
				t.Errorf("afterwards: got %v, want %v", got, tt.after)
			}
			checkInvariants(t, c)
		})
	}
	t.Run("expired", func(t *testing.T) {
		c := newCache(t, small)
		c.Put(key, []byte("v"), Entry{Expires: 10}, 0)
		c.Hold(nil, key, 5, Hold{ID: 1, Until: 90})
		if got := c.Spend(key, 1, 10, 20); got != Expired {
			t.Errorf("got %v, want expired", got)
		}
	})
	t.Run("no hold has the ID 0", func(t *testing.T) {
		c := newCache(t, small)
		c.Put(key, []byte("v"), Entry{Expires: 10}, 0)
		if got := c.Spend(key, 0, 5, 20); got != Held {
			t.Errorf("got %v, want held", got)
		}
	})
}

// Holding again under the same ID succeeds again; under another ID it does not.
func TestHoldAgain(t *testing.T) {
	c := newCache(t, small)
	key := []byte("key")
	c.Put(key, []byte("v"), Entry{Born: -3, Expires: 10}, 0)
	for _, want := range []struct {
		id      uint64
		outcome Outcome
	}{{1, Hit}, {1, Hit}, {2, Held}, {1, Hit}} {
		value, e, got := c.Hold(nil, key, 0, Hold{ID: want.id, Until: 9})
		if got != want.outcome || got == Hit && (string(value) != "v" || e.Born != -3) {
			t.Errorf("hold %d: got %q %+v %v, want %v", want.id, value, e, got, want.outcome)
		}
	}
}

// A Put, whatever its times, makes an entry neither younger nor longer-lived.
func TestPutNeverProlongs(t *testing.T) {
	c := newCache(t, small)
	key := []byte("key")
	c.Put(key, []byte("v"), Entry{Born: -5, Expires: 10}, 0)
	c.Put(key, []byte("v"), Entry{Born: 3, Expires: 50}, 3)
	if _, e, _ := c.AppendGet(nil, key, 4); e != (Entry{Born: -5, Expires: 10}) {
		t.Errorf("put as younger: got %+v", e)
	}
	c.Put(key, []byte("v"), Entry{Born: -9, Expires: 8}, 4)
	if _, e, _ := c.AppendGet(nil, key, 4); e != (Entry{Born: -9, Expires: 8}) {
		t.Errorf("put as older: got %+v", e)
	}
	if _, _, got := c.AppendGet(nil, key, 8); got != Expired {
		t.Errorf("at its end: got %v, want expired", got)
	}
}

// A purge wipes an expired entry behind one that lives longer, and leaves the others.
func TestPurgeFindsWhatLiesBehind(t *testing.T) {
	c := newCache(t, Options{Name: "t", Items: 100, KeyLen: 16, BlockLen: 8000})
	secret := bytes.Repeat([]byte{0xa5}, 64)
	for i := range 100 { // several segments, every other entry short-lived
		value := bytes.Repeat([]byte{1}, 8000)
		expires := int64(1000)
		if i%2 == 1 {
			copy(value, secret)
			expires = int64(10 + i)
		}
		c.Put(numbered(i), value, Entry{Expires: expires}, 0)
	}
	purge := func(now int64) (purged int) {
		for cursor := Cursor(0); ; {
			var n int
			n, cursor = c.Purge(cursor, now)
			if purged += n; cursor == 0 {
				return purged
			}
		}
	}
	if got := purge(10); got != 0 {
		t.Errorf("%d purged before any had expired", got)
	}
	if got := c.Sweep(60, 1000); got != 0 {
		t.Fatalf("a sweep has found %d: nothing is left for the purge", got)
	}
	if got := purge(60); got != 25 {
		t.Errorf("%d purged of 25 that had expired", got)
	}
	if got := bytes.Count(c.mem, secret); got != 25 {
		t.Errorf("%d secrets in memory, want those of the 25 that live", got)
	}
	if got := purge(200); got != 25 || bytes.Contains(c.mem, secret) {
		t.Errorf("%d purged of the other 25, or not wiped", got)
	}
	if got := c.Stats(); got.Items != 50 || got.Swept != 50 {
		t.Errorf("got %d items, %d swept, want 50 and 50", got.Items, got.Swept)
	}
	checkInvariants(t, c)
}

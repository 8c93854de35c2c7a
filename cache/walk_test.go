package cache

import (
	"bytes"
	"fmt"
	"testing"
)

// scanAll walks the whole cache and returns the values by key.
func scanAll(c *Cache, now int64) map[string]string {
	got := make(map[string]string)
	for cursor := Cursor(0); ; {
		cursor = c.Scan(cursor, now, func(key, value []byte, e Entry) {
			got[string(key)] = fmt.Sprintf("%s/%d/%d", value, e.Tag, e.Expires)
		})
		if cursor == 0 {
			return got
		}
	}
}

var striped = Options{Name: "t", Items: 8192, KeyLen: 16, BlockLen: 2048, Stripes: 4}

func TestScanVisitsEveryLiveEntryOnce(t *testing.T) {
	c := newCache(t, striped)
	want := make(map[string]string)
	for i := range 5000 {
		value := bytes.Repeat([]byte{'v'}, i%2000)
		expires := int64(100 - i%3)
		c.Put(numbered(i), value, Entry{Tag: uint8(i), Expires: expires}, 0)
		if expires > 98 {
			want[string(numbered(i))] = fmt.Sprintf("%s/%d/%d", value, uint8(i), expires)
		}
	}
	for i := 0; i < 5000; i += 7 {
		c.Delete(numbered(i), 0, 100)
		delete(want, string(numbered(i)))
	}
	visits := 0
	for cursor := Cursor(0); ; {
		cursor = c.Scan(cursor, 98, func(key, value []byte, e Entry) {
			visits++
			if got := fmt.Sprintf("%s/%d/%d", value, e.Tag, e.Expires); got != want[string(key)] {
				t.Fatalf("key %x: got %s, want %s", key, got, want[string(key)])
			}
		})
		if cursor == 0 {
			break
		}
	}
	if visits != len(want) {
		t.Errorf("%d visits, want %d", visits, len(want))
	}
}

// A walk must miss no entry that stays, whatever comes and goes between its steps: a forget command
// relies on it.
func TestWalkMissesNothingThatStays(t *testing.T) {
	c := newCache(t, striped)
	const stays = 1000
	for i := range stays {
		c.Put(numbered(i), make([]byte, 500), Entry{Tag: 1, Expires: 1000}, 0)
		c.Put(numbered(stays+i), make([]byte, 700), Entry{Tag: 2, Expires: 1000}, 0)
	}
	churn := 0
	step := func() {
		for range 20 {
			c.Delete(numbered(stays+churn), 0, 1000)
			c.Put(numbered(2*stays+churn), make([]byte, 900), Entry{Tag: 2, Expires: 1000}, 0)
			churn++
		}
	}
	seen := make(map[string]int)
	for cursor := Cursor(0); ; step() {
		cursor = c.Scan(cursor, 0, func(key, _ []byte, e Entry) {
			if e.Tag == 1 {
				seen[string(key)]++
			}
		})
		if cursor == 0 {
			break
		}
	}
	if len(seen) != stays {
		t.Errorf("scan saw %d, want %d", len(seen), stays)
	}
	deleted := 0
	for cursor := Cursor(0); ; step() {
		var n int
		n, cursor = c.DeleteFunc(cursor, func(_, _ []byte, e Entry) bool { return e.Tag == 1 })
		deleted += n
		if cursor == 0 {
			break
		}
	}
	if deleted != stays {
		t.Errorf("deleted %d, want %d", deleted, stays)
	}
	checkInvariants(t, c)
}

func TestClear(t *testing.T) {
	c := newCache(t, striped)
	for i := range 3000 {
		c.Put(numbered(i), make([]byte, 100), Entry{Expires: 100}, 0)
	}
	c.Delete(numbered(-1), 0, 100)
	if got := c.Clear(); got != 3000 {
		t.Errorf("cleared %d, want 3000", got)
	}
	st := c.Stats()
	if st.Items != 0 || st.Tombstones != 1 || st.Deleted != 3000 {
		t.Errorf("stats %+v, want no items, the tombstone, 3000 deleted", st)
	}
	checkInvariants(t, c)
}

func TestAnyCursorIsSafe(t *testing.T) {
	c := newCache(t, striped)
	for i := range 3000 {
		c.Put(numbered(i), make([]byte, 100), Entry{Expires: 100}, 0)
	}
	for _, cursor := range []Cursor{1, 1 << 31, 1<<32 - 1, 1 << 32, 3<<32 +
		5, 3<<32 | 1<<31, 4 << 32, 1 << 63, 1<<64 - 1} {
		steps := 0
		for steps < 1000 {
			steps++
			if cursor = c.Scan(cursor, 0, func(_, _ []byte, _ Entry) {}); cursor == 0 {
				break
			}
		}
		if cursor != 0 {
			t.Errorf("no end after %d steps", steps)
		}
	}
}

func TestSweep(t *testing.T) {
	for _, stripes := range []int{1, 4} {
		t.Run(fmt.Sprintf("stripes=%d", stripes), func(t *testing.T) {
			o := striped
			o.Stripes = stripes
			c := newCache(t, o)
			for i := range 4000 {
				c.Put(numbered(i), nil, Entry{Expires: int64(1000 + i)}, 0)
			}
			if got := c.Sweep(999, 1000); got != 0 {
				t.Errorf("swept %d live entries", got)
			}
			// now = 2999 leaves the entries 2000 to 3999.
			total, calls := 0, 0
			for {
				n := c.Sweep(2999, 150)
				calls++
				if n > 150 {
					t.Fatalf("swept %d, budget 150", n)
				}
				total += n
				if n < 150 {
					break
				}
			}
			if total != 2000 || calls != 14 {
				t.Errorf("swept %d in %d calls, want 2000 in 14", total, calls)
			}
			if st := c.Stats(); st.Items != 2000 || st.Swept != 2000 {
				t.Errorf("items %d swept %d, want 2000 2000", st.Items, st.Swept)
			}
			checkInvariants(t, c)
		})
	}
}

func TestSweepReclaimsTombstones(t *testing.T) {
	c := newCache(t, striped)
	for i := range 1000 {
		c.Delete(numbered(i), 0, int64(1+i))
	}
	if got := c.Sweep(500, 10_000); got != 500 {
		t.Errorf("swept %d, want 500", got)
	}
	if got := c.Stats().Tombstones; got != 500 {
		t.Errorf("%d tombstones left, want 500", got)
	}
}

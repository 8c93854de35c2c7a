package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// newCache returns a cache that is checked and closed when the test ends.
func newCache(tb testing.TB, o Options) *Cache {
	tb.Helper()
	c, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// numbered is the 16-byte key for number i.
func numbered(i int) []byte {
	return binary.BigEndian.AppendUint64(bytes.Repeat([]byte{'k'}, 8), uint64(i))
}

// small is one stripe of ten entries.
var small = Options{Name: "t", Items: 10, KeyLen: 16, BlockLen: 64}

// key is what is looked up.
var key = []byte("key")

// A lookUpCase is what was done to a cache, and what a look-up finds then.
type lookUpCase struct {
	name  string
	setUp func(c *Cache)
	now   int64
	want  Outcome
	count func(Counts) uint64
}

// It is long because it is a table.
func TestLookUpOutcomes(t *testing.T) {
	value := []byte("value")
	for _, tt := range []lookUpCase{
		{"unknown", func(*Cache) {}, 5, Unknown, nil},
		{"hit", func(c *Cache) { c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0) }, 9, Hit, nil},
		{
			"expired", func(c *Cache) { c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0) }, 10, Expired,
			func(s Counts) uint64 { return s.Expired },
		},
		{"held", func(c *Cache) {
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0)
			c.Hold(nil, key, 0, Hold{ID: 6, Until: 6})
			c.stripes[0].counts = Counts{}
		}, 5, Held, func(s Counts) uint64 { return s.Held }},
		{"hold over", func(c *Cache) {
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0)
			c.Hold(nil, key, 0, Hold{ID: 5, Until: 5})
			c.stripes[0].counts = Counts{}
		}, 5, Hit, nil},
		{"hold survives replacement", func(c *Cache) {
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0)
			c.Hold(nil, key, 0, Hold{ID: 6, Until: 6})
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 1)
			c.stripes[0].counts = Counts{}
		}, 5, Held, func(s Counts) uint64 { return s.Held }},
		{"released", func(c *Cache) {
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0)
			c.Hold(nil, key, 0, Hold{ID: 6, Until: 6})
			c.Release(key, 6)
			c.stripes[0].counts = Counts{}
		}, 5, Hit, nil},
		{"released by the former holder", func(c *Cache) {
			c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0)
			c.Hold(nil, key, 0, Hold{ID: 2, Until: 2})
			c.Hold(nil, key, 2, Hold{ID: 6, Until: 6})
			c.Release(key, 2)
			c.stripes[0].counts = Counts{}
		}, 5, Held, func(s Counts) uint64 { return s.Held }},
		{
			"spent", func(c *Cache) { c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0); c.Delete(key, 0, 6) }, 5,
			Spent, func(s Counts) uint64 { return s.Spent },
		},
		{"spent unseen", func(c *Cache) { c.Delete(key, 0, 6) }, 5, Spent, func(s Counts) uint64 { return s.Spent }},
		{
			"tombstone over", func(c *Cache) { c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0); c.Delete(key, 0, 5) }, 5,
			Unknown, nil,
		},
		{
			"deleted without tombstone", func(c *Cache) { c.Put(key, value, Entry{Tag: 7, Expires: 10}, 0); c.Delete(key, 0, 0) }, 5,
			Unknown, nil,
		},
		{
			"tombstone lengthened", func(c *Cache) { c.Delete(key, 0, 5); c.Delete(key, 0, 6) }, 5, Spent,
			func(s Counts) uint64 { return s.Spent },
		},
		{
			"tombstone not shortened", func(c *Cache) { c.Delete(key, 0, 6); c.Delete(key, 0, 5) }, 5, Spent,
			func(s Counts) uint64 { return s.Spent },
		},
		{
			"stored again after the tombstone", func(c *Cache) { c.Delete(key, 0, 4); c.Put(key, value, Entry{Tag: 7, Expires: 10}, 4) }, 5,
			Hit, nil,
		},
	} {
		for _, hold := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/hold=%v", tt.name, hold), func(t *testing.T) {
				tt.run(t, hold)
			})
		}
	}
}

// run looks up, or looks up and then holds.
func (tt lookUpCase) run(t *testing.T, hold bool) {
	c := newCache(t, small)
	tt.setUp(c)
	got, e, outcome := c.AppendGet([]byte("dst"), key, tt.now)
	if hold {
		// The look-up above must not have changed the answer.
		if tt.want == Expired {
			c = newCache(t, small)
			tt.setUp(c)
		} else {
			c.stripes[0].counts = Counts{}
		}
		got, e, outcome = c.Hold([]byte("dst"), key, tt.now, Hold{ID: 99, Until: tt.now + 1})
	}
	want, wantEntry, wantCounts := "dst", Entry{}, Counts{Miss: 1}
	if tt.want == Hit {
		want, wantEntry, wantCounts = "dstvalue", Entry{Tag: 7, Expires: 10}, Counts{Hits: 1}
	}
	if outcome != tt.want || string(got) != want || e != wantEntry {
		t.Errorf("got %q %+v %v, want %q %+v %v", got, e, outcome, want, wantEntry, tt.want)
	}
	st := c.Stats()
	if st.Hits != wantCounts.Hits || st.Miss != wantCounts.Miss {
		t.Errorf("hits %d miss %d, want %d %d", st.Hits, st.Miss, wantCounts.Hits, wantCounts.Miss)
	}
	if tt.count != nil && tt.count(st.Counts) != 1 {
		t.Errorf("counted %d for %v, want 1", tt.count(st.Counts), tt.want)
	}
}

func TestPutOutcomes(t *testing.T) {
	key := []byte("key")
	fill := func(c *Cache) {
		for i := range small.Items {
			c.Put(numbered(i), nil, Entry{Expires: 10}, 0)
		}
	}
	for _, tt := range []struct {
		name       string
		setUp      func(c *Cache)
		key, value []byte
		now        int64
		want       PutOutcome
		wantCounts Counts
	}{
		{"stored", func(*Cache) {}, key, []byte("v"), 0, Stored, Counts{}},
		{"empty value", func(*Cache) {}, key, nil, 0, Stored, Counts{}},
		{"longest", func(*Cache) {}, make([]byte, 16), make([]byte, 64), 0, Stored, Counts{}},
		{"key too long", func(*Cache) {}, make([]byte, 17), nil, 0, TooLarge, Counts{TooLarge: 1}},
		{"value too long", func(*Cache) {}, key, make([]byte, 65), 0, TooLarge, Counts{TooLarge: 1}},
		{"already expired", func(*Cache) {}, key, nil, 10, AlreadyExpired, Counts{Late: 1}},
		{"already spent", func(c *Cache) { c.Delete(key, 0, 6) }, key, nil, 5, AlreadySpent, Counts{Refused: 1}},
		{
			"replaced", func(c *Cache) { c.Put(key, nil, Entry{Expires: 9}, 0) }, key, nil, 5, Stored,
			Counts{Replaced: 1},
		},
		{
			"replaced expired", func(c *Cache) { c.Put(key, nil, Entry{Expires: 5}, 0) }, key, nil, 5, Stored,
			Counts{Swept: 1},
		},
		{"replaced in a full cache", fill, numbered(3), nil, 5, Stored, Counts{Replaced: 1}},
		{"full", fill, key, nil, 5, StoredFull, Counts{Full: 1, Evicted: 1}},
		{"full of expired", func(c *Cache) {
			for i := range small.Items {
				c.Put(numbered(i), nil, Entry{Expires: 5}, 0)
			}
		}, key, nil, 5, Stored, Counts{Swept: sweepPerPut}},
		{"closed", func(c *Cache) { c.Close() }, key, nil, 0, NoRoom, Counts{Full: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, small)
			tt.setUp(c)
			if got := c.Put(tt.key, tt.value, Entry{Tag: 1, Expires: 10}, tt.now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := c.Stats().Counts; got != tt.wantCounts {
				t.Errorf("counts %+v, want %+v", got, tt.wantCounts)
			}
			_, _, outcome := c.AppendGet(nil, tt.key, tt.now)
			if stored := tt.want <= StoredFull; (outcome == Hit) != stored {
				t.Errorf("look-up %v after %v", outcome, tt.want)
			}
			checkInvariants(t, c)
		})
	}
}

func TestDeleteOutcomes(t *testing.T) {
	key := []byte("key")
	for _, tt := range []struct {
		name       string
		setUp      func(c *Cache)
		want       Outcome
		wantCounts Counts
	}{
		{"unknown", func(*Cache) {}, Unknown, Counts{}},
		{"live", func(c *Cache) { c.Put(key, nil, Entry{Expires: 10}, 0) }, Hit, Counts{Deleted: 1}},
		{"held", func(c *Cache) {
			c.Put(key, nil, Entry{Expires: 10}, 0)
			c.Hold(nil, key, 0,
				Hold{ID: 9, Until: 9})
		}, Hit, Counts{Hits: 1, Deleted: 1}},
		{"expired", func(c *Cache) { c.Put(key, nil, Entry{Expires: 5}, 0) }, Expired, Counts{Swept: 1}},
		{"twice", func(c *Cache) { c.Delete(key, 0, 6) }, Spent, Counts{}},
		{"after the tombstone", func(c *Cache) { c.Delete(key, 0, 5) }, Unknown, Counts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, small)
			tt.setUp(c)
			if got := c.Delete(key, 5, 10); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			st := c.Stats()
			if st.Counts != tt.wantCounts || st.Items != 0 || st.Tombstones != 1 {
				t.Errorf("stats %+v, want no items, a tombstone and %+v", st, tt.wantCounts)
			}
		})
	}
	c := newCache(t, small)
	if got := c.Delete(make([]byte, 17), 0, 10); got != Unknown || c.Stats().Tombstones != 0 {
		t.Errorf("delete of a key too long: %v, %d tombstones, want unknown, 0",
			got, c.Stats().Tombstones)
	}
}

func TestEvictionIsOldestFirst(t *testing.T) {
	c := newCache(t, small)
	for i := range 25 {
		c.Put(numbered(i), nil, Entry{Expires: 100}, 0)
	}
	c.Put(numbered(15), nil, Entry{Expires: 100}, 0) // now the newest
	c.Put(numbered(25), nil, Entry{Expires: 100}, 0) // evicts 16
	for i := range 26 {
		want := Unknown
		if i == 15 || i > 16 {
			want = Hit
		}
		if _, _, got := c.AppendGet(nil, numbered(i), 1); got != want {
			t.Errorf("key %d: got %v, want %v", i, got, want)
		}
	}
	if st := c.Stats(); st.Items != small.Items || st.Evicted != 16 || st.Full != 16 {
		t.Errorf("items %d evicted %d full %d, want %d 16 16", st.Items, st.Evicted, st.Full, small.Items)
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	c := newCache(t, small)
	c.Put([]byte("stays"), nil, Entry{Expires: 100}, 0)
	for i := range 3 * small.Items {
		c.Delete(numbered(i), 0, 100)
	}
	st := c.Stats()
	if st.Tombstones != small.Items || st.TombstonesEvicted != uint64(2*small.Items) {
		t.Errorf("%d tombstones, %d evicted, want %d, %d", st.Tombstones, st.TombstonesEvicted, small.Items, 2*small.Items)
	}
	if _, _, got := c.AppendGet(nil, []byte("stays"), 1); got != Hit {
		t.Errorf("tombstones pushed an entry out: %v", got)
	}
	checkInvariants(t, c)
}

// Every item within the bound is kept, however the hash spreads them, and the bound is never
// passed.
func TestHoldsExactlyItems(t *testing.T) {
	for _, stripes := range []int{1, 2, 16} {
		t.Run(fmt.Sprintf("stripes=%d", stripes), func(t *testing.T) {
			o := Options{Name: "t", Items: 20_000, KeyLen: 128, BlockLen: 4096, Stripes: stripes}
			c := newCache(t, o)
			value := make([]byte, o.BlockLen)
			for i := range o.Items {
				if got := c.Put(numbered(i), value, Entry{Expires: 100}, 0); got != Stored {
					t.Fatalf("put %d: %v", i, got)
				}
			}
			for i := range o.Items {
				if _, _, got := c.AppendGet(value[:0], numbered(i), 1); got != Hit {
					t.Fatalf("get %d: %v", i, got)
				}
			}
			for i := range 1000 {
				if got := c.Put(numbered(-1-i), value, Entry{Expires: 100}, 0); got != StoredFull {
					t.Fatalf("put beyond the bound: %v", got)
				}
			}
			if st := c.Stats(); st.Items != o.Items || st.Evicted != 1000 || st.Hits != uint64(o.Items) {
				t.Errorf("stats %+v", st)
			}
			checkInvariants(t, c)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{Name: "ssl", Items: 20_000, KeyLen: 128, BlockLen: 4096}
	for _, tt := range []struct {
		name   string
		change func(o *Options)
		want   string
	}{
		{"no items", func(o *Options) { o.Items = 0 }, `cache "ssl": items=0: must be between 1 and 1073741824`},
		{"negative items", func(o *Options) { o.Items = -1 }, "items=-1"},
		{"no keysize", func(o *Options) { o.KeyLen = 0 }, "keysize=0: must be between 1 and 65535"},
		{"large keysize", func(o *Options) { o.KeyLen = 65536 }, "keysize=65536"},
		{"no blocksize", func(o *Options) { o.BlockLen = 0 }, "blocksize=0: must be between 1 and 1048576"},
		{"large blocksize", func(o *Options) { o.BlockLen = 1<<20 + 1 }, "blocksize=1048577"},
		{"odd stripes", func(o *Options) { o.Stripes = 3 }, "stripes=3: must be a power of two up to 16 for items=20000"},
		{"negative stripes", func(o *Options) { o.Stripes = -2 }, "stripes=-2"},
		{"most negative stripes", func(o *Options) { o.Stripes = math.MinInt }, "stripes=-9223372036854775808"},
		{"many stripes", func(o *Options) { o.Stripes = 32 }, "stripes=32"},
		{"stripes for few items", func(o *Options) { o.Items, o.Stripes = 10, 2 }, "up to 1 for items=10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			c, err := New(o)
			if err == nil {
				c.Close()
				t.Fatal("got no error")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestStripesFollowItemsAndCores(t *testing.T) {
	cores := max(runtime.GOMAXPROCS(0), cpuid.CPU.LogicalCores)
	for _, tt := range []struct{ items, most int }{
		{1, 1}, {1023, 1}, {2047, 1}, {2048, 2}, {20_000, 16}, {500_000, 256}, {5_000_000, 4096},
	} {
		got := Options{Items: tt.items}.stripes()
		if want := min(nextPowerOfTwo(max(4*cores, tt.items/16_384)), tt.most); got != want {
			t.Errorf("%d items on %d cores: %d stripes, want %d", tt.items, cores, got, want)
		}
	}
	if line := cpuid.CPU.CacheLine; line > 0 && stripePad%line != 0 {
		t.Errorf("stripes are %d bytes apart, cache lines are %d", stripePad, line)
	}
	var two [2]stripe
	if gap := uintptr(unsafe.Pointer(&two[1])) - uintptr(
		unsafe.Pointer(&two[0].counts)) - unsafe.Sizeof(Counts{}); gap < stripePad {
		t.Errorf("stripes are %d bytes apart, want %d", gap, stripePad)
	}
}

func TestCloseLeavesNothingToUse(t *testing.T) {
	c := newCache(t, Options{Name: "t", Items: 4096, KeyLen: 16, BlockLen: 64, Stripes: 4})
	for i := range 100 {
		c.Put(numbered(i), []byte("v"), Entry{Expires: 100}, 0)
		c.Delete(numbered(-i), 0, 100)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	key := numbered(1)
	if got := c.Put(key, nil, Entry{Expires: 100}, 0); got != NoRoom {
		t.Errorf("put: got %v, want no room", got)
	}
	if _, _, got := c.AppendGet(nil, key, 1); got != Unknown {
		t.Errorf("look-up: got %v, want unknown", got)
	}
	if _, _, got := c.Hold(nil, key, 1, Hold{ID: 2, Until: 2}); got != Unknown {
		t.Errorf("hold: got %v, want unknown", got)
	}
	c.Release(key, 2)
	if got := c.Delete(key, 0, 100); got != Unknown {
		t.Errorf("delete: got %v, want unknown", got)
	}
	if got := c.Sweep(1000, 1000); got != 0 {
		t.Errorf("swept %d", got)
	}
	if got := c.Clear(); got != 0 {
		t.Errorf("cleared %d", got)
	}
	if got := scanAll(c, 0); len(got) != 0 {
		t.Errorf("scanned %d", len(got))
	}
	if st := c.Stats(); st.Items != 0 || st.Tombstones != 0 || st.BytesLive != 0 ||
		st.BytesResident != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestOutcomeWords(t *testing.T) {
	for _, tt := range []struct {
		got  fmt.Stringer
		want string
	}{
		{Hit, "hit"},
		{Spent, "spent"},
		{Spent + 1, "invalid"},
		{Stored, "stored"},
		{NoRoom, "no room"},
		{NoRoom + 1, "invalid"},
	} {
		if tt.got.String() != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

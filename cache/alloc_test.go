package cache

import "testing"

func TestHotPathDoesNotAllocate(t *testing.T) {
	c := newCache(t, Options{Name: "t", Items: 1000, KeyLen: 16, BlockLen: 256})
	key, value, dst := []byte("0123456789abcdef"), make([]byte, 200), make([]byte, 0, 256)
	other := numbered(1)
	now := int64(0)
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"put", func() { c.Put(key, value, Entry{Expires: now + 100}, now) }},
		{"hit", func() { c.AppendGet(dst, key, now) }},
		{"miss", func() { c.AppendGet(dst, other, now) }},
		{"hold and release", func() {
			c.Hold(dst, key, now, Hold{ID: uint64(now + 10), Until: now + 10})
			c.Release(key, uint64(now+10))
		}},
		{"delete", func() { c.Delete(key, now, now+1) }},
		{"sweep", func() { c.Sweep(now, 10) }},
		{"stats", func() { c.Stats() }},
	} {
		c.Put(key, value, Entry{Expires: now + 1000}, now)
		got := testing.AllocsPerRun(100, func() { tt.do(); now++ })
		if got != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, got)
		}
	}
}

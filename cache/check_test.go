package cache

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"testing"
)

// checkFifo compares a fifo's index, segments and counters with its records.
func checkFifo(f *fifo, ownHash func(uint64) bool) error {
	if f.max == 0 {
		return nil // closed
	}
	slots := 0
	for i := range f.index.len {
		s := f.index.load(i)
		if s == 0 {
			continue
		}
		slots++
		r := f.arena.at(s.offset())
		hash := maphash.Bytes(f.seed, r.key())
		if !r.alive() || uint32(hash) != s.hash() || !ownHash(hash) {
			return fmt.Errorf("slot %d leads to a record that is not its own", i)
		}
		if j, _, ok := f.find(hash, r.key()); !ok || j != i {
			return fmt.Errorf("the key of slot %d is found in slot %d (%v)", i, j, ok)
		}
	}
	if slots != f.len || f.len > f.max {
		return fmt.Errorf("%d slots taken, len %d, max %d", slots, f.len, f.max)
	}
	return checkArena(&f.arena, f.len)
}

func checkArena(a *arena, wantLive int) error {
	inUse := make(map[int32]bool)
	prev, live, bytes := int32(none), 0, 0
	for i := a.oldest; i != none; prev, i = i, a.segments[i].next {
		g := a.segments[i]
		if inUse[i] || g.prev != prev {
			return fmt.Errorf("segment %d: prev %d, want %d", i, g.prev, prev)
		}
		if g.live == 0 && i != a.newest {
			return fmt.Errorf("segment %d is in use without a live record", i)
		}
		inUse[i] = true
		segmentLive := 0
		for offset := 0; offset < int(g.used); {
			r := a.at(int(i)*a.segmentLen + offset)
			if r.alive() {
				if offset < int(g.skip) {
					return fmt.Errorf("segment %d: live record before %d", i, g.skip)
				}
				segmentLive++
				bytes += r.len()
			} else if !isZero(r[headerLen:r.len()]) {
				return fmt.Errorf("segment %d: dead record at %d is not wiped", i, offset)
			}
			offset += r.len()
		}
		if segmentLive != int(g.live) {
			return fmt.Errorf("segment %d: live %d, has %d", i, g.live, segmentLive)
		}
		live += segmentLive
	}
	if prev != a.newest || live != wantLive || bytes != a.bytes {
		return fmt.Errorf("newest %d at the end of the list %d; %d live, want %d; %d bytes, counted %d", a.newest, prev, live, wantLive, bytes, a.bytes)
	}
	recycled := 0
	for i := a.recycled; i != none && recycled <= len(a.segments); i = a.segments[i].next {
		if inUse[i] {
			return fmt.Errorf("segment %d is in use and recycled", i)
		}
		recycled++
	}
	if len(inUse)+recycled != int(a.touched) {
		return fmt.Errorf("%d segments in use, %d recycled, %d touched", len(inUse), recycled, a.touched)
	}
	return nil
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// checkInvariants compares all of c's structures with each other.
func checkInvariants(tb testing.TB, c *Cache) {
	tb.Helper()
	items := 0
	for n := range c.stripes {
		s := &c.stripes[n]
		s.mu.Lock()
		items += s.entries.len
		for name, f := range map[string]*fifo{"entries": &s.entries, "spent": &s.spent} {
			if err := checkFifo(f,
				func(hash uint64) bool { return hash>>c.shift == uint64(n) }); err != nil {
				tb.Errorf("stripe %d: %s: %v", n, name, err)
			}
		}
		s.mu.Unlock()
	}
	if got := int(c.items.Load()); got != items || items > c.opts.Items {
		tb.Errorf("counted %d items, the stripes have %d, the bound is %d", got, items, c.opts.Items)
	}
}

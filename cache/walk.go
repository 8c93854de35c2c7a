package cache

import "math"

// sweepStep bounds how many records a sweep reclaims while it holds a stripe's lock.
const sweepStep = 64

// Sweep reclaims at most budget expired entries and tombstones from the old end of each stripe in
// turn and returns their number. If that is less than budget, there are no more to find. An expired
// entry behind one that lives longer is found once that one is gone; the cache does not serve it
// meanwhile. Call it every few seconds, from one goroutine.
func (c *Cache) Sweep(now int64, budget int) (reclaimed int) {
	for range c.stripes {
		s := &c.stripes[int(c.nextSweep.Load())%len(c.stripes)]
		for {
			step := min(sweepStep, budget-reclaimed)
			if step <= 0 {
				return reclaimed
			}
			s.mu.Lock()
			n := s.sweep(now, step)
			s.mu.Unlock()
			reclaimed += n
			if n < step {
				break
			}
		}
		c.nextSweep.Add(1)
	}
	return reclaimed
}

// Cursor is a position in a walk through the entries: zero at the start and again at the end,
// opaque between. It stays valid whatever happens to the cache meanwhile, and any number is safe to
// pass in. It stands for a segment of a stripe: records do not move, so a walk misses no entry that
// was there when it began and was not replaced since.
type Cursor uint64

// Scan visits the next few live entries that are not held, perhaps none and usually some hundred,
// and returns the cursor to continue with; zero means that the walk is over. Entries put meanwhile
// may be visited or not. visit gets copies, wiped when Scan returns, and runs without a lock, so it
// may take its time and use the cache.
func (c *Cache) Scan(cursor Cursor, now int64,
	visit func(key, value []byte, e Entry),
) (next Cursor) {
	segment := make([]byte, c.segmentLen)
	defer clear(segment)
	n := 0
	next = c.step(cursor, func(s *stripe, begin, end int) {
		n = copy(segment, s.entries.arena.mem[begin:end])
	})
	for offset := 0; offset < n; {
		r := record(segment[offset:])
		if r.alive() && r.expires() > now && r.hold().Until <= now {
			visit(r.key(), r.value(), r.entry())
		}
		offset += r.len()
	}
	return next
}

// DeleteFunc deletes those of the next few entries that match, and returns their number and the
// cursor to continue with; zero means that the walk is over. It leaves no tombstones. match runs
// under a stripe's lock on the cache's own memory: it must be quick, and must neither use the cache
// nor keep or change key and value. Entries put meanwhile may be deleted or not.
func (c *Cache) DeleteFunc(cursor Cursor, match func(key, value []byte,
	e Entry) bool,
) (deleted int, next Cursor) {
	next = c.step(cursor, func(s *stripe, begin, end int) {
		for offset := begin; offset < end; {
			r := s.entries.arena.at(offset)
			if r.alive() && match(r.key(), r.value(), r.entry()) {
				s.entries.removeAt(offset)
				deleted++
			}
			offset += r.len() // a dead record keeps its header
		}
		s.items.Add(-int64(deleted))
		s.counts.Deleted += uint64(deleted)
	})
	return deleted, next
}

// Purge removes expired entries wherever they are, at most a segment of them, and returns their
// number and the cursor to continue with; zero means that the walk is over. Entries are put with
// the rest of their lives, so one behind another may expire before it, and [Cache.Sweep] would
// leave it until the other goes. Segments in which nothing is due are not read.
func (c *Cache) Purge(cursor Cursor, now int64) (purged int, next Cursor) {
	stripeNo, segmentNo := int(cursor>>32), int(uint32(cursor))
	if stripeNo >= len(c.stripes) {
		return 0, 0
	}
	s := &c.stripes[stripeNo]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.entries.arena
	for ; segmentNo < int(a.touched); segmentNo++ {
		if a.segments[segmentNo].due <= now {
			purged = s.purge(segmentNo, now)
			return purged, cursor&^(1<<32-1) | Cursor(segmentNo+1)
		}
	}
	if stripeNo+1 < len(c.stripes) {
		return 0, Cursor(stripeNo+1) << 32
	}
	return 0, 0
}

// purge removes the expired entries of a segment and notes when the rest will expire.
func (s *stripe) purge(segmentNo int, now int64) (purged int) {
	a := &s.entries.arena
	g, due := &a.segments[segmentNo], int64(math.MaxInt64)
	base := segmentNo * a.segmentLen
	for offset, end := base+int(g.skip), base+int(g.used); offset < end; {
		r := a.at(offset)
		length := r.len() // a dead record keeps its header
		switch {
		case !r.alive():
		case r.expires() <= now:
			s.entries.removeAt(offset)
			purged++
		default:
			due = min(due, r.expires())
		}
		offset += length
	}
	g.due = due
	s.items.Add(-int64(purged))
	s.counts.Swept += uint64(purged)
	return purged
}

// Clear deletes all entries that were there when it was called and returns their number. Tombstones
// stay.
func (c *Cache) Clear() (deleted int) {
	all := func(_, _ []byte, _ Entry) bool { return true }
	for cursor := Cursor(0); ; {
		var n int
		n, cursor = c.DeleteFunc(cursor, all)
		deleted += n
		if cursor == 0 {
			return deleted
		}
	}
}

// step calls visit under the stripe's lock with the cursor's segment, whose records lie from begin
// to end in the entries' arena. It returns the next segment's cursor, or zero after the last.
func (c *Cache) step(cursor Cursor, visit func(s *stripe, begin, end int)) (next Cursor) {
	stripeNo, segmentNo := int(cursor>>32), int(uint32(cursor))
	if stripeNo >= len(c.stripes) {
		return 0
	}
	s := &c.stripes[stripeNo]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.entries.arena
	if segmentNo < int(a.touched) {
		g, base := &a.segments[segmentNo], segmentNo*a.segmentLen
		visit(s, base+int(g.skip), base+int(g.used))
	}
	if segmentNo+1 < int(a.touched) {
		return cursor + 1
	}
	if stripeNo+1 < len(c.stripes) {
		return Cursor(stripeNo+1) << 32
	}
	return 0
}

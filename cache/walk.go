package cache

// sweepStep bounds how many records a sweep reclaims while it holds a stripe's lock.
const sweepStep = 64

// Sweep reclaims expired entries and tombstones, at most budget of them, from the old end of each stripe in turn, and returns
// how many. If that is less than budget, no more are to be found. An expired entry behind one that lives longer is
// found when that one is gone; the cache does not serve it meanwhile. Call it every few seconds, from one goroutine.
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

// Cursor is a position in a walk through the entries: zero at the start and again at the end, opaque between. It stays usable
// whatever happens to the cache meanwhile, and any number is safe to pass in. It stands for a segment of a
// stripe: records do not move, so a walk misses none that was there when it began and was not replaced since.
type Cursor uint64

// Scan visits the next few live entries, perhaps none and usually some hundred, and returns the cursor to go on with; zero means
// the walk is over. What is put meanwhile may be visited or not. visit gets copies, wiped when Scan returns, and runs
// without a lock, so it may take its time and use the cache.
func (c *Cache) Scan(cursor Cursor, now int64, visit func(key, value []byte, e Entry)) (next Cursor) {
	segment := make([]byte, c.segmentLen)
	defer clear(segment)
	n := 0
	next = c.step(cursor, func(s *stripe, begin, end int) {
		n = copy(segment, s.entries.arena.mem[begin:end])
	})
	for offset := 0; offset < n; {
		r := record(segment[offset:])
		if r.alive() && r.expires() > now {
			visit(r.key(), r.value(), r.entry())
		}
		offset += r.len()
	}
	return next
}

// DeleteFunc deletes those of the next few entries that match, and returns how many, and the cursor to go on with; zero
// means the walk is over. It leaves no tombstones. match runs under a stripe's lock on the cache's own memory: it must be
// quick, and must not use the cache nor keep or change key and value. What is put meanwhile may be deleted or not.
func (c *Cache) DeleteFunc(cursor Cursor, match func(key, value []byte, tag uint8) bool) (deleted int, next Cursor) {
	next = c.step(cursor, func(s *stripe, begin, end int) {
		for offset := begin; offset < end; {
			r := s.entries.arena.at(offset)
			if r.alive() && match(r.key(), r.value(), r.tag()) {
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

// Clear deletes all entries that were there when it was called, and returns how many. Tombstones stay.
func (c *Cache) Clear() (deleted int) {
	all := func(_, _ []byte, _ uint8) bool { return true }
	for cursor := Cursor(0); ; {
		var n int
		n, cursor = c.DeleteFunc(cursor, all)
		deleted += n
		if cursor == 0 {
			return deleted
		}
	}
}

// step hands the records of the cursor's segment to visit, which lie from begin to end in the entries' arena, under the
// stripe's lock. It returns the next segment's cursor, or zero after the last.
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

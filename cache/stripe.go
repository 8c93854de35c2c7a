package cache

import (
	"sync"
	"sync/atomic"
)

const (
	// stripePad keeps data that different cores write in different cache lines, and in different
	// pairs of lines, since x86 fetches a line's neighbour along with it.
	stripePad = 128
	// sweepPerPut is how many expired records a put reclaims: more than it adds, so that a cache in
	// use cleans itself.
	sweepPerPut = 2
)

// stripe is a part of the cache, used by one goroutine at a time. A key is in at most one of the
// two fifos, unless its tombstone has expired.
type stripe struct {
	mu sync.Mutex // guards all below but the target of items
	// the mutex's cache line also has the counters of look-ups, so that a hit writes one line
	counts  Counts
	entries fifo
	spent   fifo          // tombstones: records without a value
	items   *atomic.Int64 // the cache's counter, which admit raises
	_       [stripePad]byte
}

// isSpent reports whether key has a tombstone that has not expired.
func (s *stripe) isSpent(hash uint64, key []byte, now int64) bool {
	_, t, ok := s.spent.find(hash, key)
	return ok && t.expires() > now
}

// miss counts a look-up that found nothing to serve.
func (s *stripe) miss(o Outcome) Outcome {
	s.counts.Miss++
	return o
}

// remove wipes the entry in slot i.
func (s *stripe) remove(i int) {
	s.entries.remove(i)
	s.items.Add(-1)
}

// replace removes the entry of key, if any, makes e no younger than that entry, and returns how it
// was held.
func (s *stripe) replace(hash uint64, key []byte, now int64, e *Entry) Hold {
	i, r, ok := s.entries.find(hash, key)
	if !ok {
		return notHeld
	}
	hold := r.hold()
	if r.expires() <= now {
		s.counts.Swept++
	} else {
		s.counts.Replaced++
		e.Born, e.Expires = min(e.Born, r.born()), min(e.Expires, r.expires())
	}
	s.remove(i)
	return hold
}

// evict removes the oldest entry, counted as swept if it has expired and as evicted if not. ok is
// false if there is no entry.
func (s *stripe) evict(now int64) (evicted, ok bool) {
	offset, r, ok := s.entries.first()
	if !ok {
		return false, false
	}
	if evicted = r.expires() > now; evicted {
		s.counts.Evicted++
	} else {
		s.counts.Swept++
	}
	s.entries.removeAt(offset)
	s.items.Add(-1)
	return evicted, true
}

// sweep reclaims up to n expired entries and tombstones, oldest first, and returns their number.
func (s *stripe) sweep(now int64, n int) (reclaimed int) {
	entries := s.entries.dropExpired(now, n)
	if entries > 0 {
		s.items.Add(-int64(entries))
		s.counts.Swept += uint64(entries)
	}
	return entries + s.spent.dropExpired(now, n-entries)
}

// bury adds a tombstone for key until expires, or extends an existing one to then. id is the hold
// that spent the entry.
func (s *stripe) bury(hash uint64, key []byte, now, expires int64, id uint64) {
	grave := Hold{ID: id, Until: notHeld.Until}
	if _, t, ok := s.spent.find(hash, key); ok {
		if t.expires() <= now { // of an earlier entry with that key
			t.setHold(grave)
		}
		t.setExpires(max(t.expires(), expires))
		return
	}
	for !s.spent.hasRoom(recordLen(len(key), 0)) {
		offset, t, ok := s.spent.first()
		if !ok {
			return // closed
		}
		if t.expires() > now {
			s.counts.TombstonesEvicted++
		}
		s.spent.removeAt(offset)
	}
	s.spent.push(hash, key, nil, Entry{Expires: expires}).setHold(grave)
}

// close wipes the stripe and leaves it empty and without room.
func (s *stripe) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.arena.wipe()
	s.spent.arena.wipe()
	s.items.Add(-int64(s.entries.len))
	s.entries, s.spent = fifo{}, fifo{}
}

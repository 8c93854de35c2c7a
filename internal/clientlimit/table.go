package clientlimit

import (
	"hash/maphash"
	"sync"
	"time"
	"unsafe"

	"reprise/internal/metric"
)

const (
	setLen    = 16 // 512 bytes, so that both sets of a client are hardly ever full
	stripeLen = 64
	minSets   = 4 // of a stripe
)

// An entry is the state of a client. It is 32 bytes.
type entry struct {
	key   Key
	conns int64
	until [kinds]int64 // nanoseconds since the table's epoch
}

// kind is what a Rate limits.
type kind uint8

const (
	handshakes kind = iota
	requests
	kinds
)

// free reports whether the entry can be reused without effect on its client.
func (e *entry) free(now int64) bool {
	return e.key == 0 || e.conns == 0 && e.until[handshakes] <= now && e.until[requests] <= now
}

type set [setLen]entry

// A stripe is a part of the table with a lock, on cache lines of its own.
type stripe struct {
	mu      sync.Mutex // guards what follows
	sets    []set
	clients int64 // with connections
	_       [64 - 8 - 24 - 8]byte
}

// A Table holds the state of clients. Its methods may be called from any goroutine; they hold a
// lock for some instructions and allocate nothing.
type Table struct {
	seed    maphash.Seed
	epoch   time.Time
	memory  []byte
	bytes   int64 // of it
	stripes [stripeLen]stripe

	forgotten, untracked metric.Counter
}

// NewTable makes a table for as many clients at a time. Close frees it.
func NewTable(clients int) (*Table, error) {
	perStripe := max(minSets, (clients+clients/4+setLen*stripeLen-1)/(setLen*stripeLen))
	memory, err := allocate(perStripe * stripeLen * int(unsafe.Sizeof(set{})))
	if err != nil {
		return nil, err
	}
	// Before the epoch nothing has been used up: a new entry's times are 0.
	t := &Table{
		seed: maphash.MakeSeed(), epoch: time.Now().Add(-time.Second), memory: memory,
		bytes: int64(len(memory)),
	}
	// Sets hold no pointers, and memory is aligned to a page, zero, and freed only by Close.
	sets := unsafe.Slice((*set)(unsafe.Pointer(unsafe.SliceData(memory))), perStripe*stripeLen)
	for i := range t.stripes {
		t.stripes[i].sets = sets[i*perStripe:][:perStripe]
	}
	return t, nil
}

// Close frees the table. Only Stats may be called after it.
func (t *Table) Close() {
	for i := range t.stripes {
		t.stripes[i].mu.Lock()
		t.stripes[i].sets = nil
		t.stripes[i].mu.Unlock()
	}
	release(t.memory)
	t.memory = nil
}

// place returns where a client may be.
func (t *Table) place(k Key) (s *stripe, a, b uint32) {
	h := maphash.Comparable(t.seed, k)
	s = &t.stripes[h%stripeLen]
	return s, uint32(h >> 8 & (1<<28 - 1)), uint32(h >> 36)
}

// pairLocked returns the sets of a client.
func (s *stripe) pairLocked(a, b uint32) (*set, *set) {
	n := uint32(len(s.sets))
	return &s.sets[a%n], &s.sets[b%n]
}

// find returns a client's entry, nil if there is none.
func find(k Key, a, b *set) *entry {
	for _, s := range [...]*set{a, b} {
		for i := range s {
			if s[i].key == k {
				return &s[i]
			}
		}
	}
	return nil
}

// lock locks the stripe of a client, for the caller to unlock, and returns the sets where it may
// be, with its entry, nil if there is none.
func (t *Table) lock(k Key) (s *stripe, a, b *set, e *entry) {
	s, i, j := t.place(k)
	s.mu.Lock()
	a, b = s.pairLocked(i, j)
	return s, a, b, find(k, a, b)
}

// connect counts a connection of a client that may have at most that many.
func (t *Table) connect(k Key, most int, at time.Time) (tracked, admitted bool) {
	now := int64(at.Sub(t.epoch))
	s, a, b, e := t.lock(k)
	defer s.mu.Unlock()
	if e == nil {
		if e = t.makeRoom(a, b, now); e == nil {
			t.untracked.Inc()
			return false, true
		}
		*e = entry{key: k}
	}
	if most > 0 && e.conns >= int64(most) {
		return true, false
	}
	if e.conns++; e.conns == 1 {
		s.clients++
	}
	return true, true
}

// makeRoom returns an entry for a client that has none: in the set with more room, so that
// both fill evenly. It is nil if all have connections.
func (t *Table) makeRoom(a, b *set, now int64) *entry {
	roomA, freeA := room(a, now)
	roomB, freeB := room(b, now)
	switch {
	case roomA >= roomB && freeA != nil:
		return freeA
	case freeB != nil:
		return freeB
	}
	var soonest *entry
	for _, s := range [...]*set{a, b} {
		for i := range s {
			if e := &s[i]; e.conns == 0 && (soonest == nil || e.usedUp() < soonest.usedUp()) {
				soonest = e
			}
		}
	}
	if soonest != nil {
		t.forgotten.Inc()
	}
	return soonest
}

// usedUp is when the last of an entry's times passes.
func (e *entry) usedUp() int64 { return max(e.until[handshakes], e.until[requests]) }

// room counts the entries of a set that are free, and returns the first.
func room(s *set, now int64) (n int, first *entry) {
	for i := range s {
		if e := &s[i]; e.free(now) {
			if n++; first == nil {
				first = e
			}
		}
	}
	return n, first
}

// Disconnect ends a connection that was begun with k.
func (t *Table) Disconnect(k Key) {
	if k == 0 {
		return
	}
	s, i, j := t.place(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sets) == 0 {
		return
	}
	a, b := s.pairLocked(i, j)
	if e := find(k, a, b); e.conns > 0 { // an entry with a connection stays, so it exists
		if e.conns--; e.conns == 0 {
			s.clients--
		}
	}
}

// take uses up one event of a client's rate. If the client has to wait, it returns for how long,
// and uses up nothing.
func (t *Table) take(k Key, what kind, r Rate, at time.Time) (wait time.Duration) {
	now := int64(at.Sub(t.epoch))
	s, _, _, e := t.lock(k)
	defer s.mu.Unlock()
	if e == nil {
		return 0
	}
	each := int64(time.Second) / int64(r.PerSecond)
	all := each * int64(max(r.Burst, 1))
	// Use under another policy counts for no more than the whole burst of this one.
	until := min(max(e.until[what], now), now+all)
	if until+each > now+all {
		return time.Duration(until + each - now - all)
	}
	e.until[what] = until + each
	return 0
}

// Stats are the statistics of the table.
type Stats struct {
	Clients   int64  `json:"clients" metric:"gauge" help:"Clients in the table of limits that have connections."`
	Bytes     int64  `json:"bytes" metric:"gauge" help:"Memory that the table of limits may take."`
	Forgotten uint64 `json:"forgotten" metric:"counter" help:"Clients without a connection that had to leave the full table of limits before their time."`
	Untracked uint64 `json:"untracked" metric:"counter" help:"Connections that were not counted against their client because the table of limits was full."`
}

// Stats may be called at any time, even on a nil table.
func (t *Table) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	s := Stats{Bytes: t.bytes, Forgotten: t.forgotten.Load(), Untracked: t.untracked.Load()}
	for i := range t.stripes {
		t.stripes[i].mu.Lock()
		s.Clients += t.stripes[i].clients
		t.stripes[i].mu.Unlock()
	}
	return s
}

package cache

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Cache is a bounded map from keys to values with an expiry each. Make one with [New]. All its
// methods may be called by any goroutine; after [Cache.Close] they find nothing and store nothing.
type Cache struct {
	opts       Options
	seed       maphash.Seed // keeps a peer that chooses keys from choosing a stripe or a slot
	shift      int          // a hash shifted right by this is a stripe's number
	stripes    []stripe
	mem        []byte // the mapping every stripe has a part of
	segmentLen int    // of the entries' arenas
	closing    sync.Once

	_ [stripePad]byte
	// live entries of all stripes; written where one is added or removed, never by a look-up
	items     atomic.Int64
	_         [stripePad]byte
	nextSweep atomic.Uint32 // the stripe where Sweep goes on
}

// Entry is what the cache knows about an entry besides its value.
type Entry struct {
	Tag uint8 // the cache attaches no meaning to it
	// when the session began; a Put never makes it later than an earlier Put of the key did
	Born    int64
	Expires int64 // the first instant at which the entry is no longer served
}

// Hold names a reservation. Two holds that may be tried for one entry have different IDs, and no ID
// is 0.
type Hold struct {
	ID    uint64
	Until int64 // the instant it lapses: from then on another hold may take the entry
}

// Outcome is how a look-up ended.
type Outcome uint8

const (
	Hit     Outcome = iota // a live value was found
	Unknown                // never stored here, or evicted, or expired and swept
	Expired                // found, but too old; it is removed
	Held                   // reserved by an earlier Hold
	Spent                  // deleted, and its tombstone still exists
)

// String returns a lower-case word.
func (o Outcome) String() string { return word(o, "hit", "unknown", "expired", "held", "spent") }

// PutOutcome is how a Put ended. Only the first two stored the entry.
type PutOutcome uint8

const (
	Stored         PutOutcome = iota
	StoredFull                // stored, and live entries were evicted to make room
	TooLarge                  // the key is longer than KeyLen or the value longer than BlockLen
	AlreadySpent              // a tombstone refused it
	AlreadyExpired            // Expires was not after now
	NoRoom                    // no entry was left to evict: the cache is closed
)

// String returns a few lower-case words.
func (o PutOutcome) String() string {
	return word(o, "stored", "stored when full", "too large", "already spent", "already expired",
		"no room")
}

func word[T ~uint8](i T, words ...string) string {
	if int(i) < len(words) {
		return words[i]
	}
	return "invalid"
}

// New returns an empty cache. It reserves address space for the worst case, every record as long as
// allowed, but the kernel provides memory only for what is stored. An error names the option at
// fault and its right values.
func New(o Options) (*Cache, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	n := o.stripes()
	entries := sizeFifo(o.stripeRecords(n), recordLen(o.KeyLen, o.BlockLen))
	spent := sizeFifo(o.stripeRecords(n), recordLen(o.KeyLen, 0))
	mem, err := mapMemory(n * (entries.memLen() + spent.memLen()))
	if err != nil {
		return nil,
			fmt.Errorf(
				"cache %q: cannot reserve %d MB of address space for items=%d of keysize=%d and blocksize=%d: %w; "+
					"lower them, or allow it (vm.overcommit_memory, ulimit -v)",
				o.Name, n*(entries.memLen()+spent.memLen())>>20, o.Items, o.KeyLen, o.BlockLen, err)
	}
	c := &Cache{
		opts:       o,
		seed:       maphash.MakeSeed(),
		shift:      64 - bits.Len(uint(n-1)),
		stripes:    make([]stripe, n),
		mem:        mem,
		segmentLen: entries.segmentLen,
	}
	for i := range c.stripes {
		s := &c.stripes[i]
		s.items = &c.items
		s.entries = newFifo(entries, mem[:entries.memLen()], c.seed)
		mem = mem[entries.memLen():]
		s.spent = newFifo(spent, mem[:spent.memLen()], c.seed)
		mem = mem[spent.memLen():]
	}
	return c, nil
}

// Put stores a copy of value under a copy of key until e.Expires. It replaces an entry of the same
// key but never prolongs it: the earlier birth and the earlier expiry of the two apply, and a
// reservation carries over. A full cache evicts the oldest entry to make room. Look-ups return e.
func (c *Cache) Put(key, value []byte, e Entry, now int64) PutOutcome {
	length := recordLen(len(key), len(value))
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(key) > c.opts.KeyLen || len(value) > c.opts.BlockLen:
		s.counts.TooLarge++
		return TooLarge
	case e.Expires <= now:
		s.counts.Late++
		return AlreadyExpired
	case s.isSpent(hash, key, now):
		s.counts.Refused++
		return AlreadySpent
	}
	hold := s.replace(hash, key, now, &e)
	s.sweep(now, sweepPerPut)
	outcome := Stored
	for !s.entries.hasRoom(length) || !c.admit() {
		evicted, ok := s.evict(now)
		if !ok {
			outcome = NoRoom
			break
		}
		if evicted {
			outcome = StoredFull
		}
	}
	if outcome != Stored {
		s.counts.Full++
	}
	if outcome != NoRoom {
		s.entries.push(hash, key, value, e).setHold(hold)
	}
	return outcome
}

// AppendGet looks key up and, on a Hit, appends its value to dst. Otherwise it returns dst
// unchanged and a zero Entry. It allocates only if dst lacks room.
func (c *Cache) AppendGet(dst, key []byte, now int64) ([]byte, Entry, Outcome) {
	return c.lookUp(dst, key, now, notHeld)
}

// Peek is AppendGet without counting or removing: a look-up for another node says nothing about how
// well this cache serves its own.
func (c *Cache) Peek(dst, key []byte, now int64) ([]byte, Entry, Outcome) {
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, ok := s.entries.find(hash, key)
	switch {
	case !ok && s.isSpent(hash, key, now):
		return dst, Entry{}, Spent
	case !ok:
		return dst, Entry{}, Unknown
	case r.expires() <= now:
		return dst, Entry{}, Expired
	case r.hold().Until > now:
		return dst, Entry{}, Held
	}
	return append(dst, r.value()...), r.entry(), Hit
}

// Hold is AppendGet that on a Hit also reserves the entry: until the hold lapses or is released, or
// the entry is spent or deleted, other look-ups answer Held. A single-use session is held while a
// handshake tries it. Holding it again under the same ID is a Hit too, so that a caller that lost
// the answer may ask again.
func (c *Cache) Hold(dst, key []byte, now int64, h Hold) ([]byte, Entry, Outcome) {
	return c.lookUp(dst, key, now, h)
}

// Release ends the reservation with that ID. If it has lapsed and another has followed it, that one
// stays.
func (c *Cache) Release(key []byte, id uint64) {
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, r, ok := s.entries.find(hash, key); ok && r.hold().ID == id {
		r.setHold(notHeld)
	}
}

// Spend is the commit of a Hold: it deletes the entry and leaves a tombstone until expires,
// provided that no other hold has come between, and reports that by Hit. Of all holds of an entry
// only one gets a Hit, and gets it each time it asks. Held, Spent and Expired tell the others why
// they lost; they change nothing. Unknown means that the entry is gone, for example evicted, and
// that the tombstone now belongs to this hold: no other hold can have spent the entry, or will.
func (c *Cache) Spend(key []byte, id uint64, now, expires int64) Outcome {
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, r, ok := s.entries.find(hash, key)
	switch {
	case !ok:
		if _, t, ok := s.spent.find(hash, key); ok && t.expires() > now {
			if id != 0 && t.hold().ID == id {
				return Hit
			}
			return Spent
		}
		if id != 0 && expires > now && len(key) <= c.opts.KeyLen {
			s.bury(hash, key, now, expires, id)
		}
		return Unknown
	case r.expires() <= now:
		return Expired
	case id == 0 || r.hold().ID != id:
		return Held
	}
	s.counts.Deleted++
	s.remove(i)
	if expires > now {
		s.bury(hash, key, now, expires, id)
	}
	return Hit
}

// Delete wipes the entry of key and leaves a tombstone until expires, even if the key is unknown: a
// late or repeated Put is refused. If expires is not after now, there is no tombstone. The outcome
// says what was found: Hit for a live entry, held or not; Spent for a tombstone. There is room for
// as many tombstones as entries; after that the oldest tombstone is dropped.
func (c *Cache) Delete(key []byte, now, expires int64) Outcome {
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := Unknown
	if i, r, ok := s.entries.find(hash, key); ok {
		if r.expires() > now {
			outcome = Hit
			s.counts.Deleted++
		} else {
			outcome = Expired
			s.counts.Swept++
		}
		s.remove(i)
	} else if s.isSpent(hash, key, now) {
		outcome = Spent
	}
	if expires > now && len(key) <= c.opts.KeyLen {
		s.bury(hash, key, now, expires, notHeld.ID)
	}
	return outcome
}

// Close wipes all contents and returns the memory. Call it once no goroutine uses the cache any
// more; later calls get Unknown and NoRoom.
func (c *Cache) Close() error {
	var err error
	c.closing.Do(func() {
		for i := range c.stripes {
			c.stripes[i].close()
		}
		err = unmapMemory(c.mem)
	})
	return err
}

// stripe returns key's hash and its stripe. The stripe's number comes from the hash's high bits;
// the fifos use the low ones.
func (c *Cache) stripe(key []byte) (hash uint64, s *stripe) {
	hash = maphash.Bytes(c.seed, key)
	return hash, &c.stripes[hash>>c.shift]
}

// admit takes one of the cache's item slots if one is free.
func (c *Cache) admit() bool {
	for {
		n := c.items.Load()
		if n >= int64(c.opts.Items) {
			return false
		}
		if c.items.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// lookUp serves AppendGet and Hold: it reserves what it finds unless h is notHeld.
func (c *Cache) lookUp(dst, key []byte, now int64, h Hold) ([]byte, Entry, Outcome) {
	hash, s := c.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, r, ok := s.entries.find(hash, key)
	switch {
	case !ok && s.isSpent(hash, key, now):
		s.counts.Spent++
		return dst, Entry{}, s.miss(Spent)
	case !ok:
		return dst, Entry{}, s.miss(Unknown)
	case r.expires() <= now:
		s.remove(i)
		s.counts.Expired++
		return dst, Entry{}, s.miss(Expired)
	case r.hold().Until > now && (h == notHeld || r.hold().ID != h.ID):
		s.counts.Held++
		return dst, Entry{}, s.miss(Held)
	}
	if h != notHeld {
		r.setHold(h)
	}
	s.counts.Hits++
	return append(dst, r.value()...), r.entry(), Hit
}

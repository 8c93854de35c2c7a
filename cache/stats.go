package cache

// Counts are totals since the cache was made.
type Counts struct {
	// Hits, Miss and Full have uWSGI's meaning: look-ups that found a live entry, look-ups that did
	// not (for whatever reason, those below included), and puts that found no room. Such a put
	// evicts the oldest entry and is stored all the same.
	Hits, Miss, Full uint64

	Expired uint64 // look-ups that found an expired entry
	Held    uint64 // look-ups that found a reserved entry
	Spent   uint64 // look-ups that found a tombstone

	Replaced uint64 // puts that replaced a live entry of the same key
	TooLarge uint64 // puts of a key or value beyond its bound
	Refused  uint64 // puts refused by a tombstone
	Late     uint64 // puts of entries that had already expired

	Evicted uint64 // live entries dropped to make room
	Swept   uint64 // expired entries reclaimed by something other than a look-up
	Deleted uint64 // entries deleted on demand

	TombstonesEvicted uint64 // tombstones dropped before their time to make room
}

func (c *Counts) add(o *Counts) {
	c.Hits += o.Hits
	c.Miss += o.Miss
	c.Full += o.Full
	c.Expired += o.Expired
	c.Held += o.Held
	c.Spent += o.Spent
	c.Replaced += o.Replaced
	c.TooLarge += o.TooLarge
	c.Refused += o.Refused
	c.Late += o.Late
	c.Evicted += o.Evicted
	c.Swept += o.Swept
	c.Deleted += o.Deleted
	c.TombstonesEvicted += o.TombstonesEvicted
}

// Stats describes a cache at one moment.
type Stats struct {
	Name     string
	MaxItems int // Options.Items
	KeyLen   int
	BlockLen int
	Stripes  int // the number in use

	// entries now, including expired ones not yet reclaimed; never more than MaxItems
	Items      int
	Tombstones int // tombstones now, expired ones included

	BytesLive int // bytes of those entries and tombstones with headers and padding
	// upper bound of the memory in use: all that was ever touched; later entries reuse it
	BytesResident int
	BytesReserved int // address space, which costs nothing until touched

	Counts
}

// Stats collects the statistics. It locks one stripe after another: each counter is exact, but two
// of them may be a moment apart.
func (c *Cache) Stats() Stats {
	st := Stats{
		Name:          c.opts.Name,
		MaxItems:      c.opts.Items,
		KeyLen:        c.opts.KeyLen,
		BlockLen:      c.opts.BlockLen,
		Stripes:       len(c.stripes),
		Items:         int(c.items.Load()),
		BytesReserved: len(c.mem),
	}
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.Lock()
		st.Tombstones += s.spent.len
		st.BytesLive += s.entries.arena.bytes + s.spent.arena.bytes
		st.BytesResident += s.entries.residentLen() + s.spent.residentLen()
		st.add(&s.counts)
		s.mu.Unlock()
	}
	return st
}

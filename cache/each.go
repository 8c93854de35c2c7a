package cache

// A Kind says what a key visited by [Cache.Each] stands for.
type Kind uint8

const (
	Live      Kind = iota // an entry that a look-up would find
	Reserved              // an entry that a hold reserves
	Tombstone             // a deleted entry that must not be put again
)

// Each visits all keys that have not expired, as they are when their part of the cache is visited.
// A key that does not change meanwhile is visited once. visit gets copies, wiped when it has
// returned, and runs without a lock.
func (c *Cache) Each(now int64, visit func(kind Kind, key, value []byte, e Entry)) {
	var segment []byte
	defer func() { clear(segment[:cap(segment)]) }()
	for i := range c.stripes {
		s := &c.stripes[i]
		for _, f := range []*fifo{&s.entries, &s.spent} {
			for segmentNo := 0; ; segmentNo++ {
				s.mu.Lock()
				a := &f.arena
				if segmentNo >= int(a.touched) {
					s.mu.Unlock()
					break
				}
				g, base := &a.segments[segmentNo], segmentNo*a.segmentLen
				segment = append(segment[:0],
					a.mem[base+int(g.skip):base+max(int(g.skip), int(g.used))]...)
				s.mu.Unlock()
				for offset := 0; offset < len(segment); {
					r := record(segment[offset:])
					offset += r.len()
					switch {
					case !r.alive() || r.expires() <= now:
					case f == &s.spent:
						visit(Tombstone, r.key(), nil, r.entry())
					case r.hold().Until > now:
						visit(Reserved, r.key(), r.value(), r.entry())
					default:
						visit(Live, r.key(), r.value(), r.entry())
					}
				}
			}
		}
	}
}

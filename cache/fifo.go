package cache

import (
	"bytes"
	"hash/maphash"
)

// fifo is a bounded set of records, found by key and dropped in order of arrival. The zero value is
// empty and has no room.
type fifo struct {
	seed  maphash.Seed
	index index
	arena arena
	len   int // records alive
	max   int // bound on len that keeps the index from filling up
}

// fifoSize says how much memory a fifo takes.
type fifoSize struct {
	records    int
	segmentLen int
	segments   int
}

func sizeFifo(records, maxRecordLen int) fifoSize {
	segmentLen, segments := segmentation(records, maxRecordLen)
	return fifoSize{records, segmentLen, segments}
}

func (z fifoSize) indexLen() int { return roundUp(indexSlots(z.records)*slotLen, pageLen) }
func (z fifoSize) memLen() int   { return z.indexLen() + z.segments*z.segmentLen }

// newFifo takes ownership of mem, which is zero and z.memLen() bytes long.
func newFifo(z fifoSize, mem []byte, seed maphash.Seed) fifo {
	return fifo{
		seed:  seed,
		index: newIndex(mem[:indexSlots(z.records)*slotLen]),
		arena: newArena(mem[z.indexLen():], z.segmentLen),
		max:   z.records,
	}
}

// find looks key up. The record is valid until the fifo changes. The comparison of keys is not
// constant-time: only a key with the same seeded 32-bit hash reaches it, so its timing tells an
// attacker nothing useful.
func (f *fifo) find(hash uint64, key []byte) (slot int, r record, ok bool) {
	if f.len == 0 {
		return 0, nil, false
	}
	want := uint32(hash)
	for i := f.index.home(want); ; i = f.index.next(i) {
		s := f.index.load(i)
		if s == 0 {
			return 0, nil, false
		}
		if s.hash() != want {
			continue
		}
		if r := f.arena.at(s.offset()); bytes.Equal(r.key(), key) {
			return i, r, true
		}
	}
}

// hasRoom reports whether a record of n bytes can be pushed.
func (f *fifo) hasRoom(n int) bool { return f.len < f.max && f.arena.hasRoom(n) }

// push appends a record whose key is not in the fifo; hasRoom must hold for its length.
func (f *fifo) push(hash uint64, key, value []byte, e Entry) record {
	offset := f.arena.alloc(recordLen(len(key), len(value)), e.Expires)
	r := f.arena.at(offset)
	r.fill(key, value, e)
	f.index.reserve(f.len)
	f.index.insert(newSlot(uint32(hash), offset))
	f.len++
	return r
}

// remove wipes the record of slot i.
func (f *fifo) remove(i int) {
	f.arena.free(f.index.load(i).offset())
	f.index.remove(i)
	f.len--
}

// first returns the oldest record and its offset.
func (f *fifo) first() (offset int, r record, ok bool) {
	if f.len == 0 {
		return 0, nil, false
	}
	offset = f.arena.first()
	return offset, f.arena.at(offset), true
}

// removeAt is remove for the live record at offset.
func (f *fifo) removeAt(offset int) {
	hash := maphash.Bytes(f.seed, f.arena.at(offset).key())
	f.remove(f.index.find(newSlot(uint32(hash), offset)))
}

// dropExpired removes up to n expired records from the old end and returns their number.
func (f *fifo) dropExpired(now int64, n int) (dropped int) {
	for ; dropped < n; dropped++ {
		offset, r, ok := f.first()
		if !ok || r.expires() > now {
			break
		}
		f.removeAt(offset)
	}
	return dropped
}

// residentLen bounds the memory touched so far.
func (f *fifo) residentLen() int {
	if f.arena.touched == 0 {
		return 0
	}
	return roundUp(f.index.len*slotLen, pageLen) + int(f.arena.touched)*f.arena.segmentLen
}

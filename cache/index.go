package cache

import "encoding/binary"

const slotLen = 8

// slot is one place of an index: the low half of a key's hash above the record's offset in units of
// recordAlign, plus one. A zero slot is empty.
type slot uint64

func newSlot(hash uint32, offset int) slot {
	return slot(hash)<<32 | slot(offset/recordAlign+1)
}

func (s slot) hash() uint32 { return uint32(s >> 32) }
func (s slot) offset() int  { return int(uint32(s)-1) * recordAlign }

// index is an open-addressing hash table with linear probing. Removal closes the gap it leaves
// (Knuth, TAOCP 3, 6.4, Algorithm R), so that there are no markers of deleted slots to clean up. It
// begins small and grows within its memory.
type index struct {
	mem []byte // slots, little-endian
	// number of slots in use: the table is the first len slots of mem
	len int
}

// minSlots fill a page.
const minSlots = pageLen / slotLen

// indexSlots is the number of slots for a number of records: at most three quarters full, where a
// look-up reads two to three slots if it finds its key and eight to nine if it does not, almost
// always in one or two cache lines.
func indexSlots(records int) int { return records + records/3 + 1 }

func newIndex(mem []byte) index { return index{mem: mem, len: min(minSlots, len(mem)/slotLen)} }

// reserve prepares an insert while records slots are taken.
func (x *index) reserve(records int) {
	most := len(x.mem) / slotLen
	if indexSlots(records+1) <= x.len || x.len == most {
		return
	}
	taken := make([]slot, 0, records)
	for i := range x.len {
		if s := x.load(i); s != 0 {
			taken = append(taken, s)
		}
	}
	clear(x.mem[:x.len*slotLen])
	x.len = min(2*x.len, most)
	// in order of their old homes, so in order of their new ones: one pass through memory
	for _, s := range taken {
		x.insert(s)
	}
}

func (x *index) load(i int) slot     { return slot(binary.LittleEndian.Uint64(x.mem[i*slotLen:])) }
func (x *index) store(i int, s slot) { binary.LittleEndian.PutUint64(x.mem[i*slotLen:], uint64(s)) }

// home is where the search for hash begins: the hash scaled to the table, whose size need not be a
// power of two.
func (x *index) home(hash uint32) int { return int(uint64(hash) * uint64(x.len) >> 32) }

func (x *index) next(i int) int {
	if i++; i < x.len {
		return i
	}
	return 0
}

// distance is the number of steps of next from i to j.
func (x *index) distance(i, j int) int {
	if j >= i {
		return j - i
	}
	return j - i + x.len
}

func (x *index) insert(s slot) {
	i := x.home(s.hash())
	for x.load(i) != 0 {
		i = x.next(i)
	}
	x.store(i, s)
}

// find returns the place of s, which must be in the table.
func (x *index) find(s slot) int {
	i := x.home(s.hash())
	for x.load(i) != s {
		i = x.next(i)
	}
	return i
}

// remove empties slot i.
func (x *index) remove(i int) {
	for j := x.next(i); ; j = x.next(j) {
		s := x.load(j)
		if s == 0 {
			break
		}
		// s may fill the gap at i if the search for it passes i.
		if x.distance(x.home(s.hash()), j) >= x.distance(i, j) {
			x.store(i, s)
			i = j
		}
	}
	x.store(i, 0)
}

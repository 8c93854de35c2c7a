package cache

import "math"

const (
	// minSegmentLen bounds the memory one stripe holds beyond its live records: part of its oldest
	// and of its newest segment.
	minSegmentLen = 64 << 10
	// segmentRecords is the least number of the longest records in a segment. A segment is left
	// when the next record does not fit, so up to one in segmentRecords is unused; that is address
	// space, mostly never touched.
	segmentRecords = 4
	// maxArenaLen is what a slot's 32-bit reference can address, 32 GB; it takes a 64-bit int.
	maxArenaLen = 1<<32*recordAlign - 1
)

// none, as a segment number, means that there is no such segment.
const none = -1

// segment describes one segment of an arena.
type segment struct {
	// the next older and newer segment in use, or none; next also links recycled segments
	prev, next int32
	live       int32 // records alive
	used       int32 // bytes taken by records, dead or alive
	skip       int32 // bytes of dead records before the first that may be alive
	due        int64 // no record expires before
}

// arena holds records in order of arrival. Its segments form a list from the oldest to the newest,
// and only the newest may be without a live record. A segment leaves the list when its last record
// dies, also from the middle, and is used again before memory that was never touched.
type arena struct {
	mem        []byte // the segments back to back
	segmentLen int
	segments   []segment
	touched    int32 // segments[touched:] have never been used
	recycled   int32 // head of the list of recycled segments
	oldest     int32
	newest     int32
	bytes      int // bytes taken by live records
}

// segmentation returns the segment length for records of at most maxRecordLen bytes, and the number
// of segments that hold any records of that kind in one run, plus half as much again for the holes
// that deletions leave.
func segmentation(records, maxRecordLen int) (segmentLen, segments int) {
	segmentLen = roundUp(max(minSegmentLen, segmentRecords*maxRecordLen), pageLen)
	// All but the last segment are filled to more than segmentLen-maxRecordLen. The oldest may have
	// a single live record left.
	perSegment := segmentLen/maxRecordLen - 1
	segments = (records+records/2)/perSegment + 2
	return segmentLen, min(segments, maxArenaLen/segmentLen)
}

func newArena(mem []byte, segmentLen int) arena {
	return arena{
		mem:        mem,
		segmentLen: segmentLen,
		segments:   make([]segment, len(mem)/segmentLen),
		recycled:   none,
		oldest:     none,
		newest:     none,
	}
}

func (a *arena) at(offset int) record { return record(a.mem[offset:]) }

// hasRoom reports whether alloc(n) may be called.
func (a *arena) hasRoom(n int) bool {
	return a.fitsNewest(n) || a.recycled != none || int(a.touched) < len(a.segments)
}

func (a *arena) fitsNewest(n int) bool {
	return a.newest != none && int(a.segments[a.newest].used)+n <= a.segmentLen
}

// alloc returns the offset of a new record of n bytes that will expire at an instant; hasRoom(n)
// must hold.
func (a *arena) alloc(n int, expires int64) int {
	if !a.fitsNewest(n) {
		a.openSegment()
	}
	g := &a.segments[a.newest]
	offset := int(a.newest)*a.segmentLen + int(g.used)
	g.used += int32(n)
	g.live++
	g.due = min(g.due, expires)
	a.bytes += n
	return offset
}

// openSegment makes an unused segment the newest.
func (a *arena) openSegment() {
	i := a.recycled
	if i != none {
		a.recycled = a.segments[i].next
	} else {
		i = a.touched
		a.touched++
	}
	a.segments[i] = segment{prev: a.newest, next: none, due: math.MaxInt64}
	if a.newest != none {
		a.segments[a.newest].next = i
	} else {
		a.oldest = i
	}
	a.newest = i
}

// free wipes the record at offset and recycles its segment if no live record is left in it.
func (a *arena) free(offset int) {
	r := a.at(offset)
	r.wipe()
	a.bytes -= r.len()
	i := int32(offset / a.segmentLen)
	g := &a.segments[i]
	g.live--
	if g.live > 0 {
		return
	}
	g.used, g.skip, g.due = 0, 0, math.MaxInt64
	if i != a.newest {
		a.recycle(i)
	}
}

// recycle takes segment i, which is not the newest, out of the list.
func (a *arena) recycle(i int32) {
	g := &a.segments[i]
	a.segments[g.next].prev = g.prev
	if g.prev != none {
		a.segments[g.prev].next = g.next
	} else {
		a.oldest = g.next
	}
	g.next = a.recycled
	a.recycled = i
}

// first returns the offset of the oldest live record; there must be one.
func (a *arena) first() (offset int) {
	g := &a.segments[a.oldest]
	base := int(a.oldest) * a.segmentLen
	for {
		r := a.at(base + int(g.skip))
		if r.alive() {
			return base + int(g.skip)
		}
		g.skip += int32(r.len())
	}
}

// wipe zeroes every record.
func (a *arena) wipe() {
	for i, g := range a.segments[:a.touched] {
		clear(a.mem[i*a.segmentLen:][:g.used])
	}
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

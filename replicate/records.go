package replicate

import (
	"encoding/binary"
	"iter"
	"math"
	"time"
)

// Records are updates in wire form, whole and well formed: a [BatchPacker] or
// [ParseMessages] made them.
type Records []byte

// All yields the records in order, those of unknown kinds too. Their values alias
// the receiver.
func (r Records) All() iter.Seq[Update] {
	return func(yield func(Update) bool) {
		for rest := []byte(r); len(rest) > 0; {
			u, next, ok := cutRecord(rest)
			if !ok || !yield(u) {
				return
			}
			rest = next
		}
	}
}

func (r Records) wellFormed() bool {
	for rest := []byte(r); len(rest) > 0; {
		_, next, ok := cutRecord(rest)
		if !ok {
			return false
		}
		rest = next
	}
	return true
}

// recordLen returns how many bytes u takes as a record, or 0 if it cannot travel:
// because it is not of a kind that does, or because its value is too long.
func recordLen(u *Update) int {
	if u.Kind != UpdateDelete && u.Kind != UpdateSession || len(u.Value) > maxValueLen {
		return 0
	}
	return recordHeaderLen + len(u.Value)
}

// appendRecord appends u to b, or nothing if it cannot travel.
func appendRecord(b []byte, u *Update) []byte {
	if recordLen(u) == 0 {
		return b
	}
	b = append(b, byte(u.Kind))
	b = append(b, u.Key[:]...)
	b = appendDuration(b, u.Left, time.Millisecond)
	b = binary.BigEndian.AppendUint16(b, uint16(len(u.Value)))
	return append(b, u.Value...)
}

// cutRecord takes the first record off b, of whatever kind. Its value aliases b.
func cutRecord(b []byte) (u Update, rest []byte, ok bool) {
	if len(b) < recordHeaderLen {
		return Update{}, nil, false
	}
	end := recordHeaderLen + int(binary.BigEndian.Uint16(b[recordHeaderLen-2:]))
	if len(b) < end {
		return Update{}, nil, false
	}
	u = Update{Kind: UpdateKind(b[0]), Key: Key(b[1:17]), Left: parseDuration(b[17:21], time.Millisecond)}
	if end > recordHeaderLen {
		u.Value = b[recordHeaderLen:end:end]
	}
	return u, b[end:], true
}

// appendDuration appends d in four bytes, whole units rounded down: what a
// session has left to live must not grow on its way.
func appendDuration(b []byte, d, unit time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(min(max(d/unit, 0), math.MaxUint32)))
}

func parseDuration(b []byte, unit time.Duration) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * unit
}

// A BatchPacker gathers updates into the records of batches that fit a datagram.
// It belongs to one goroutine.
type BatchPacker struct {
	maxLen  int
	records Records
	refused uint64
}

// NewBatchPacker returns an empty packer whose records are at most maxLen bytes
// together, but for a session that is longer by itself.
func NewBatchPacker(maxLen int) *BatchPacker {
	return &BatchPacker{maxLen: maxLen, records: make(Records, 0, max(maxLen, recordHeaderLen+maxValueLen))}
}

// TryAdd adds u and reports whether it did: false if it does not fit any more,
// and never so when the packer is empty. What cannot travel at all, a session of
// more than 16 KiB, is left out and counted, and reported as added. The packer
// copies u's value.
func (p *BatchPacker) TryAdd(u *Update) bool {
	n := recordLen(u)
	switch {
	case n == 0:
		p.refused++
		return true
	case len(p.records) > 0 && len(p.records)+n > p.maxLen:
		return false
	}
	p.records = appendRecord(p.records, u)
	return true
}

// Records returns what was added since the last [BatchPacker.Reset], in order. It
// is valid until the next call of TryAdd or Reset.
func (p *BatchPacker) Records() Records { return p.records }

// Reset wipes the records and empties the packer.
func (p *BatchPacker) Reset() {
	clear(p.records)
	p.records = p.records[:0]
}

// Refused returns how many updates could not travel.
func (p *BatchPacker) Refused() uint64 { return p.refused }

// Range is Count batches from First on.
type Range struct {
	First uint64
	Count uint16
}

// Ranges are ranges in wire form.
type Ranges []byte

// Append returns rs with r behind.
func (rs Ranges) Append(r Range) Ranges {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(rs, r.First), r.Count)
}

// All yields the ranges in order. Nothing is said about their size: First and
// Count are what the peer sent.
func (rs Ranges) All() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		for rest := rs; len(rest) >= rangeLen; rest = rest[rangeLen:] {
			if !yield(Range{binary.BigEndian.Uint64(rest), binary.BigEndian.Uint16(rest[8:])}) {
				return
			}
		}
	}
}

// Parts are numbers of snapshot parts in wire form.
type Parts []byte

// Append returns ps with part behind.
func (ps Parts) Append(part uint16) Parts { return binary.BigEndian.AppendUint16(ps, part) }

// All yields the numbers in order.
func (ps Parts) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for rest := ps; len(rest) >= partLen; rest = rest[partLen:] {
			if !yield(binary.BigEndian.Uint16(rest)) {
				return
			}
		}
	}
}

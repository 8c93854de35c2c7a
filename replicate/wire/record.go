package wire

import (
	"encoding/binary"
	"iter"
	"math"
	"time"
)

const (
	recordHeaderLen = 27 // kind, key, age, left, length
	rangeLen        = 10
	partLen         = 2

	// MaxValueLen is the longest session that is sent. With it a datagram is fragmented by IP,
	// which is tolerable for the rare session that holds a client's certificates.
	MaxValueLen = 16 << 10

	// MaxRecordLen is the length of the longest record.
	MaxRecordLen = recordHeaderLen + MaxValueLen
)

// UpdateKind is the kind of an update. Those sent between nodes have their number on the wire;
// others are for use inside a node.
type UpdateKind uint8

// The kinds.
const (
	UpdateSession UpdateKind = 1 // a session was made
	UpdateDelete  UpdateKind = 2 // a session must not be resumed any more
)

// An Update is a change of one session, sent between nodes.
type Update struct {
	Kind  UpdateKind
	Key   Key
	Age   time.Duration // since the full handshake, at sealing
	Left  time.Duration // to live, at sealing; both in ms and at most 49 days on the wire
	Value []byte        // of a session; the function that passes it defines its ownership
}

// Records are updates in wire form, whole and well formed: [AppendRecord] or [ParseMessages] made
// them.
type Records []byte

// All yields the records in order, including those of unknown kinds. Their values alias the
// receiver.
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

// RecordLen returns the length of u as a record, or 0 if it cannot be sent because of its kind or
// the length of its value.
func RecordLen(u *Update) int {
	if u.Kind != UpdateDelete && u.Kind != UpdateSession || len(u.Value) > MaxValueLen {
		return 0
	}
	return recordHeaderLen + len(u.Value)
}

// AppendRecord appends u to b, or nothing if it cannot be sent. The age is rounded up and the
// remaining life down: a session does not grow younger on its way.
func AppendRecord(b []byte, u *Update) []byte {
	if RecordLen(u) == 0 {
		return b
	}
	b = append(b, byte(u.Kind))
	b = append(b, u.Key[:]...)
	b = appendDuration(b, u.Age+time.Millisecond-1, time.Millisecond)
	b = appendDuration(b, u.Left, time.Millisecond)
	b = binary.BigEndian.AppendUint16(b, uint16(len(u.Value)))
	return append(b, u.Value...)
}

// cutRecord takes the first record off b, of any kind. Its value aliases b.
func cutRecord(b []byte) (u Update, rest []byte, ok bool) {
	if len(b) < recordHeaderLen {
		return Update{}, nil, false
	}
	end := recordHeaderLen + int(binary.BigEndian.Uint16(b[recordHeaderLen-2:]))
	if len(b) < end {
		return Update{}, nil, false
	}
	u = Update{
		Kind: UpdateKind(b[0]), Key: Key(b[1:17]),
		Age:  parseDuration(b[17:21], time.Millisecond),
		Left: parseDuration(b[21:25], time.Millisecond),
	}
	if end > recordHeaderLen {
		u.Value = b[recordHeaderLen:end:end]
	}
	return u, b[end:], true
}

// appendDuration appends d in four bytes, whole units rounded down: a session's remaining life must
// not grow on its way.
func appendDuration(b []byte, d, unit time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(min(max(d/unit, 0), math.MaxUint32)))
}

func parseDuration(b []byte, unit time.Duration) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * unit
}

// Range is Count batches from First on.
type Range struct {
	First uint64
	Count uint16
}

// Ranges are ranges in wire form.
type Ranges []byte

// Append returns rs with r appended.
func (rs Ranges) Append(r Range) Ranges {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(rs, r.First), r.Count)
}

func (rs Ranges) wellFormed() bool {
	for rest := rs; len(rest) >= rangeLen; rest = rest[rangeLen:] {
		if !isSeq(rest) {
			return false
		}
	}
	return true
}

// All yields the ranges in order. Their size is unchecked, but First is a valid number of a batch.
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

// Append returns ps with part appended.
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

// Pass ages records that have waited to be sealed, in place. Deletes have no age.
func (r Records) Pass(d time.Duration) {
	ms := int64((d + time.Millisecond - 1) / time.Millisecond)
	for rest := []byte(r); len(rest) >= recordHeaderLen && ms > 0; {
		age, left := rest[17:21], rest[21:25]
		binary.BigEndian.PutUint32(age, uint32(min(int64(binary.BigEndian.Uint32(age))+ms,
			math.MaxUint32)))
		binary.BigEndian.PutUint32(left, uint32(max(int64(binary.BigEndian.Uint32(left))-ms, 0)))
		rest = rest[recordHeaderLen+int(binary.BigEndian.Uint16(rest[recordHeaderLen-2:])):]
	}
}

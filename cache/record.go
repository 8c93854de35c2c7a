package cache

import (
	"encoding/binary"
	"math"
)

// Layout of a record's header, little-endian:
//
//	0 expires int64 | 8 born int64 | 16 hold uint64 | 24 heldUntil int64 |
//	32 valueLen uint32 | 36 keyLen uint16 | 38 tag uint8 | 39 alive uint8
//
// A tombstone's hold is the one that spent the entry, or zero.
const (
	headerLen   = 40
	recordAlign = 8
)

// notHeld is the hold of an entry that is not reserved: its end is before every possible now.
var notHeld = Hold{Until: math.MinInt64}

// record is one entry or tombstone in an arena. The slice may reach beyond the record's end.
type record []byte

// recordLen is the space a record takes in its arena.
func recordLen(keyLen, valueLen int) int {
	return (headerLen + keyLen + valueLen + recordAlign - 1) &^ (recordAlign - 1)
}

// fill writes a whole record, alive and not held.
func (r record) fill(key, value []byte, e Entry) {
	r.setExpires(e.Expires)
	binary.LittleEndian.PutUint64(r[8:], uint64(e.Born))
	r.setHold(notHeld)
	binary.LittleEndian.PutUint32(r[32:], uint32(len(value)))
	binary.LittleEndian.PutUint16(r[36:], uint16(len(key)))
	r[38] = e.Tag
	r[39] = 1
	copy(r[headerLen:], key)
	copy(r[headerLen+len(key):], value)
}

// wipe zeroes key and value and marks the record dead; its header still says how long it is.
func (r record) wipe() {
	clear(r[headerLen:r.len()])
	r[39] = 0
}

func (r record) setExpires(t int64) { binary.LittleEndian.PutUint64(r, uint64(t)) }
func (r record) expires() int64     { return int64(binary.LittleEndian.Uint64(r)) }
func (r record) born() int64        { return int64(binary.LittleEndian.Uint64(r[8:])) }
func (r record) valueLen() int      { return int(binary.LittleEndian.Uint32(r[32:])) }
func (r record) keyLen() int        { return int(binary.LittleEndian.Uint16(r[36:])) }
func (r record) tag() uint8         { return r[38] }
func (r record) alive() bool        { return r[39] != 0 }
func (r record) len() int           { return recordLen(r.keyLen(), r.valueLen()) }
func (r record) key() []byte        { return r[headerLen:][:r.keyLen()] }
func (r record) value() []byte      { return r[headerLen+r.keyLen():][:r.valueLen()] }
func (r record) entry() Entry {
	return Entry{
		Tag: r.tag(), Born: r.born(),
		Expires: r.expires(),
	}
}

func (r record) setHold(h Hold) {
	binary.LittleEndian.PutUint64(r[16:], h.ID)
	binary.LittleEndian.PutUint64(r[24:], uint64(h.Until))
}

func (r record) hold() Hold {
	return Hold{
		ID:    binary.LittleEndian.Uint64(r[16:]),
		Until: int64(binary.LittleEndian.Uint64(r[24:])),
	}
}

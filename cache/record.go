package cache

import (
	"encoding/binary"
	"math"
)

// Layout of a record's header, little-endian:
//
//	0 expires int64 | 8 heldUntil int64 | 16 valueLen uint32 | 20 keyLen uint16 | 22 tag uint8 | 23 alive uint8
const (
	headerLen   = 24
	recordAlign = 8
)

// notHeld is the heldUntil of an entry nobody has reserved: before every possible now.
const notHeld = math.MinInt64

// record is one entry or tombstone in an arena. The slice may reach beyond the record's end.
type record []byte

// recordLen is the space a record takes in its arena.
func recordLen(keyLen, valueLen int) int {
	return (headerLen + keyLen + valueLen + recordAlign - 1) &^ (recordAlign - 1)
}

// fill writes a whole record, alive and not held.
func (r record) fill(key, value []byte, tag uint8, expires int64) {
	r.setExpires(expires)
	r.holdUntil(notHeld)
	binary.LittleEndian.PutUint32(r[16:], uint32(len(value)))
	binary.LittleEndian.PutUint16(r[20:], uint16(len(key)))
	r[22] = tag
	r[23] = 1
	copy(r[headerLen:], key)
	copy(r[headerLen+len(key):], value)
}

// wipe zeroes key and value and marks the record dead; its header still says how long it is.
func (r record) wipe() {
	clear(r[headerLen:r.len()])
	r[23] = 0
}

func (r record) setExpires(t int64) { binary.LittleEndian.PutUint64(r, uint64(t)) }
func (r record) expires() int64     { return int64(binary.LittleEndian.Uint64(r)) }
func (r record) holdUntil(t int64)  { binary.LittleEndian.PutUint64(r[8:], uint64(t)) }
func (r record) heldUntil() int64   { return int64(binary.LittleEndian.Uint64(r[8:])) }
func (r record) valueLen() int      { return int(binary.LittleEndian.Uint32(r[16:])) }
func (r record) keyLen() int        { return int(binary.LittleEndian.Uint16(r[20:])) }
func (r record) tag() uint8         { return r[22] }
func (r record) alive() bool        { return r[23] != 0 }
func (r record) len() int           { return recordLen(r.keyLen(), r.valueLen()) }
func (r record) key() []byte        { return r[headerLen:][:r.keyLen()] }
func (r record) value() []byte      { return r[headerLen+r.keyLen():][:r.valueLen()] }
func (r record) entry() Entry       { return Entry{Tag: r.tag(), Expires: r.expires()} }

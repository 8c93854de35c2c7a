package wire

// A Reader takes values off the front of a byte string. Every method reports whether the string was
// long enough; if it was not, the Reader is unchanged. Results alias the string.
type Reader []byte

// Empty reports whether nothing is left.
func (r *Reader) Empty() bool { return len(*r) == 0 }

// Uint8 takes a byte.
func (r *Reader) Uint8() (uint8, bool) {
	b := *r
	if len(b) < 1 {
		return 0, false
	}
	*r = b[1:]
	return b[0], true
}

// Uint16 takes two bytes, the higher one first.
func (r *Reader) Uint16() (uint16, bool) {
	b := *r
	if len(b) < 2 {
		return 0, false
	}
	*r = b[2:]
	return uint16(b[0])<<8 | uint16(b[1]), true
}

// Uint32 takes four bytes, the highest one first.
func (r *Reader) Uint32() (uint32, bool) {
	b := *r
	if len(b) < 4 {
		return 0, false
	}
	*r = b[4:]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), true
}

// Bytes takes n bytes.
func (r *Reader) Bytes(n int) ([]byte, bool) {
	return r.vector(0, n)
}

// Vector8 takes a vector whose length is one byte before it.
func (r *Reader) Vector8() ([]byte, bool) {
	b := *r
	if len(b) < 1 {
		return nil, false
	}
	return r.vector(1, int(b[0]))
}

// Vector16 takes a vector whose length is in two bytes before it.
func (r *Reader) Vector16() ([]byte, bool) {
	b := *r
	if len(b) < 2 {
		return nil, false
	}
	return r.vector(2, int(b[0])<<8|int(b[1]))
}

// Vector24 takes a vector whose length is in three bytes before it.
func (r *Reader) Vector24() ([]byte, bool) {
	b := *r
	if len(b) < 3 {
		return nil, false
	}
	return r.vector(3, int(b[0])<<16|int(b[1])<<8|int(b[2]))
}

// vector takes n bytes after skipping those of their length. The result's capacity ends with it, so
// that appending to it cannot change the message.
func (r *Reader) vector(skip, n int) ([]byte, bool) {
	b := *r
	if n < 0 || n > len(b)-skip {
		return nil, false
	}
	*r = b[skip+n:]
	return b[skip : skip+n : skip+n], true
}

// contains16 reports whether a list of 16-bit values contains v.
func contains16(list []byte, v uint16) bool {
	high, low := byte(v>>8), byte(v)
	for ; len(list) >= 2; list = list[2:] {
		if list[0] == high && list[1] == low {
			return true
		}
	}
	return false
}

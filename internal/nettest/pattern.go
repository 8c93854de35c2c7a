package nettest

import (
	"encoding/binary"
	"fmt"
	"io"
)

// NewPattern returns a reader of the first n bytes of the endless stream that seed stands for. A
// byte lost, repeated or moved is detected, since every eight bytes are different and follow from
// their position.
func NewPattern(seed uint64, n int64) io.Reader {
	return io.LimitReader(&pattern{seed: seed}, n)
}

// CheckPattern reads r to its end and returns an error unless it delivered
// exactly NewPattern(seed, n). It stops at the first wrong byte.
func CheckPattern(r io.Reader, seed uint64, n int64) error {
	c := NewChecker(seed)
	if _, err := copyAll(c, r); err != nil {
		return fmt.Errorf("stream of %d bytes failed after %d: %w", n, c.Len(), err)
	}
	if c.Len() != n {
		return fmt.Errorf("stream ended after %d bytes, want %d", c.Len(), n)
	}
	return nil
}

// Checker is a writer that compares what is written to it with the pattern of
// its seed. It is owned by one goroutine.
type Checker struct {
	want pattern
	buf  []byte
	err  error // sticky
}

// NewChecker returns a Checker at the start of the pattern.
func NewChecker(seed uint64) *Checker {
	return &Checker{want: pattern{seed: seed}, buf: make([]byte, 4<<10)}
}

// Len returns the number of bytes that were right.
func (c *Checker) Len() int64 { return c.want.off }

// Write checks the next bytes of the stream. The first wrong one is an error with its position, for
// that call and all later ones.
func (c *Checker) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) && c.err == nil {
		got := p[done:min(done+len(c.buf), len(p))]
		want := c.buf[:len(got)]
		off := c.want.off
		_, _ = c.want.Read(want)
		if i := mismatch(got, want); i >= 0 {
			c.want.off = off + int64(i)
			c.err = fmt.Errorf("wrong byte at offset %d: got %#04x, want %#04x", c.want.off, got[i],
				want[i])
			return done + i, c.err
		}
		done += len(got)
	}
	return done, c.err
}

func mismatch(a, b []byte) int {
	if string(a) == string(b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// pattern reads an endless stream of 64-bit words, each SplitMix64 (Steele, Lea
// and Flood, "Fast Splittable Pseudorandom Number Generators", 2014) of seed
// and its index, little endian.
type pattern struct {
	seed uint64
	off  int64
}

func (s *pattern) Read(p []byte) (int, error) {
	n := len(p)
	var word [8]byte
	for len(p) > 0 {
		if s.off%8 == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, s.word())
			p, s.off = p[8:], s.off+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], s.word())
		k := copy(p, word[s.off%8:])
		p, s.off = p[k:], s.off+int64(k)
	}
	return n, nil
}

// word returns the word that the byte at off is part of.
func (s *pattern) word() uint64 {
	z := s.seed + (uint64(s.off/8)+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

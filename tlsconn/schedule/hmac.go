package schedule

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"

	"reprise/tlsconn/primitive"
)

const (
	maxBlockLen = sha512.BlockSize
	// maxDataLen is the longest input that HMAC takes without an allocation. The longest HkdfLabel
	// has 2+256+256 bytes and is between a hash and a counter.
	maxDataLen = primitive.MaxHashLen + 2 + 256 + 256 + 1 + 13
)

var ipad, opad = pad(0x36), pad(0x5c)

func pad(b byte) (p [maxBlockLen]byte) {
	for i := range p {
		p[i] = b
	}
	return p
}

// A Scratch is the memory that derivations work in. The zero value is ready. It belongs to one
// loop.
type Scratch struct {
	in  [maxBlockLen + maxDataLen]byte           // inner padded key, then data
	out [maxBlockLen + primitive.MaxHashLen]byte // outer padded key, then the inner hash
}

// Clear wipes the keys left by derivations.
func (s *Scratch) Clear() { *s = Scratch{} }

// HMAC sets dst, of h.Len() bytes or fewer, to the HMAC of data.
func (s *Scratch) HMAC(h primitive.Hash, dst, key []byte, data ...[]byte) {
	room := 0
	for _, d := range data {
		room += len(d)
	}
	b := s.key(h, key, room)
	for _, d := range data {
		b = append(b, d...)
	}
	s.sum(h, dst, b)
	s.done(b)
}

// key sets up both padded keys and returns the inner one, to which data are appended for sum. Until
// another key is set up, that can be repeated with other data. done ends it.
func (s *Scratch) key(h primitive.Hash, key []byte, room int) []byte {
	n := sha256.BlockSize
	if h == primitive.SHA384 {
		n = sha512.BlockSize
	}
	in, out := s.in[:n], s.out[:n]
	if len(key) > n {
		hash(h, in, key)
		clear(in[h.Len():])
	} else {
		clear(in[copy(in, key):])
	}
	subtle.XORBytes(out, in, opad[:n])
	subtle.XORBytes(in, in, ipad[:n])
	if n+room > len(s.in) {
		return append(make([]byte, 0, n+room), in...)
	}
	return in
}

// done wipes the result of key, and what was appended to it, if Clear will not.
func (s *Scratch) done(b []byte) {
	if cap(b) > len(s.in) {
		clear(b[:cap(b)])
	}
}

// sum sets dst to the HMAC of b, the result of key with data appended.
func (s *Scratch) sum(h primitive.Hash, dst, b []byte) {
	if h == primitive.SHA384 {
		inner := sha512.Sum384(b)
		copy(s.out[sha512.BlockSize:], inner[:])
		outer := sha512.Sum384(s.out[:sha512.BlockSize+sha512.Size384])
		copy(dst, outer[:])
		return
	}
	inner := sha256.Sum256(b)
	copy(s.out[sha256.BlockSize:], inner[:])
	outer := sha256.Sum256(s.out[:sha256.BlockSize+sha256.Size])
	copy(dst, outer[:])
}

// hash sets dst to the hash of b.
func hash(h primitive.Hash, dst, b []byte) {
	if h == primitive.SHA384 {
		sum := sha512.Sum384(b)
		copy(dst, sum[:])
		return
	}
	sum := sha256.Sum256(b)
	copy(dst, sum[:])
}

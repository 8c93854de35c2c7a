package record

import (
	"crypto/cipher"
	"encoding/binary"
	"slices"

	"reprise/tlsconn/primitive"
)

// A Half is one direction of a connection: keys, sequence number, and the AEAD's state while there
// is traffic. The zero value speaks plaintext. A copy of a Half must not be used beside the
// original: nonces would repeat.
type Half struct {
	suite *primitive.Suite // nil: plaintext
	aead  cipher.AEAD      // nil until used, and after Rest
	seq   uint64
	iv    [primitive.NonceLen]byte // TLS 1.2 with AES-GCM: the four bytes of the salt, then zeros
	key   [primitive.MaxKeyLen]byte
}

// Set starts protection with these keys and the sequence number 0. The arguments are copied; the IV
// is IVLen bytes long.
func (h *Half) Set(suite *primitive.Suite, key, iv []byte) {
	if len(key) != suite.AEAD.KeyLen() || len(iv) != IVLen(suite) {
		panic("record: length of a key or an IV")
	}
	h.Clear()
	h.suite = suite
	copy(h.key[:], key)
	copy(h.iv[:], iv)
}

// IVLen returns the length of the IV that the key schedule makes for the suite:
// four bytes for AES-GCM in TLS 1.2 (RFC 5288, Section 3), otherwise the nonce's.
func IVLen(suite *primitive.Suite) int {
	if hasExplicitNonce(suite) {
		return primitive.NonceLen - explicitLen
	}
	return primitive.NonceLen
}

// Protected reports whether records are encrypted.
func (h *Half) Protected() bool { return h.suite != nil }

// Seq returns the number of records since Set.
func (h *Half) Seq() uint64 { return h.seq }

// Exhausted reports whether new keys are due. RFC 8446, Section 5.5 allows AES-GCM
// 2^24.5 full records under one key; a third of them is left for the peer's answer
// to a KeyUpdate. TLS 1.2 states no limit, and 2^62 records are out of reach.
func (h *Half) Exhausted() bool {
	if h.suite == nil {
		return false
	}
	if h.suite.TLS13 && h.suite.AEAD != primitive.ChaCha20Poly1305 {
		return h.seq >= 1<<24
	}
	return h.seq >= 1<<62
}

// Rest drops the AEAD's state, some hundred bytes, and keeps the keys: the next record makes it
// again, in less than a microsecond.
func (h *Half) Rest() { h.aead = nil }

// Clear wipes the keys; the Half speaks plaintext again. The AEAD's state is out of reach and left
// to the garbage collector.
func (h *Half) Clear() { *h = Half{} }

// SealedLen returns the length of the record, header included, that Seal makes of
// n bytes.
func (h *Half) SealedLen(n int) int {
	switch {
	case h.suite == nil:
		return HeaderLen + n
	case h.suite.TLS13:
		return HeaderLen + n + 1 + primitive.TagLen
	case hasExplicitNonce(h.suite):
		return HeaderLen + explicitLen + n + primitive.TagLen
	}
	return HeaderLen + n + primitive.TagLen
}

// Seal appends one record to dst. It holds at most MaxPlain bytes; plain must not overlap dst's
// spare room. The version, 0x0301 or 0x0303, applies to records in plaintext: protected ones always
// have 0x0303.
func (h *Half) Seal(s *Scratch, dst []byte, t Type, version uint16, plain []byte) []byte {
	if len(plain) > MaxPlain {
		panic("record: too much for one record")
	}
	size := h.SealedLen(len(plain))
	dst = slices.Grow(dst, size)
	n := size - HeaderLen
	switch {
	case h.suite == nil:
		dst = append(dst, byte(t), byte(version>>8), byte(version), byte(n>>8), byte(n))
		return append(dst, plain...)
	case h.suite.TLS13:
		return h.seal13(s, dst, t, plain, n)
	}
	return h.seal12(s, dst, t, plain, n)
}

// seal13 hides the type behind the plaintext (RFC 8446, Section 5.2).
func (h *Half) seal13(s *Scratch, dst []byte, t Type, plain []byte, n int) []byte {
	header := append(s.ad[:0], byte(ApplicationData), 3, 3, byte(n>>8), byte(n))
	dst = append(dst, header...)
	start := len(dst)
	dst = append(dst, plain...)
	dst = append(dst, byte(t))
	aead := h.state()
	h.mixedNonce(s)
	h.seq++
	return aead.Seal(dst[:start], s.nonce[:], dst[start:], header)
}

func (h *Half) seal12(s *Scratch, dst []byte, t Type, plain []byte, n int) []byte {
	dst = append(dst, byte(t), 3, 3, byte(n>>8), byte(n))
	if hasExplicitNonce(h.suite) {
		s.nonce = h.iv
		// A counter cannot repeat (RFC 5288, Section 3).
		binary.BigEndian.PutUint64(s.nonce[primitive.NonceLen-explicitLen:], h.seq)
		dst = append(dst, s.nonce[primitive.NonceLen-explicitLen:]...)
	} else {
		h.mixedNonce(s)
	}
	aead := h.state()
	h.additional12(s, byte(t), 3, 3, len(plain))
	h.seq++
	return aead.Seal(dst, s.nonce[:], plain, s.ad[:])
}

// state returns the AEAD's state and makes it if it is missing.
func (h *Half) state() cipher.AEAD {
	if h.aead == nil {
		h.aead = h.suite.AEAD.New(h.key[:h.suite.AEAD.KeyLen()])
	}
	return h.aead
}

// mixedNonce is the one of TLS 1.3 (RFC 8446, Section 5.3), and of
// ChaCha20-Poly1305 in TLS 1.2 (RFC 7905, Section 2): IV xor sequence number.
func (h *Half) mixedNonce(s *Scratch) {
	s.nonce = h.iv
	low := s.nonce[primitive.NonceLen-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^h.seq)
}

// additional12 is the additional data of TLS 1.2 (RFC 5246, Section 6.2.3.3).
func (h *Half) additional12(s *Scratch, t, major, minor byte, n int) {
	binary.BigEndian.PutUint64(s.ad[:], h.seq)
	s.ad[8], s.ad[9], s.ad[10] = t, major, minor
	binary.BigEndian.PutUint16(s.ad[11:], uint16(n))
}

func hasExplicitNonce(suite *primitive.Suite) bool {
	return !suite.TLS13 && suite.AEAD != primitive.ChaCha20Poly1305
}

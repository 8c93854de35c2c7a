package schedule

import "reprise/tlsconn/primitive"

// Extract is HKDF-Extract (RFC 5869, Section 2.2). dst has h.Len() bytes.
func (s *Scratch) Extract(h primitive.Hash, dst, salt, ikm []byte) {
	b := append(s.key(h, salt, len(ikm)), ikm...)
	s.sum(h, dst, b)
	s.done(b)
}

// ExpandLabel fills dst by HKDF-Expand-Label (RFC 8446, Section 7.1). A label has up to 249 bytes,
// a context up to 255. One output of the hash is enough for all of TLS; a longer dst takes more.
func (s *Scratch) ExpandLabel(
	h primitive.Hash, dst, secret []byte, label string, context []byte,
) {
	const prefix = "tls13 "
	room := 2 + 1 + len(prefix) + len(label) + 1 + len(context)
	b := s.key(h, secret, room+expandRoom)
	n := len(b)
	b = append(b, byte(len(dst)>>8), byte(len(dst)), byte(len(prefix)+len(label)))
	b = append(b, prefix...)
	b = append(b, label...)
	b = append(b, byte(len(context)))
	b = append(b, context...)
	s.expand(h, dst, b, n)
	s.done(b)
}

// expandRoom is what expand needs beside the info: an output and a counter.
const expandRoom = primitive.MaxHashLen + 1

// expand is HKDF-Expand (RFC 5869, Section 2.3). b is the result of key, n bytes, and the info.
func (s *Scratch) expand(h primitive.Hash, dst, b []byte, n int) {
	size := h.Len()
	b = append(b, 1)
	if len(dst) <= size {
		s.sum(h, dst, b)
		return
	}
	s.sum(h, dst[:size], b)
	// From here on the info follows the previous output.
	info := len(b) - n
	b = b[:len(b)+size]
	copy(b[n+size:], b[n:n+info])
	for done := size; done < len(dst); done += size {
		copy(b[n:], dst[done-size:done])
		b[len(b)-1]++
		s.sum(h, dst[done:min(done+size, len(dst))], b)
	}
}

package record

import (
	"encoding/binary"

	"reprise/tlsconn/primitive"
)

// Open returns the content of a record with these HeaderLen bytes and this fragment, whose length
// the header states. The plaintext is written to dst from its start (dst[:0]), which has enough
// room with len(fragment) bytes and must not overlap the fragment; if dst is nil, it replaces the
// fragment. A plaintext record is returned unchanged, without a copy. The caller checks the
// header's version.
//
// A fault ends a connection, with one exception: BadMAC leaves the Half unchanged, so that records
// of early data can be tried and skipped (RFC 8446, Section 4.2.10). The bytes of the fragment are
// lost then if it was opened in place.
func (h *Half) Open(s *Scratch, dst, header, fragment []byte) (t Type, plain []byte, f Fault) {
	switch {
	case h.suite == nil:
		if len(fragment) > MaxPlain {
			return 0, nil, Overflow
		}
		t, plain = Type(header[0]), fragment
	case h.suite.TLS13:
		t, plain, f = h.open13(s, dst, header, fragment)
	default:
		t, plain, f = h.open12(s, dst, header, fragment)
	}
	if f != None {
		return 0, nil, f
	}
	if !permitted(t, len(plain)) {
		return 0, nil, Unexpected
	}
	return t, plain, None
}

// permitted refuses records whose type is unknown, or that are empty and not application data (RFC
// 8446, Section 5.1; RFC 5246, Section 6.2.1): these only cost work.
func permitted(t Type, n int) bool {
	switch t {
	case ApplicationData:
		return true
	case ChangeCipherSpec, Alert, Handshake:
		return n > 0
	}
	return false
}

func (h *Half) open13(s *Scratch, dst, header, fragment []byte) (Type, []byte, Fault) {
	switch {
	case Type(header[0]) != ApplicationData:
		return 0, nil, Unexpected
	case len(fragment) > Max13:
		return 0, nil, Overflow
	case len(fragment) < primitive.TagLen:
		return 0, nil, BadMAC
	}
	if dst == nil {
		dst = fragment
	}
	ad := append(s.ad[:0], header[:HeaderLen]...)
	h.mixedNonce(s)
	inner, err := h.state().Open(dst[:0], s.nonce[:], fragment, ad)
	if err != nil {
		return 0, nil, BadMAC
	}
	h.seq++
	if len(inner) > MaxPlain+1 { // RFC 8446, Section 5.4: padding included
		return 0, nil, Overflow
	}
	end := unpadded(inner)
	if end == 0 {
		return 0, nil, Unexpected // only padding (RFC 8446, Section 5.4)
	}
	t := Type(inner[end-1])
	if t == ChangeCipherSpec { // never protected (RFC 8446, Section 5)
		return 0, nil, Unexpected
	}
	return t, inner[:end-1], None
}

// unpadded returns the length of inner without the zeros at its end, which may be 16 KiB of them:
// it checks eight at a time.
func unpadded(inner []byte) int {
	end := len(inner)
	for end >= 8 && binary.NativeEndian.Uint64(inner[end-8:end]) == 0 {
		end -= 8
	}
	for end > 0 && inner[end-1] == 0 {
		end--
	}
	return end
}

func (h *Half) open12(s *Scratch, dst, header, fragment []byte) (Type, []byte, Fault) {
	if len(fragment) > Max12 {
		return 0, nil, Overflow
	}
	if hasExplicitNonce(h.suite) {
		if len(fragment) < explicitLen+primitive.TagLen {
			return 0, nil, BadMAC
		}
		s.nonce = h.iv
		copy(s.nonce[primitive.NonceLen-explicitLen:], fragment)
		fragment = fragment[explicitLen:]
	} else {
		if len(fragment) < primitive.TagLen {
			return 0, nil, BadMAC
		}
		h.mixedNonce(s)
	}
	if dst == nil {
		dst = fragment
	}
	h.additional12(s, header[0], header[1], header[2], len(fragment)-primitive.TagLen)
	plain, err := h.state().Open(dst[:0], s.nonce[:], fragment, s.ad[:])
	if err != nil {
		return 0, nil, BadMAC
	}
	h.seq++
	if len(plain) > MaxPlain {
		return 0, nil, Overflow
	}
	return Type(header[0]), plain, None
}

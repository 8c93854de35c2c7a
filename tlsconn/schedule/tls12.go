package schedule

import "reprise/tlsconn/primitive"

// PRF fills dst by TLS 1.2's pseudorandom function (RFC 5246, Section 5).
func (s *Scratch) PRF(h primitive.Hash, dst, secret []byte, label string, seed ...[]byte) {
	size := h.Len()
	room := len(label) + size
	for _, d := range seed {
		room += len(d)
	}
	b := s.key(h, secret, room)
	n := len(b)
	// A(1) is the HMAC of label and seed. All outputs are those of A(i) and label and seed, which
	// move up to make room.
	b = append(b, label...)
	for _, d := range seed {
		b = append(b, d...)
	}
	var a [primitive.MaxHashLen]byte
	s.sum(h, a[:size], b)
	labelAndSeed := len(b) - n
	b = b[:len(b)+size]
	copy(b[n+size:], b[n:n+labelAndSeed])
	for {
		copy(b[n:], a[:size])
		s.sum(h, dst[:min(size, len(dst))], b)
		if len(dst) <= size {
			break
		}
		dst = dst[size:]
		s.sum(h, a[:size], b[:n+size])
	}
	clear(a[:])
	s.done(b)
}

// Master fills dst with the master secret (RFC 5246, Section 8.1).
func (s *Scratch) Master(
	h primitive.Hash, dst *[48]byte, premaster, clientRandom, serverRandom []byte,
) {
	s.PRF(h, dst[:], premaster, "master secret", clientRandom, serverRandom)
}

// ExtendedMaster fills dst with the master secret that is bound to the handshake up to the
// ClientKeyExchange (RFC 7627, Section 4).
func (s *Scratch) ExtendedMaster(h primitive.Hash, dst *[48]byte, premaster, sessionHash []byte) {
	s.PRF(h, dst[:], premaster, "extended master secret", sessionHash)
}

// KeyBlock fills dst with the keys of a connection (RFC 5246, Section 6.3). The
// server's random comes first here.
func (s *Scratch) KeyBlock(h primitive.Hash, dst, master, serverRandom, clientRandom []byte) {
	s.PRF(h, dst, master, "key expansion", serverRandom, clientRandom)
}

// Finished12 fills dst with the verify_data of the client's or the server's
// Finished (RFC 5246, Section 7.4.9).
func (s *Scratch) Finished12(
	h primitive.Hash, dst *[12]byte, master []byte, client bool, transcript []byte,
) {
	label := "server finished"
	if client {
		label = "client finished"
	}
	s.PRF(h, dst[:], master, label, transcript)
}

package tlsconn

import "reprise/tlsconn/record"

const (
	// keptLen is the capacity of a lent buffer: the longest record that clients send. One of TLS
	// 1.2 may be longer, but with an AEAD never is in practice.
	keptLen = record.HeaderLen + record.Max13
	// maxSpares bounds the buffers kept after a burst of partial records.
	maxSpares = 16
	// lendFrom is how much of a record must have come before a whole buffer is lent for it: a
	// connection must have paid for a quarter of what it holds.
	lendFrom = keptLen / 4
)

// An input is the ciphertext that has arrived and is not consumed: first the copied part, then the
// part borrowed from the caller of Feed.
type input struct {
	in   []byte // borrowed
	kept []byte // copied, from off on
	off  int
	// lends says that whole buffers are lent: once Connected. Before that, memory grows with the
	// bytes received.
	lends bool
}

func (i *input) len() int { return len(i.kept) - i.off + len(i.in) }

// feed adds borrowed bytes. What was borrowed before must be consumed or retained.
func (i *input) feed(in []byte) { i.in = in }

// peek returns the first n bytes in one piece, nil if there are fewer. They stay valid until the
// next call and may be changed in place.
func (i *input) peek(s *server, n int) []byte {
	have := len(i.kept) - i.off
	if have == 0 {
		i.kept, i.off = i.kept[:0], 0
		if len(i.in) < n {
			return nil
		}
		return i.in[:n]
	}
	if have < n {
		more := min(n-have, len(i.in))
		i.reserve(s, n)
		i.kept = append(i.kept, i.in[:more]...)
		i.in = i.in[more:]
		if have+more < n {
			return nil
		}
	}
	return i.kept[i.off : i.off+n]
}

// skip consumes n bytes that peek returned.
func (i *input) skip(n int) {
	if i.off < len(i.kept) {
		i.off += n
		return
	}
	i.in = i.in[n:]
}

// reserve makes room for a record of n bytes, in a lent buffer once much of it is there.
func (i *input) reserve(s *server, n int) {
	if i.off > 0 {
		i.kept = i.kept[:copy(i.kept, i.kept[i.off:])]
		i.off = 0
	}
	if !i.lends || cap(i.kept) >= n || len(i.kept)+len(i.in) < lendFrom || n > keptLen {
		return
	}
	b := append(s.takeSpare(), i.kept...)
	i.kept = b
}

// retain copies the borrowed bytes, so that the caller can reuse its buffer.
func (i *input) retain(s *server) {
	if len(i.in) == 0 {
		if i.off == len(i.kept) {
			i.release(s)
		}
		return
	}
	if i.off == len(i.kept) {
		i.kept, i.off = i.kept[:0], 0
		if i.lends && len(i.in) >= lendFrom && len(i.in) <= keptLen && cap(i.kept) < len(i.in) {
			i.kept = s.takeSpare()
		}
	}
	i.kept = append(i.kept, i.in...)
	i.in = nil
}

// release returns the lent buffer.
func (i *input) release(s *server) {
	if cap(i.kept) == keptLen && len(s.spares) < maxSpares {
		s.spares = append(s.spares, i.kept[:0])
	}
	*i = input{lends: i.lends}
}

func (s *server) takeSpare() []byte {
	n := len(s.spares)
	if n == 0 {
		return make([]byte, 0, keptLen)
	}
	b := s.spares[n-1]
	s.spares = s.spares[:n-1]
	return b
}

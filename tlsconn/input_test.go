package tlsconn

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"reprise/tlsconn/record"
)

// A stream is the bytes for a connection.
type stream struct {
	input   input
	pending []byte   // not fed yet
	want    [][]byte // records not seen yet
}

// However a stream is cut, and whatever other connections do with the buffers that
// all of them are lent, each connection sees its own records.
func TestInputCutsAtRandom(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := new(server)
		var streams []*stream
		for range 1 + r.IntN(5) {
			streams = append(streams, newStream(r))
		}
		for fed := true; fed; {
			fed = false
			for i, k := range streams {
				n := min(len(k.pending), 1+r.IntN(1<<r.IntN(17)))
				if n == 0 {
					continue
				}
				fed = true
				if err := k.feed(s, n); err != nil {
					t.Fatalf("seed %d, stream %d: %v", seed, i, err)
				}
			}
		}
		for i, k := range streams {
			if len(k.want) > 0 || k.input.len() > 0 {
				t.Errorf("seed %d, stream %d: %d records are missing, %d bytes are left", seed, i, len(k.want), k.input.len())
			}
			k.input.release(s)
		}
		if len(s.spares) > maxSpares {
			t.Errorf("seed %d: %d buffers are kept, want %d at most", seed, len(s.spares), maxSpares)
		}
	}
}

// feed feeds the next n bytes, and takes the records that are whole then.
func (k *stream) feed(s *server, n int) error {
	in := bytes.Clone(k.pending[:n])
	k.pending = k.pending[n:]
	k.input.feed(in)
	for {
		header := k.input.peek(s, record.HeaderLen)
		if header == nil {
			break
		}
		n := record.HeaderLen + int(header[3])<<8 + int(header[4])
		rec := k.input.peek(s, n)
		if rec == nil {
			break
		}
		k.input.skip(n)
		if !bytes.Equal(rec, k.want[0]) {
			return fmt.Errorf("a record of %d bytes is not what was sent", n)
		}
		k.want = k.want[1:]
		clear(rec) // decrypted in place
	}
	k.input.retain(s)
	clear(in) // the caller has it back
	return nil
}

// newStream has 20 records at random.
func newStream(r *rand.Rand) *stream {
	k := new(stream)
	for range 20 {
		rec := make([]byte, record.HeaderLen+r.IntN(1<<(1+r.IntN(14))))
		for i := range rec {
			rec[i] = byte(r.Uint32())
		}
		n := len(rec) - record.HeaderLen
		rec[3], rec[4] = byte(n>>8), byte(n)
		k.want = append(k.want, rec)
		k.pending = append(k.pending, rec...)
	}
	return k
}

package replicate

import (
	"fmt"
	"testing"

	"reprise/replicate/wire"
)

// A stream keeps the newest batches, as many as it may, however far it has grown, and
// says which is the oldest.
func TestStreamKeeps(t *testing.T) {
	for _, first := range []uint64{0, 7, 1 << 40} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			s := stream{first: first}
			s.init(wire.StreamHome, &peer{}, 1200)
			begin := max(first, 1)
			for made := uint64(1); made <= 3*homeKeptLen; made++ {
				seq := begin + made - 1
				*s.next() = []entry{{key: simKey(int(made))}}
				if s.seq != seq {
					t.Fatalf("batch %d is %d", seq, s.seq)
				}
				want := begin
				if made > homeKeptLen {
					want = seq + 1 - homeKeptLen
				}
				if got := s.oldest(); got != want {
					t.Fatalf("after %d batches the oldest is %d, want %d", made, got, want)
				}
				for _, back := range []uint64{0, 1, made / 2, made - 1} {
					if back >= min(made, homeKeptLen) {
						continue
					}
					if got := *s.slot(seq - back); len(got) != 1 || got[0].key != simKey(int(made-back)) {
						t.Fatalf("after %d batches, %d back: %v", made, back, got)
					}
				}
			}
			if len(s.kept) != homeKeptLen {
				t.Errorf("room for %d batches, want %d", len(s.kept), homeKeptLen)
			}
		})
	}
}

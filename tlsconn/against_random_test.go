package tlsconn_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestAgainstStandardAtRandom is FuzzAgainstStandard without the fuzzer, for a start:
// random mutations, as many as REPRISE_MUTATIONS says, else so few that they cost
// little.
func TestAgainstStandardAtRandom(t *testing.T) {
	twins := newTwins(t)
	n, r := mutations(t, 2000)
	differ := map[string]int{}
	for range n {
		w := &twins[r.IntN(len(twins))]
		ops := make([]byte, 4*(1+r.IntN(5)))
		for i := range ops {
			ops[i] = byte(r.Uint32())
			if i%2 == 0 && i%4 != 0 && r.IntN(2) == 0 {
				ops[i] %= 16
			}
		}
		if r.IntN(2) == 0 {
			ops = append(ops, opFixBinder, 0, 0, 0)
		}
		cut := 1 << 14
		if r.IntN(8) == 0 {
			cut = 1 + r.IntN(64)
		}
		in := w.mutate(w.bases[r.IntN(len(w.bases))], ops)
		d := w.differs(in, cut)
		if d == nil {
			continue
		}
		kind := d.kind()
		if differ[kind]++; differ[kind] == 1 {
			t.Errorf("%v", d)
		}
	}
	for kind, n := range differ {
		t.Logf("%6d times: %s", n, kind)
	}
}

// mutations returns how many to make, few unless REPRISE_MUTATIONS says otherwise, and by which
// randomness.
func mutations(t *testing.T, few int) (int, *rand.Rand) {
	t.Helper()
	n, seed := few, uint64(1)
	if more, err := strconv.Atoi(os.Getenv("REPRISE_MUTATIONS")); err == nil {
		n, seed = more, rand.Uint64()
		t.Logf("seed %d", seed)
	}
	return n, rand.New(rand.NewPCG(seed, 0))
}

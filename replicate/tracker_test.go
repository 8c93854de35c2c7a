package replicate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestTracker(t *testing.T) {
	tests := []struct {
		name     string
		steps    func(*tracker)
		missing  string
		givenUp  uint64
		repeated uint64
	}{
		{"nothing", func(tr *tracker) {}, "[]", 0, 0},
		{"in order", func(tr *tracker) { arrive(tr, 1, 2, 3) }, "[]", 0, 0},
		{"a gap", func(tr *tracker) { arrive(tr, 1, 4, 5) }, "[{2 2}]", 0, 0},
		{"two gaps", func(tr *tracker) { arrive(tr, 2, 4) }, "[{1 1} {3 1}]", 0, 0},
		{"a gap filled", func(tr *tracker) { arrive(tr, 1, 3, 2) }, "[]", 0, 0},
		{"repeated", func(tr *tracker) { arrive(tr, 1, 3, 3, 1) }, "[{2 1}]", 0, 2},
		{"announced only", func(tr *tracker) { arrive(tr, 1); tr.announce(3) }, "[{2 2}]", 0, 0},
		{"given up", func(tr *tracker) { arrive(tr, 1, 5); tr.giveUp(4) }, "[{4 1}]", 2, 0},
		{"given up what came", func(tr *tracker) { arrive(tr, 2, 3); tr.giveUp(3) }, "[]", 1, 0},
		{
			"far ahead", func(tr *tracker) { arrive(tr, 1); tr.announce(3 * trackedLen) },
			fmt.Sprintf("[{%d %d}]", 2*trackedLen+1, trackedLen), 2*trackedLen - 1, 0,
		},
		{"joined late", func(tr *tracker) { tr.from(100); arrive(tr, 99, 100, 102) }, "[{101 1}]", 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tr := new(tracker)
			tr.from(1)
			test.steps(tr)
			if got := fmt.Sprint(tr.missing(nil, 100)); got != test.missing {
				t.Errorf("missing: got %v, want %v", got, test.missing)
			}
			if tr.givenUpLen != test.givenUp || tr.repeatedLen != test.repeated {
				t.Errorf("given up %d, repeated %d; want %d, %d", tr.givenUpLen, tr.repeatedLen, test.givenUp, test.repeated)
			}
			if tr.complete() != (test.missing == "[]") {
				t.Errorf("complete: got %v with %s missing", tr.complete(), test.missing)
			}
		})
	}
}

func arrive(tr *tracker, seqs ...uint64) {
	for _, seq := range seqs {
		tr.arrived(seq)
	}
}

// Whatever the order, each batch is new once, and what has not arrived is
// missing.
func TestTrackerAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		tr := new(tracker)
		tr.from(1)
		seen := make(map[uint64]bool)
		const batches = 3000
		for range 2 * batches {
			seq := uint64(r.IntN(batches) + 1)
			if got, want := tr.arrived(seq), !seen[seq]; got != want {
				t.Fatalf("batch %d: new is %v, want %v", seq, got, want)
			}
			seen[seq] = true
		}
		missing := make(map[uint64]bool)
		for _, s := range tr.missing(nil, batches) {
			for i := range uint64(s.Count) {
				missing[s.First+i] = true
			}
		}
		for seq := uint64(1); seq <= tr.newest; seq++ {
			if seen[seq] == missing[seq] {
				t.Fatalf("batch %d: arrived %v, missing %v", seq, seen[seq], missing[seq])
			}
		}
	}
}

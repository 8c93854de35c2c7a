package wire

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestWindow says which numbers a window takes and which it has seen. It is long because it is
// a table.
func TestWindow(t *testing.T) {
	type step struct {
		counter uint64
		want    bool
	}
	const top = math.MaxUint64
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"in order, each once", []step{
			{0, true}, {1, true}, {1, false}, {2, true}, {0, false}, {2, false},
		}},
		{"reordered", []step{
			{9, true}, {8, true}, {7, true}, {7, false}, {10, true}, {8, false}, {0, true}, {9, false},
		}},
		{"the window's edges", []step{
			{windowLen, true},
			{0, true},
			{0, false}, // 0 is the oldest that can be told
			{windowLen + 1, true},
			{0, false},
			{1, true},
			{1, false},
			{windowLen + 2, true},
			{1, false},
			{2, true},
		}},
		{"too old is a replay, though never seen", []step{
			{5 * windowLen, true}, {0, false}, {4*windowLen - 1, false}, {4 * windowLen, true},
		}},
		{"moving on clears the blocks it passes", []step{
			{63, true}, {64, true}, {64 * windowBlocks, true}, // in the block where 63 was, one lap later
			{64*windowBlocks + 63, true}, {64*windowBlocks + 64, true}, {64*windowBlocks + 65, true},
		}},
		{"a jump of exactly the ring, and one beyond", []step{
			{1, true},
			{1 + 64*windowBlocks, true},
			{1 + 64*windowBlocks, false},
			{1 + 200*windowLen, true},
			{200 * windowLen, true},
			{1 + 200*windowLen, false},
		}},
		{"a jump within a block forgets nothing", []step{
			{100, true}, {110, true}, {100, false}, {105, true}, {105, false}, {110, false},
		}},
		{"the last counters", []step{
			{top - 1, true},
			{top, true},
			{top, false},
			{top - 1, false},
			{top - windowLen, true},
			{top - windowLen - 1, false},
			{0, false},
		}},
		{"from nothing to the last", []step{{top, true}, {top, false}, {0, false}, {top - 1, true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w Window
			for i, s := range tt.steps {
				if got := w.Check(s.counter); got != s.want {
					t.Fatalf("step %d: Check(%d) = %v, want %v", i+1, s.counter, got, s.want)
				}
			}
		})
	}
}

// Against the obvious: a set of what was seen and the newest.
func TestWindowModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var w Window
		seen, newest := map[uint64]bool{}, uint64(0)
		for range 5000 {
			counter := newest - min(newest, rng.Uint64N(windowLen+100))
			switch rng.IntN(20) {
			case 0:
				counter = newest + rng.Uint64N(3*windowLen)
			case 1, 2, 3, 4, 5:
				counter = newest + 1 + rng.Uint64N(3)
			}
			want := !seen[counter] && counter+windowLen >= newest
			if got := w.Check(counter); got != want {
				t.Fatalf("seed %d: Check(%d) = %v with newest %d, want %v", seed, counter, got, newest, want)
			}
			seen[counter] = true
			newest = max(newest, counter)
		}
	}
}

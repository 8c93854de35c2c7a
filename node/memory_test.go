package node

import (
	"math"
	"testing"
)

// TestHeapLimit: the collector knows the control group's limit, and leaves room for the caches.
func TestHeapLimit(t *testing.T) {
	const g = 1 << 30
	for _, test := range []struct {
		name          string
		group, caches uint64
		want          int64
	}{
		{"no limit", math.MaxUint64, g, math.MaxInt64},
		{"no limit, as a signed number", math.MaxInt64, g, math.MaxInt64},
		{"no caches", 10 * g, 0, 9 * g},
		{"caches", 10 * g, 4 * g, 5 * g},
		{"caches larger than the limit", 10 * g, 100 * g, 10 * g / 4},
	} {
		if got := heapLimit(test.group, test.caches); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

package metric

import (
	"testing"
	"time"
)

// The hot path counts without allocating.
func TestNoAllocation(t *testing.T) {
	var c Counter
	var g Gauge
	var h Histogram
	var s HistogramSnapshot
	allocs := testing.AllocsPerRun(100, func() {
		c.Inc()
		g.Set(int64(c.Load()))
		h.Observe(time.Duration(g.Load()) * time.Microsecond)
		s.Merge(h.Snapshot())
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

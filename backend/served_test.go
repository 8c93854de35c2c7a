package backend

import (
	"testing"
	"time"

	"reprise/internal/metric"
)

// TestDurationsAreSummedOverLoops: the counts of several loops are one histogram for each class,
// and a class without a response is not shown.
func TestDurationsAreSummedOverLoops(t *testing.T) {
	p, err := NewPool(nil, Options{Changing: true})
	if err != nil {
		t.Fatal(err)
	}
	durations := func() map[string]metric.HistogramSnapshot {
		got := make(map[string]metric.HistogramSnapshot)
		p.Stats().RequestDuration.Each(func(class string, h metric.HistogramSnapshot) { got[class] = h })
		return got
	}
	if got := durations(); len(got) != 0 {
		t.Errorf("before any response: got %v", got)
	}
	var loops [2]metric.Histograms[Class]
	for i := range loops {
		p.Observe(&loops[i])
		loops[i].Observe(ClassOf(200), time.Second)
		loops[i].Observe(ClassOf(299), 2*time.Second)
	}
	loops[1].Observe(ClassOf(503), time.Millisecond)
	got := durations()
	if h := got["2xx"]; h.Count != 4 || h.Sum != 6*time.Second {
		t.Errorf("2xx: got %d of %v in all, want 4 of 6s", h.Count, h.Sum)
	}
	if h := got["5xx"]; h.Count != 1 || len(got) != 2 {
		t.Errorf("5xx: got %d, and %d classes; want 1 and 2", h.Count, len(got))
	}
}

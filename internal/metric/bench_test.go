package metric

import (
	"testing"
	"time"
)

func BenchmarkCounterInc(b *testing.B) {
	var c Counter
	b.ReportAllocs()
	for b.Loop() {
		c.Inc()
	}
}

func BenchmarkHistogramObserve(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	d := time.Duration(1)
	for b.Loop() {
		h.Observe(d)
		d = (d*5 + 7) & (1<<30 - 1) // wander over the buckets
	}
}

func BenchmarkHistogramSnapshot(b *testing.B) {
	var h Histogram
	var s HistogramSnapshot
	b.ReportAllocs()
	for b.Loop() {
		s = h.Snapshot()
	}
	if s.Count != 0 {
		b.Fatal("the histogram was never written to")
	}
}

package load

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Quantiles are those of the sorted durations, at most 1 % above.
func TestQuantile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 1000, 20000} {
		h := newHistogram()
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(math.Exp(random.Float64() * math.Log(float64(time.Minute))))
			h.record(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(math.Ceil(q*float64(n)))-1, 0)]
			if got := h.Quantile(q); got < want || float64(got) > float64(want)*1.01 {
				t.Errorf("%d durations: quantile %v: got %v, want %v to 1 %% more", n, q, got, want)
			}
		}
		if h.Count() != int64(n) || h.Max() != all[n-1] {
			t.Errorf("got %d durations up to %v, want %d up to %v", h.Count(), h.Max(), n, all[n-1])
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	tests := []struct {
		name            string
		durations       []time.Duration
		median, highest time.Duration
	}{
		{"none", nil, 0, 0},
		{"negative", []time.Duration{-5}, 0, 0},
		{"zero", []time.Duration{0}, 0, 0},
		{"exact below 256 ns", []time.Duration{255}, 255, 255},
		{"above the last bucket", []time.Duration{1, time.Hour, 2 * time.Hour}, 2 * time.Hour, 2 * time.Hour},
		{"longest", []time.Duration{math.MaxInt64}, math.MaxInt64, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHistogram()
			for _, d := range tt.durations {
				h.record(d)
			}
			if h.Quantile(0.5) != tt.median || h.Max() != tt.highest {
				t.Errorf("got median %v, maximum %v, want %v, %v", h.Quantile(0.5), h.Max(), tt.median, tt.highest)
			}
		})
	}
	var zero Histogram
	if zero.Count() != 0 || zero.Mean() != 0 || zero.Max() != 0 || zero.Quantile(0.5) != 0 {
		t.Error("the zero value is not empty")
	}
}

// Every bucket's upper bound is in it, and the next nanosecond is not.
func TestBuckets(t *testing.T) {
	for i := range bucketLen - 1 {
		if high := upperBound(i); bucketOf(high) != i || bucketOf(high+1) != i+1 {
			t.Fatalf("bucket %d ends at %v, which is in bucket %d and the next in %d", i, high, bucketOf(high), bucketOf(high+1))
		}
	}
}

func TestHistogramJSON(t *testing.T) {
	h := newHistogram()
	for i := range 1000 {
		h.record(time.Duration(i) * time.Millisecond)
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.999, 1} {
		if got, want := back.Quantile(q), h.Quantile(q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if back.Count() != h.Count() || back.Mean() != h.Mean() || back.Max() != h.Max() {
		t.Errorf("got %d, %v, %v, want %d, %v, %v", back.Count(), back.Mean(), back.Max(), h.Count(), h.Mean(), h.Max())
	}
	if err := json.Unmarshal([]byte(`{"buckets":[[-1,1]]}`), &back); err == nil {
		t.Error("a negative bucket passed")
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	h := newHistogram()
	if n := testing.AllocsPerRun(100, func() { h.record(time.Millisecond) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

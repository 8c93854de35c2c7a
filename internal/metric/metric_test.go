package metric

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestCounterAndGauge(t *testing.T) {
	var c Counter
	c.Inc()
	c.Add(41)
	if got := c.Load(); got != 42 {
		t.Errorf("counter: got %d, want 42", got)
	}
	var g Gauge
	g.Inc()
	g.Dec()
	g.Dec()
	if got := g.Load(); got != -1 {
		t.Errorf("gauge: got %d, want -1", got)
	}
	g.Set(10)
	g.Add(-3)
	if got := g.Load(); got != 7 {
		t.Errorf("gauge: got %d, want 7", got)
	}
}

// Every bound is the largest duration of its bucket: one nanosecond more falls
// into the next one.
func TestBucketsMeetAtTheirBounds(t *testing.T) {
	for i := range boundLen {
		bound, ok := Bound(i)
		if !ok {
			t.Fatalf("Bound(%d): got none", i)
		}
		if got := bucketOf(bound); got != i {
			t.Errorf("bucketOf(%v): got %d, want %d", bound, got, i)
		}
		if got := bucketOf(bound + 1); got != i+1 {
			t.Errorf("bucketOf(%v + 1 ns): got %d, want %d", bound, got, i+1)
		}
	}
	for _, i := range []int{-1, boundLen, boundLen + 1} {
		if d, ok := Bound(i); ok {
			t.Errorf("Bound(%d): got %v, want none", i, d)
		}
	}
}

func TestBucketOf(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want time.Duration // the bound of its bucket, 0 = above the last
	}{
		{0, time.Microsecond},
		{1, time.Microsecond},
		{1400, 1500},
		{1600, 2 * time.Microsecond},
		{5 * time.Microsecond, 6 * time.Microsecond},
		{time.Millisecond, 1024 * time.Microsecond},
		{16 * time.Second, 1 << 24 * time.Microsecond},
		{17 * time.Second, 0},
		{math.MaxInt64, 0},
	}
	for _, tt := range tests {
		if got, _ := Bound(bucketOf(tt.d)); got != tt.want {
			t.Errorf("%v falls under %v, want %v", tt.d, got, tt.want)
		}
	}
}

func TestHistogramSnapshot(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-5, 0, time.Microsecond, 3 * time.Microsecond, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	if s.Count != 5 || s.Sum != time.Hour+4*time.Microsecond || s.Max != time.Hour {
		t.Errorf("got count %d, sum %v, max %v", s.Count, s.Sum, s.Max)
	}
	var want [bucketLen]uint64
	want[0], want[3], want[bucketLen-1] = 3, 1, 1
	if s.Buckets != want {
		t.Errorf("got buckets %v, want %v", s.Buckets, want)
	}
}

func TestMergeEqualsOneHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var one, a, b Histogram
	for range 1000 {
		d := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		one.Observe(d)
		if r.IntN(2) == 0 {
			a.Observe(d)
		} else {
			b.Observe(d)
		}
	}
	merged := a.Snapshot()
	merged.Merge(b.Snapshot())
	if merged != one.Snapshot() {
		t.Errorf("got %+v, want %+v", merged, one.Snapshot())
	}
}

// A quantile lies in the bucket of the exact one, so it is off by at most the
// bucket's width: half of the value's lower edge, or 1 us below that.
func TestQuantileStaysWithinItsBucket(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var h Histogram
	exact := make([]time.Duration, 10_000)
	for i := range exact {
		exact[i] = time.Duration(math.Exp(r.Float64()*16) * 100) // 100 ns to 0.9 s
		h.Observe(exact[i])
	}
	slices.Sort(exact)
	s := h.Snapshot()
	last := time.Duration(0)
	for _, q := range []float64{0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		got, want := s.Quantile(q), exact[int(math.Ceil(q*float64(len(exact))))-1]
		if off := bucketOf(got) - bucketOf(want); off != 0 {
			t.Errorf("Quantile(%v): got %v, %d buckets from %v", q, got, off, want)
		}
		if got < last {
			t.Errorf("Quantile(%v): got %v, below the last one, %v", q, got, last)
		}
		last = got
	}
}

func TestQuantileEdges(t *testing.T) {
	var empty, one, huge HistogramSnapshot
	one.observe(700 * time.Nanosecond)
	huge.observe(time.Minute)
	tests := []struct {
		name string
		s    HistogramSnapshot
		q    float64
		want time.Duration
	}{
		{"empty", empty, 0.5, 0},
		{"never above the maximum", one, 1, 700 * time.Nanosecond},
		{"below zero", one, -1, 0},
		{"above one", one, 2, 700 * time.Nanosecond},
		{"beyond the last bound", huge, 0.5, time.Minute},
	}
	for _, tt := range tests {
		if got := tt.s.Quantile(tt.q); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func (s *HistogramSnapshot) observe(d time.Duration) {
	var h Histogram
	h.Observe(d)
	s.Merge(h.Snapshot())
}

func TestHistogramJSON(t *testing.T) {
	var s HistogramSnapshot
	got, err := json.Marshal(s)
	want := `{"count":0,"sum_seconds":0,"p50_us":0,"p90_us":0,"p99_us":0,"max_us":0,"buckets_us":{}}`
	if err != nil || string(got) != want {
		t.Errorf("empty: got %s, %v", got, err)
	}
	s.observe(1200 * time.Nanosecond)
	s.observe(1500 * time.Nanosecond)
	s.observe(time.Minute)
	got, err = json.Marshal(s)
	want = `{"count":3,"sum_seconds":60.0000027,"p50_us":1.375,"p90_us":60000000,"p99_us":60000000,"max_us":60000000,"buckets_us":{"1.5":2,"+Inf":1}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// Many writers and a reader at once: nothing is lost, and no snapshot
// contradicts itself.
func TestHistogramConcurrently(t *testing.T) {
	const writers, each = 4, 5000
	var h Histogram
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				h.Observe(time.Duration(w*each + i))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var last uint64
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		s := h.Snapshot()
		if s.Count < last {
			t.Fatalf("count fell from %d to %d", last, s.Count)
		}
		last = s.Count
	}
	s := h.Snapshot()
	const n = writers * each
	if s.Count != n || s.Sum != n*(n-1)/2 || s.Max != n-1 {
		t.Errorf("got count %d, sum %d, max %d; want %d, %d, %d", s.Count, s.Sum, s.Max, n, n*(n-1)/2, n-1)
	}
}

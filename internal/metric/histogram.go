package metric

import (
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"
)

// The buckets are two per octave, so that a value is known to within half its
// size (quantiles interpolate and do better) over seven decades in 400 bytes:
// up to 1 us, 1.5 us, 2 us, 3 us, 4 us, 6 us ... 2^24 us (16.8 s), and above.
const (
	octaves   = 24
	boundLen  = 1 + 2*octaves
	bucketLen = boundLen + 1 // the last one has no bound
)

// Histogram counts durations in fixed buckets of logarithmic width. The zero
// value is ready; it must not be copied. Observe may be called from any
// goroutine (one writer is the design, see the package comment) while others
// take snapshots.
type Histogram struct {
	buckets [bucketLen]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
	max     atomic.Int64 // nanoseconds
}

// Observe counts d. A negative d counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for seen := h.max.Load(); int64(d) > seen; seen = h.max.Load() {
		if h.max.CompareAndSwap(seen, int64(d)) {
			return
		}
	}
}

// Snapshot copies the state. Count always equals the sum of Buckets; Sum and
// Max may include an observation made meanwhile that Buckets does not.
func (h *Histogram) Snapshot() HistogramSnapshot {
	var s HistogramSnapshot
	for i := range h.buckets {
		s.Buckets[i] = h.buckets[i].Load()
		s.Count += s.Buckets[i]
	}
	s.Sum = time.Duration(h.sum.Load())
	s.Max = time.Duration(h.max.Load())
	return s
}

// HistogramSnapshot is the state of a Histogram at one moment: a plain value. The zero value is
// that of an empty histogram.
type HistogramSnapshot struct {
	Count   uint64
	Sum     time.Duration
	Max     time.Duration
	Buckets [bucketLen]uint64 // not cumulative; Bound returns the upper edge of each
}

// Bound returns the largest duration that falls into bucket i. The last bucket
// has no bound: ok is false.
func Bound(i int) (d time.Duration, ok bool) {
	if i < 0 || i >= boundLen {
		return 0, false
	}
	d = time.Microsecond << (i / 2)
	if i%2 == 1 {
		d += d / 2
	}
	return d, true
}

// Merge adds the counts of other, for instance of another loop, to s.
func (s *HistogramSnapshot) Merge(other HistogramSnapshot) {
	s.Count += other.Count
	s.Sum += other.Sum
	s.Max = max(s.Max, other.Max)
	for i, n := range other.Buckets {
		s.Buckets[i] += n
	}
}

// Quantile estimates the duration that the share q (0 to 1) of the observations
// does not exceed. The estimate lies in the right bucket, interpolated between
// its edges, and never above Max. It is 0 for an empty histogram.
func (s *HistogramSnapshot) Quantile(q float64) time.Duration {
	rank := min(max(q, 0), 1) * float64(s.Count)
	var below uint64
	var low time.Duration
	for i, n := range s.Buckets {
		high, ok := Bound(i)
		if !ok {
			return s.Max
		}
		if n > 0 && float64(below+n) >= rank {
			share := (rank - float64(below)) / float64(n)
			return min(low+time.Duration(share*float64(high-low)), s.Max)
		}
		below += n
		low = high
	}
	return 0
}

// MarshalJSON writes a summary for people: the count, the sum in seconds, p50, p90, p99 and maximum
// in microseconds, and the buckets that are not empty, each under its upper bound in microseconds.
func (s HistogramSnapshot) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 512)
	b = strconv.AppendUint(append(b, `{"count":`...), s.Count, 10)
	b = appendFloat(append(b, `,"sum_seconds":`...), s.Sum.Seconds())
	b = appendMicros(append(b, `,"p50_us":`...), s.Quantile(0.50))
	b = appendMicros(append(b, `,"p90_us":`...), s.Quantile(0.90))
	b = appendMicros(append(b, `,"p99_us":`...), s.Quantile(0.99))
	b = appendMicros(append(b, `,"max_us":`...), s.Max)
	b = append(b, `,"buckets_us":{`...)
	separator := ""
	for i, n := range s.Buckets {
		if n == 0 {
			continue
		}
		b = append(append(b, separator...), '"')
		separator = ","
		if high, ok := Bound(i); ok {
			b = appendMicros(b, high)
		} else {
			b = append(b, "+Inf"...)
		}
		b = strconv.AppendUint(append(b, `":`...), n, 10)
	}
	return append(b, "}}"...), nil
}

// bucketOf returns the index of the bucket that d >= 0 falls into. Counted in half microseconds the
// bounds are 2, 3, 4, 6, 8, 12 ...: the highest bit is the octave and the bit after it the half. A
// bound belongs to the bucket below it, as with Prometheus' "le", hence d-1.
func bucketOf(d time.Duration) int {
	if d <= time.Microsecond {
		return 0
	}
	const halfMicrosecond = uint64(time.Microsecond / 2)
	u := uint64(d-1) / halfMicrosecond // >= 2
	n := bits.Len64(u)
	half := int(u >> (n - 2) & 1)
	return min(2*n-3+half, bucketLen-1)
}

func appendMicros(b []byte, d time.Duration) []byte {
	return appendFloat(b, float64(d)/float64(time.Microsecond))
}

func appendFloat(b []byte, f float64) []byte {
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

package load

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets are those of an HDR histogram: 128 per octave of nanoseconds, so a value is known to
// 0.8 %, up to 2^37 ns (137 s), where the last one takes all longer ones.
const (
	subBits   = 7
	subLen    = 1 << subBits
	octaveLen = 37 - subBits
	bucketLen = (octaveLen + 1) * subLen
)

// Histogram counts durations, each known to within 1 %. The zero value is empty and cannot be
// recorded to. A copy shares the counts, so a histogram is read when recording has ended.
//
// Its JSON has count, mean, p50, p90, p99, p999 and max in nanoseconds, and the buckets from which
// it can be read again.
type Histogram struct{ *counts }

type counts struct {
	buckets [bucketLen]atomic.Int64
	sum     atomic.Int64
	max     atomic.Int64
}

func newHistogram() Histogram { return Histogram{new(counts)} }

// record counts d, as zero if it is negative. It may be called from any goroutine.
func (h Histogram) record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for seen := h.max.Load(); int64(d) > seen && !h.max.CompareAndSwap(seen, int64(d)); {
		seen = h.max.Load()
	}
}

// Count is the number of durations.
func (h Histogram) Count() int64 {
	if h.counts == nil {
		return 0
	}
	var n int64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Mean is exact; 0 if there are none.
func (h Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return time.Duration(h.sum.Load() / n)
	}
	return 0
}

// Max is exact; 0 if there are none.
func (h Histogram) Max() time.Duration {
	if h.counts == nil {
		return 0
	}
	return time.Duration(h.max.Load())
}

// Quantile is the duration that a share q (0 to 1) of all does not exceed; 0 if there are none.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(min(max(q, 0), 1)*float64(h.Count()))), 1)
	if h.counts == nil {
		return 0
	}
	for i := range h.buckets {
		if rank -= h.buckets[i].Load(); rank <= 0 && i < bucketLen-1 {
			return min(upperBound(i), h.Max())
		}
	}
	return h.Max()
}

type histogramJSON struct {
	Count   int64      `json:"count"`
	Mean    int64      `json:"mean"`
	P50     int64      `json:"p50"`
	P90     int64      `json:"p90"`
	P99     int64      `json:"p99"`
	P999    int64      `json:"p999"`
	Max     int64      `json:"max"`
	Sum     int64      `json:"sum"`
	Buckets [][2]int64 `json:"buckets"` // upper bound, count
}

// MarshalJSON implements json.Marshaler.
func (h Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{
		Count: h.Count(), Mean: int64(h.Mean()), Max: int64(h.Max()), Buckets: [][2]int64{},
		P50: int64(h.Quantile(0.5)), P90: int64(h.Quantile(0.9)), P99: int64(h.Quantile(0.99)),
		P999: int64(h.Quantile(0.999)),
	}
	if h.counts != nil {
		j.Sum = h.sum.Load()
		for i := range h.buckets {
			if n := h.buckets[i].Load(); n > 0 {
				j.Buckets = append(j.Buckets, [2]int64{int64(upperBound(i)), n})
			}
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*h = newHistogram()
	for _, b := range j.Buckets {
		if b[0] < 0 || b[1] < 0 {
			return fmt.Errorf("load: histogram: negative bucket %v", b)
		}
		h.buckets[bucketOf(time.Duration(b[0]))].Add(b[1])
	}
	h.sum.Store(j.Sum)
	h.max.Store(j.Max)
	return nil
}

// bucketOf returns the bucket of d: durations below 2*subLen have a bucket each; above, each octave
// has subLen of them.
func bucketOf(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-subBits-1, 0)
	return min(shift*subLen+int(d>>shift), bucketLen-1)
}

// upperBound is the longest duration in bucket i.
func upperBound(i int) time.Duration {
	shift := max(i/subLen-1, 0)
	return time.Duration(i-shift*subLen+1)<<shift - 1
}

package metric

import (
	"sync"
	"time"
)

// A Key is an enumeration by which a family counts: a number from 0, with a name for each.
type Key interface {
	~uint8
	// Names are those of all keys from 0 on; a key with the name "" is not shown.
	Names() []string
}

// maxKeys bounds the keys of a [Counters], maxTimed those of a [Histograms].
const (
	maxKeys  = 32
	maxTimed = 6
)

// Counters is a Counter for each key. The zero value is ready; it must not be copied.
type Counters[K Key] struct {
	n [maxKeys]Counter
}

// Inc counts one event of k.
func (c *Counters[K]) Inc(k K) { c.n[k].Inc() }

// Add counts n events of k.
func (c *Counters[K]) Add(k K, n uint64) { c.n[k].Add(n) }

// Load returns the count of k so far.
func (c *Counters[K]) Load(k K) uint64 { return c.n[k].Load() }

// Each calls f for each key that has a name.
func (c *Counters[K]) Each(f func(name string, n uint64)) {
	var k K
	for i, name := range k.Names() {
		if name != "" {
			f(name, c.n[i].Load())
		}
	}
}

// Counts are those of all keys that have a name.
func (c *Counters[K]) Counts() map[string]uint64 { return collect(c.Each) }

// Histograms is a Histogram for each key. The zero value is ready; it must not be copied.
type Histograms[K Key] struct {
	h [maxTimed]Histogram
}

// Observe counts d for k.
func (h *Histograms[K]) Observe(k K, d time.Duration) { h.h[k].Observe(d) }

// Each calls f for each key that has a name and was observed.
func (h *Histograms[K]) Each(f func(name string, s HistogramSnapshot)) {
	var k K
	for i, name := range k.Names() {
		if s := h.h[i].Snapshot(); name != "" && s.Count > 0 {
			f(name, s)
		}
	}
}

// Reasons counts events that are too rare and too varied for keys: by words of a closed list. The
// zero value is ready; it must not be copied. It may be used from any goroutine.
type Reasons struct {
	byName sync.Map
}

// Inc counts one event.
func (r *Reasons) Inc(reason string) { r.at(reason).Inc() }

func (r *Reasons) at(reason string) *Counter {
	c, ok := r.byName.Load(reason)
	if !ok {
		c, _ = r.byName.LoadOrStore(reason, new(Counter))
	}
	return c.(*Counter)
}

// Each calls f for each reason that was counted.
func (r *Reasons) Each(f func(reason string, n uint64)) {
	r.byName.Range(func(reason, c any) bool {
		f(reason.(string), c.(*Counter).Load())
		return true
	})
}

// Counts are those of all reasons that were counted.
func (r *Reasons) Counts() map[string]uint64 { return collect(r.Each) }

func collect[V any](each func(func(string, V))) map[string]V {
	m := make(map[string]V)
	each(func(name string, v V) { m[name] = v })
	return m
}

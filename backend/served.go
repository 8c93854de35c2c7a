package backend

import (
	"slices"
	"time"

	"reprise/internal/metric"
)

// classes are those of a response's status, by its first digit.
var classes = [...]string{1: "1xx", "2xx", "3xx", "4xx", "5xx"}

// Served tells how long the requests of one loop took that went to one pool, by class of the
// response's status. It is written by that loop and read by anybody. The zero value is ready,
// and is shown once Observe has been told of it (see [Pool.Observe]).
type Served struct {
	byClass [len(classes)]metric.Histogram
}

// Count notes a request that was answered with a status, of 100 to 599.
func (s *Served) Count(status int, took time.Duration) { s.byClass[status/100].Observe(took) }

// Observe adds what a loop counts to the pool's statistics, from now on.
func (p *Pool) Observe(s *Served) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.served = append(p.served, s)
}

// durations are those of all loops, of classes that there was a response of.
func (p *Pool) durations() map[string]metric.HistogramSnapshot {
	p.changing.Lock()
	served := slices.Clone(p.served)
	p.changing.Unlock()
	sums := make(map[string]metric.HistogramSnapshot)
	for i := 1; i < len(classes); i++ {
		var sum metric.HistogramSnapshot
		for _, s := range served {
			sum.Merge(s.byClass[i].Snapshot())
		}
		if sum.Count > 0 {
			sums[classes[i]] = sum
		}
	}
	return sums
}

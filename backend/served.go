package backend

import "reprise/internal/metric"

// Class is the class of a status: its first digit.
type Class uint8

// ClassOf returns the class of a status of 100 to 599.
func ClassOf(status int) Class { return Class(status / 100) }

// Names implements metric.Key.
func (Class) Names() []string { return []string{1: "1xx", "2xx", "3xx", "4xx", "5xx"} }

// Observe adds one loop's durations of requests to the pool's statistics; that loop goes on writing
// them.
func (p *Pool) Observe(served *metric.Histograms[Class]) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.served = append(p.served, served)
}

// durations are the sums over all loops.
func (p *Pool) durations() *metric.Histograms[Class] {
	p.changing.Lock()
	defer p.changing.Unlock()
	return metric.Sum(p.served...)
}

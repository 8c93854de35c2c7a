package metric

import "sync/atomic"

// Counter is a count that only grows. The zero value is ready; it must not be copied. It wraps
// around after 2^64 events, which no process reaches.
type Counter struct {
	n atomic.Uint64
}

// Inc counts one event.
func (c *Counter) Inc() { c.n.Add(1) }

// Add counts n events, or n bytes.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Load returns the count so far.
func (c *Counter) Load() uint64 { return c.n.Load() }

// Gauge holds a level that rises and falls, such as the connections open now.
// The zero value is ready; it must not be copied.
type Gauge struct {
	n atomic.Int64
}

// Inc raises the level by one.
func (g *Gauge) Inc() { g.n.Add(1) }

// Dec lowers the level by one.
func (g *Gauge) Dec() { g.n.Add(-1) }

// Add changes the level by delta, which may be negative.
func (g *Gauge) Add(delta int64) { g.n.Add(delta) }

// Set replaces the level.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Load returns the level.
func (g *Gauge) Load() int64 { return g.n.Load() }

package sessions

import (
	"sync"
	"sync/atomic"
	"time"
)

// An instant is a time on the memory's clock, in nanoseconds. It is what the
// cache calls now, born and expires.
type instant = int64

// clock never goes back, and counts time in which the machine did not run. Go's
// monotonic clock stands still then: sessions would come out of a suspended
// laptop, or a virtual machine that was paused or restored from a snapshot, as
// young as they went in.
type clock struct {
	source func() time.Time
	base   time.Time
	// slept is how much longer the machine has lived than the process has seen.
	// Written by skip only.
	slept atomic.Int64

	mu sync.Mutex // guards what watch saw last

	ran  time.Duration // by the monotonic clock
	seen sleepClocks
}

func newClock(source func() time.Time) *clock {
	c := &clock{source: source, base: source()}
	c.seen.read()
	return c
}

func (c *clock) now() instant { return c.instant(c.source()) }

// instant returns t on this clock, and time the reverse. They are exact for times
// later than the last sleep; what is older was a bit longer ago than time says.
func (c *clock) instant(t time.Time) instant { return int64(t.Sub(c.base)) + c.slept.Load() }

func (c *clock) time(i instant) time.Time { return c.base.Add(time.Duration(i - c.slept.Load())) }

// minSleep is what the clocks may differ by between two looks without meaning
// anything: a wall clock is slewed, and looks are not taken at one moment.
const minSleep = 2 * time.Second

// watch returns for how long the machine was asleep since the last look. It is
// called every few seconds; the caller is to pass that on to skip.
func (c *clock) watch() (slept time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seen sleepClocks
	seen.read()
	return c.compare(c.source().Sub(c.base), seen)
}

func (c *clock) compare(ran time.Duration, seen sleepClocks) (slept time.Duration) {
	for i := range seen {
		slept = max(slept, seen[i]-c.seen[i]-(ran-c.ran))
	}
	c.ran, c.seen = ran, seen
	if slept < minSleep {
		return 0
	}
	return slept
}

// skip moves the clock forward.
func (c *clock) skip(slept time.Duration) { c.slept.Add(int64(slept)) }

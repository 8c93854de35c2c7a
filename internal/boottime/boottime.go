// Package boottime is a clock that never goes back, and that goes on while the machine sleeps. Go's
// monotonic clock stands still then: a session would come out of a suspended laptop, or virtual
// machine, as young as it went in.
package boottime

import (
	"sync/atomic"
	"time"
)

var process = newClock(time.Now, readBoot)

// Now returns the time since some moment before the first call. Any goroutine may call
// it. It costs little more than time.Now.
func Now() time.Duration { return process.now() }

// A clock is the monotonic clock plus the time that the machine was asleep. Asking the kernel for
// that takes a system call. But the wall clock, which time.Now reads anyway, jumps by as much at
// the moment of waking: the kernel is asked only after a jump.
type clock struct {
	source func() time.Time
	boot   func() (time.Duration, bool) // the kernel's, false if it has none
	start  time.Time
	ahead  time.Duration // of boot when the clock began, at most

	slept atomic.Int64 // nanoseconds; grows only
	apart atomic.Int64 // wall clock less monotonic clock, when the kernel was last asked
}

// maxSlew is a jump of the wall clock that needs no look, because the wall clock is corrected all
// the time.
const maxSlew = 20 * time.Millisecond

func newClock(source func() time.Time, boot func() (time.Duration, bool)) *clock {
	c := &clock{source: source, boot: boot, start: source()}
	if at, ok := boot(); ok {
		c.ahead = at
	}
	c.apart.Store(c.start.UnixNano())
	return c
}

func (c *clock) now() time.Duration {
	t := c.source()
	ran := t.Sub(c.start)
	apart := t.UnixNano() - int64(ran)
	if jump := time.Duration(apart - c.apart.Load()); jump > maxSlew || jump < -maxSlew {
		c.look()
		c.apart.Store(apart)
	}
	return ran + time.Duration(c.slept.Load())
}

// look asks the kernel. The result is too small by the time between two readings, in which other
// threads may have run: the largest of several counts.
func (c *clock) look() {
	const looks = 3
	for range looks {
		boot, ok := c.boot()
		if !ok {
			return
		}
		slept := int64(boot - c.ahead - c.source().Sub(c.start))
		for {
			old := c.slept.Load()
			if slept <= old || c.slept.CompareAndSwap(old, slept) {
				break
			}
		}
	}
}

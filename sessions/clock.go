package sessions

import (
	"sync"
	"sync/atomic"
	"time"

	"reprise/internal/boottime"
)

// An instant is a time on the memory's clock, in nanoseconds. It is what the
// cache calls now, born and expires.
type instant = int64

// clock never goes back, and counts time in which the machine did not run: that in
// which it slept by its source, and that which is missing after it was restored from a
// snapshot by the wall clock, once that has been set. What is missing is added to now
// and to nothing else. So an instant, and a time made of it, mean the same before and
// after: a handshake that was under way gives a session back as old as it got it.
type clock struct {
	source func() time.Time
	base   time.Time
	// lost is for how long the machine did not run without the source's knowing.
	// Written by skip only.
	lost atomic.Int64

	mu   sync.Mutex    // guards what watch saw last
	ran  time.Duration // by the source
	wall time.Duration
}

// sinceStart is a source that goes on while the machine sleeps.
func sinceStart() time.Time { return time.Unix(0, int64(boottime.Now())) }

func newClock(source func() time.Time) *clock {
	return &clock{source: source, base: source(), wall: wallClock()}
}

func (c *clock) now() instant { return c.instant(c.source()) + c.lost.Load() }

// instant returns what time has made into a time, and time the reverse.
func (c *clock) instant(t time.Time) instant { return int64(t.Sub(c.base)) }

func (c *clock) time(i instant) time.Time { return c.base.Add(time.Duration(i)) }

// minLost is what the wall clock may differ by between two looks without meaning
// anything: it is slewed, and looks are not taken at one moment.
const minLost = 2 * time.Second

// watch returns for how long the machine did not run since the last look. It is
// called every few seconds; the caller is to pass that on to skip. The wall clock may
// also jump because it was wrong: then sessions end too early, which costs handshakes
// and nothing else.
func (c *clock) watch() (lost time.Duration) {
	return c.compare(c.source().Sub(c.base), wallClock())
}

func (c *clock) compare(ran, wall time.Duration) (lost time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost = (wall - c.wall) - (ran - c.ran)
	c.ran, c.wall = ran, wall
	if lost < minLost {
		return 0
	}
	return lost
}

// skip moves the clock forward.
func (c *clock) skip(lost time.Duration) { c.lost.Add(int64(lost)) }

func wallClock() time.Duration { return time.Duration(time.Now().UnixNano()) }

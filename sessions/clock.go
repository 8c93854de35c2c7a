package sessions

import (
	"sync"
	"sync/atomic"
	"time"

	"reprise/internal/boottime"
)

// An instant is a time on the memory's clock, in nanoseconds: the cache's now, born and expires.
type instant = int64

// clock never goes back, and counts time in which the machine did not run: sleep by its source, and
// time missing after a restored snapshot by the wall clock, once that has been set. The missing
// time is added to now and to nothing else, so an instant, and a time made from it, mean the same
// before and after: a handshake that was under way returns a session with the age it had.
type clock struct {
	source func() time.Time
	base   time.Time
	// lost is how long the machine did not run without the source counting it. Only skip writes it.
	lost atomic.Int64

	mu   sync.Mutex    // guards what watch saw last
	ran  time.Duration // by the source
	wall time.Duration
}

// sinceStart is a source that counts while the machine sleeps.
func sinceStart() time.Time { return time.Unix(0, int64(boottime.Now())) }

func newClock(source func() time.Time) *clock {
	return &clock{source: source, base: source(), wall: wallClock()}
}

func (c *clock) now() instant { return c.instant(c.source()) + c.lost.Load() }

// instant converts a time made by time, and time does the reverse.
func (c *clock) instant(t time.Time) instant { return int64(t.Sub(c.base)) }

func (c *clock) time(i instant) time.Time { return c.base.Add(time.Duration(i)) }

// minLost is the difference that the wall clock may show between two looks without significance: it
// is slewed, and the clocks are not read at one moment.
const minLost = 2 * time.Second

// watch returns how long the machine did not run since the last call. It is called every few
// seconds; the caller passes the result to skip. The wall clock may also jump because it was wrong:
// then sessions end too early, which costs only handshakes.
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

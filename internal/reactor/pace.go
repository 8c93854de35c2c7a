package reactor

import "time"

// A pace is how fast events come: so many in the last stretch of time, which is at least a
// millisecond long and ends between two rounds.
type pace struct {
	since  time.Time // when this stretch began
	events int       // in it
	took   time.Duration
	came   int // events in the stretch before, which took so long
}

const minStretch = time.Millisecond

// look ends a stretch that is long enough.
func (p *pace) look(now time.Time) {
	if took := now.Sub(p.since); took >= minStretch {
		*p = pace{since: now, took: took, came: p.events}
	}
}

// reaches reports whether events came as fast as so many in so long.
func (p *pace) reaches(events int, in time.Duration) bool {
	return p.came > 0 && time.Duration(p.came)*in >= time.Duration(events)*p.took
}

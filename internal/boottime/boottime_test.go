package boottime

import (
	"fmt"
	"testing"
	"time"
)

// machine is clocks that a test moves. A constructed time.Time has one reading only, here that of
// ran; jump moves the wall clock.
type machine struct{ ran, boot time.Duration }

func (m *machine) clock() *clock {
	return newClock(func() time.Time { return time.Unix(0, int64(m.ran)) },
		func() (time.Duration, bool) { return m.boot, true })
}

// jump makes the wall clock go ahead of the other by d, as seen by c.
func (m *machine) jump(c *clock, d time.Duration) { c.apart.Add(-int64(d)) }

func TestSleepCounts(t *testing.T) {
	m := &machine{boot: 5 * time.Hour}
	c := m.clock()
	for i, tt := range []struct {
		ran, boot, jump time.Duration
		want            time.Duration
	}{
		{time.Second, time.Second, 0, time.Second},
		// the wall clock was set
		{time.Second, time.Second, time.Hour, 2 * time.Second},
		{time.Second, 101 * time.Second, 100 * time.Second, 103 * time.Second}, // suspended
		// the wall clock was set back
		{time.Second, time.Second, -time.Hour, 104 * time.Second},
		// a slew needs no look
		{time.Second, time.Second + 10*time.Millisecond, 0, 105 * time.Second},
		// set back meanwhile
		{time.Second, time.Hour + time.Second, time.Hour - time.Minute, 3706010 * ms},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m.ran, m.boot = m.ran+tt.ran, m.boot+tt.boot
			m.jump(c, tt.jump)
			if got := c.now(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

const ms = time.Millisecond

// A late answer of the kernel is too small, never too large, and the clock does not go back.
func TestNeverBack(t *testing.T) {
	m := &machine{}
	c := m.clock()
	m.ran, m.boot = time.Second, 11*time.Second
	m.jump(c, time.Minute)
	if got := c.now(); got != 11*time.Second {
		t.Fatalf("got %v", got)
	}
	m.boot -= 5 * time.Second
	m.jump(c, time.Minute)
	if got := c.now(); got != 11*time.Second {
		t.Errorf("went back to %v", got)
	}
}

func TestRealClock(t *testing.T) {
	before, began := Now(), time.Now()
	for time.Since(began) < 5*time.Millisecond {
		if now := Now(); now < before {
			t.Fatalf("went back from %v to %v", before, now)
		} else {
			before = now
		}
	}
	if _, ok := readBoot(); !ok {
		t.Skip("this system has no such clock")
	}
}

func BenchmarkNow(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Now()
	}
}

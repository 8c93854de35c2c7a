package sessions

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepClocks go on while the process's clock stands still: the boot-time clock in a
// suspended machine, the wall clock, once it has been set, in one that was restored
// from a snapshot. That one may also jump because it was wrong: then sessions end
// too early, which costs handshakes and nothing else.
type sleepClocks [2]time.Duration

var sleepClockIDs = [...]int32{unix.CLOCK_BOOTTIME, unix.CLOCK_REALTIME}

func (s *sleepClocks) read() {
	for i, id := range sleepClockIDs {
		var ts unix.Timespec
		if unix.ClockGettime(id, &ts) == nil {
			s[i] = time.Duration(ts.Nano())
		}
	}
}

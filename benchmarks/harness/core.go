package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// coreClock measures how long a core worked for programs, whichever: what is left without the
// server's own time was taken from it, and shows in its percentiles more than in its CPU time.
type coreClock struct {
	cpu  int
	busy time.Duration // from start to stop
}

func (c *coreClock) start() { c.busy = -coreTime(c.cpu) }
func (c *coreClock) stop()  { c.busy += coreTime(c.cpu) }

// coreTime is the user, nice and system time of a core since the system started, 0 if the kernel does not tell (proc(5)).
func coreTime(cpu int) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return parseCoreTime(string(text), cpu)
}

func parseCoreTime(stat string, cpu int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	for line := range strings.Lines(stat) {
		rest, ok := strings.CutPrefix(line, fmt.Sprintf("cpu%d ", cpu))
		if !ok {
			continue
		}
		var user, nice, system int64
		if _, err := fmt.Sscan(rest, &user, &nice, &system); err != nil {
			return 0
		}
		return time.Duration(user+nice+system) * tick
	}
	return 0
}

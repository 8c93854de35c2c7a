package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// coreClock measures how long a core worked for any program: the difference to the server's own
// time was taken from the server, and shows in its percentiles more than in its CPU time.
type coreClock struct {
	cpu  int
	busy time.Duration // from start to stop
}

func (c *coreClock) start() { c.busy = -coreTime(c.cpu) }
func (c *coreClock) stop()  { c.busy += coreTime(c.cpu) }

// maxWaited bounds all waiting for quiet of a run, or it would not end on a busy machine.
const maxWaited = 3 * time.Minute

// awaitQuiet waits until other programs leave the cores alone, for some seconds at most: after that
// the sample records how much they took.
func (b *bench) awaitQuiet(ctx context.Context) {
	const look, quiet = 100 * time.Millisecond, 20 * time.Millisecond
	if b.smoke || b.waited > maxWaited {
		return
	}
	began := time.Now()
	defer func() { b.waited += max(0, time.Since(began)-2*look) }()
	busy := func() (all time.Duration) {
		for _, cpu := range b.cpus {
			all += coreTime(cpu)
		}
		return all
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		before := busy()
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return
		}
		if busy()-before <= quiet {
			return
		}
	}
}

// coreTime is the user, nice and system time of a core since the system started, 0 if the kernel
// does not report it (proc(5)).
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

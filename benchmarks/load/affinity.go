package load

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Affinity keeps this process, with all its threads, on cpus and sets GOMAXPROCS to their number.
// Processes started from now on inherit it.
func Affinity(cpus ...int) error {
	if _, err := inherited(); err != nil {
		return err
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if len(cpus) == 0 || set.Count() != len(cpus) {
		return fmt.Errorf("load: affinity: %v is not a list of CPUs", cpus)
	}
	pin := func(thread int) error { return unix.SchedSetaffinity(thread, &set) }
	if err := eachThread(pin); err != nil {
		return fmt.Errorf("load: affinity %v: %w", cpus, err)
	}
	runtime.GOMAXPROCS(len(cpus))
	return nil
}

// Realtime gives this process, with all its threads, the scheduling class SCHED_FIFO, so that
// nothing of the normal class keeps it from its cores. Processes started from now on inherit it:
// those that must not are started by chrt -o 0. (SCHED_RESET_ON_FORK would be of no use: it is the
// same for threads, of which Go starts new ones at any time.)
func Realtime() error {
	err := eachThread(func(thread int) error {
		return unix.SchedSetAttr(thread, &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1,
		}, 0)
	})
	if err != nil {
		return fmt.Errorf("load: real-time class: %w", err)
	}
	return nil
}

// eachThread calls f for all threads of this process. What f sets must be inherited by threads
// that start: then a pass that meets no new one has met all.
func eachThread(f func(thread int) error) error {
	done := make(map[int]bool)
	for grown := true; grown; {
		grown = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, entry := range entries {
			thread, _ := strconv.Atoi(entry.Name())
			if done[thread] {
				continue
			}
			if err := f(thread); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			done[thread], grown = true, true
		}
	}
	return nil
}

// ParentCPUs are the CPUs this process got from its parent, whatever Affinity has done since.
func ParentCPUs() ([]int, error) { return inherited() }

var inherited = sync.OnceValues(func() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("load: affinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * strconv.IntSize {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
})

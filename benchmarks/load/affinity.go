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
		return fmt.Errorf("load: affinity: %v is no list of CPUs", cpus)
	}
	// A thread inherits the set of the one that starts it, so a pass that meets no new thread has
	// met all.
	done := make(map[int]bool)
	for grown := true; grown; {
		grown = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("load: affinity: %w", err)
		}
		for _, entry := range entries {
			thread, _ := strconv.Atoi(entry.Name())
			if done[thread] {
				continue
			}
			if err := unix.SchedSetaffinity(thread, &set); err != nil &&
				!errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("load: affinity %v: %w", cpus, err)
			}
			done[thread], grown = true, true
		}
	}
	runtime.GOMAXPROCS(len(cpus))
	return nil
}

// ParentCPUs are those this process got from its parent, whatever Affinity has done since.
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

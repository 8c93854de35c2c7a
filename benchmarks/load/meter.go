package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is the consumption of processes.
type Usage struct {
	CPU time.Duration `json:"cpu_ns"` // user and system, all threads, exited children included
	RSS int64         `json:"rss"`    // resident bytes, pages that processes share counted in each
	// resident bytes, shared pages divided among their users; 0 if the kernel does not report it
	PSS int64 `json:"pss"`
}

// Meter measures processes with all their descendants.
type Meter struct {
	roots map[int]uint64 // start times by process id, which may be reused
}

// NewMeter fails if one of pids does not exist.
func NewMeter(pids ...int) (*Meter, error) {
	m := &Meter{roots: make(map[int]uint64)}
	for _, pid := range pids {
		p, err := readProcess(pid)
		if err != nil {
			return nil, fmt.Errorf("load: meter: %w", err)
		}
		m.roots[pid] = p.started
	}
	return m, nil
}

// Read takes a reading. It fails if one of the processes given to NewMeter has ended, and does not
// include descendants that have left the tree: those whose parent ended before them, or ignored
// their end.
func (m *Meter) Read() (Usage, error) {
	tree, err := m.tree()
	if err != nil {
		return Usage{}, fmt.Errorf("load: meter: %w", err)
	}
	var sum Usage
	for _, p := range tree {
		u, err := p.usage()
		if err != nil {
			return Usage{}, fmt.Errorf("load: meter: %w", err)
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.PSS += u.PSS
	}
	return sum, nil
}

// tree lists the roots and their descendants.
func (m *Meter) tree() ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]process)
	var tree []process
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		p, err := readProcess(pid)
		if err != nil {
			continue // ended meanwhile; a root is missed below
		}
		if started, ok := m.roots[pid]; ok && started == p.started && p.state != 'Z' {
			tree = append(tree, p)
			continue // not as its parent's child too
		}
		children[p.parent] = append(children[p.parent], p)
	}
	if len(tree) != len(m.roots) {
		return nil, fmt.Errorf("%d of %d processes have ended", len(m.roots)-len(tree),
			len(m.roots))
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].pid]...)
	}
	return tree, nil
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var ts unix.Timespec
	// cannot fail: the clock exists and ts is ours
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// process has the fields of /proc/PID/stat (proc_pid_stat(5)).
type process struct {
	pid, parent int
	state       byte
	started     uint64        // in clock ticks since boot
	reaped      time.Duration // CPU time of children that were waited for, and of theirs
}

// clockTick is the unit of times in /proc: USER_HZ, 100 per second wherever Go runs.
const clockTick = 10 * time.Millisecond

func readProcess(pid int) (process, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return process{}, err
	}
	// The name, in parentheses, may contain anything. The state follows it: field 3 of the manual
	// page and 0 here.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const state, parent, childUser, childSystem, started = 0, 1, 13, 14, 19
	if len(fields) <= started {
		return process{}, fmt.Errorf("%s: %d fields are too few", path, len(fields))
	}
	var numbers [4]uint64
	for i, field := range []int{parent, childUser, childSystem, started} {
		if numbers[i], err = strconv.ParseUint(string(fields[field]), 10, 63); err != nil {
			return process{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	return process{
		pid: pid, parent: int(numbers[0]), state: fields[state][0], started: numbers[3],
		reaped: time.Duration(numbers[1]+numbers[2]) * clockTick,
	}, nil
}

// usage reads the process's own clock, which has all its threads, including ended ones, in
// nanoseconds; utime and stime in stat are the same in steps of 10 ms. A process that has ended
// since the tree was read counts as nothing.
func (p process) usage() (Usage, error) {
	u := Usage{CPU: p.reaped}
	var ts unix.Timespec
	clock := int32(^p.pid<<3 | 2) // as clock_getcpuclockid(3): CPUCLOCK_SCHED of a process
	switch err := unix.ClockGettime(clock, &ts); err {
	case nil:
		u.CPU += time.Duration(ts.Nano())
	case unix.EINVAL, unix.ESRCH:
		return u, nil
	default:
		return u, os.NewSyscallError("clock_gettime", err)
	}
	var err error
	if u.RSS, u.PSS, err = p.memory(); errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, unix.ESRCH) {
		err = nil // a zombie has none
	}
	return u, err
}

func (p process) memory() (rss, pss int64, err error) {
	if rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid)); err == nil {
		return kilobytes(rollup, "Rss:"), kilobytes(rollup, "Pss:"), nil
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid)) // all users may read this
	if err != nil {
		return 0, 0, err
	}
	if fields := bytes.Fields(statm); len(fields) > 1 {
		rss, err = strconv.ParseInt(string(fields[1]), 10, 64)
	}
	return rss * int64(os.Getpagesize()), 0, err
}

// kilobytes returns a field such as "Pss:    905 kB" in bytes.
func kilobytes(rollup []byte, name string) int64 {
	for line := range bytes.Lines(rollup) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == name {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}

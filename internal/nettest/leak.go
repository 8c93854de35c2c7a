package nettest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// LeakCheck fails the test if at its end goroutines or descriptors exist that did not at the time
// of this call, and still do a while later. Call it first, so that the test's own clean-up runs
// before, and not in tests that run in parallel with others.
func LeakCheck(t T) {
	t.Helper()
	openPoller()
	before := held()
	t.Cleanup(func() {
		t.Helper()
		var leaks []string
		poll(5*time.Second, func() bool {
			leaks = leaks[:0]
			for id, what := range held() {
				if _, ok := before[id]; !ok {
					leaks = append(leaks, what)
				}
			}
			return len(leaks) == 0
		})
		if len(leaks) > 0 {
			t.Errorf("%d leaked:\n%s", len(leaks), strings.Join(leaks, "\n\n"))
		}
	})
}

// openPoller makes the runtime open the descriptors of its own poller, which it
// does on first use and for good.
func openPoller() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
}

// held returns a description of each goroutine and descriptor of this process, under a key that is
// never used twice.
func held() map[string]string {
	all := make(map[string]string)
	for _, stack := range strings.Split(stacks(), "\n\n")[1:] { // the first is this goroutine's
		id, _, _ := strings.Cut(stack, " [") // "goroutine 7 [running]:"
		all[id] = strings.TrimSpace(stack)
	}
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue // ReadDir's own descriptor is closed by now
		}
		// A number may have been closed and reopened: the target tells them apart.
		fd := fmt.Sprintf("descriptor %s: %s", entry.Name(), target)
		all[fd] = fd
	}
	return all
}

func stacks() string {
	for buf := make([]byte, 64<<10); ; buf = make([]byte, 2*len(buf)) {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return string(buf[:n])
		}
	}
}

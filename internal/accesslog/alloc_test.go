//go:build !race

// With the race detector sync.Pool drops items on purpose.

package accesslog

import (
	"testing"
	"time"
)

// A loop writes without allocating, in each format and to a full queue.
func TestNoAllocation(t *testing.T) {
	const waiting = 100 // lines at most, so that their buffers come round
	for _, test := range []struct {
		name   string
		format Format
		queue  int
	}{
		{"JSON", JSON, 2 * waiting},
		{"Combined", Combined, 2 * waiting},
		{"a full queue", JSON, 1},
	} {
		l, err := New(Options{Path: "/dev/null", Format: test.format, Queue: test.queue})
		if err != nil {
			t.Fatal(err)
		}
		template := request()
		write := func() {
			e := *template // on the stack, as a loop would have it
			if l.Sampled() {
				l.Write(&e)
			}
			for len(l.queue) >= waiting {
				time.Sleep(gatherFor)
			}
		}
		for range 10 * waiting { // until there are buffers
			write()
		}
		if got := testing.AllocsPerRun(1000, write); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", test.name, got)
		}
		l.Close()
	}
}

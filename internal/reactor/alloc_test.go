//go:build !race

package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A round allocates nothing.
func TestRoundAllocations(t *testing.T) {
	r := open(t, new(host))
	ours, theirs := pair(t)
	buf := make([]byte, 8)
	h := &funcs{event: func(fd int, _ Events) { _, _ = unix.Read(fd, buf) }}
	if err := r.Watch(ours, h); err != nil {
		t.Fatal(err)
	}
	task := func(any) {}
	if got := testing.AllocsPerRun(100, func() {
		write(t, theirs)
		r.Post(task, nil)
		if _, err := r.Round(true); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations a round, want 0", got)
	}
}

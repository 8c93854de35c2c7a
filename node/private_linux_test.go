package node

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeepPrivate: a process that serves leaves no core dump, and only root can trace it.
func TestKeepPrivate(t *testing.T) {
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := dumpable()
	defer func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0) }()
	keepPrivate()
	if got := dumpable(); got != 0 {
		t.Errorf("dumpable %d, want 0", got)
	}
}

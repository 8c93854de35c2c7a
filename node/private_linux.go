package node

import (
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// keepPrivate keeps keys and sessions that pass through Go's heap out of core dumps
// and away from debuggers of the same user. The cache keeps itself out of dumps.
func keepPrivate() {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		slog.Warn("this process may be dumped and traced", "error", err)
	}
}

// hasCapabilities reports whether this thread has any capability.
func hasCapabilities() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, os.NewSyscallError("capget", err)
	}
	return data[0].Effective|data[0].Permitted|data[1].Effective|data[1].Permitted != 0, nil
}

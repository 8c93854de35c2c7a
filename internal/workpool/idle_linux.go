package workpool

import "golang.org/x/sys/unix"

// leaveToOthers makes the calling thread run only when no other wants the core. Where that is
// forbidden, it has no effect.
func leaveToOthers() {
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	_ = unix.SchedSetAttr(0, &idle, 0)
}

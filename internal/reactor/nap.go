package reactor

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// naps decides when an idle reactor sleeps for a fixed, short time instead of waiting for the next
// event.
//
// Falling asleep and being woken takes about 10 us of CPU time on a virtual machine, and about as
// much of the waker. A loop that is a little faster than its clients would pay that after every few
// events. A nap costs the same, but ends by itself, and the loop then finds many events at once. A
// reactor naps only while events come so fast that waiting would be over at once. Beside waiting,
// CPU time of a small request on 64 kept connections: 0.89, on 16: 0.85, with the same median
// latency.
type naps struct {
	skip int // this many waits go without a nap
}

const (
	// napTime is how long a nap is, to which the kernel adds at most 50 us (prctl(2),
	// PR_SET_TIMERSLACK).
	napTime = 20 * time.Microsecond
	// napEvents is how many events must come in a millisecond.
	napEvents = 50
	// A nap that brings fewer events than minNapEvents has cost more than it saved, and the
	// next napSkip waits are without one.
	minNapEvents = 4
	napSkip      = 16
)

// pay reports whether a nap is likely to pay in a wait that begins now.
func (n *naps) pay(p *pace) bool {
	if n.skip > 0 {
		n.skip--
		return false
	}
	return p.reaches(napEvents, time.Millisecond)
}

// brought notes how many events a nap has brought.
func (n *naps) brought(events int) {
	if events < minNapEvents {
		n.skip = napSkip
	}
}

// nap sleeps for a short time if that pays. It reports whether there is something to do now.
func (r *Reactor) nap() bool {
	if !r.naps.pay(&r.pace) {
		return false
	}
	if r.ask(0); r.got > 0 || r.failed != nil {
		return true
	}
	spec := unix.NsecToTimespec(int64(napTime))
	// Go's scheduler need not know of so short a wait, which its signals end.
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&spec)), 0, 0)
	r.ask(0)
	r.naps.brought(r.got)
	return r.got > 0 || r.failed != nil || r.woken.Load()
}

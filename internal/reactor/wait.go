package reactor

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A goroutine that waits in epoll_wait(2) keeps one of the Go scheduler's places until
// the runtime's monitor takes it away, and while it might have to, the monitor wakes up
// every 20 us: of 80 context switches for a connection at eight nodes on one core 60
// were the monitor's. So a reactor waits as Go's own connections do: its epoll set is
// itself watched by the runtime's, and the goroutine is parked.

// openParked lets the runtime watch the epoll set.
func (r *Reactor) openParked() error {
	fd, err := unix.FcntlInt(uintptr(r.epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	_ = unix.SetNonblock(fd, true) // which tells os.NewFile to try
	r.parked = os.NewFile(uintptr(fd), "epoll")
	if r.raw, err = r.parked.SyscallConn(); err != nil {
		return err
	}
	return r.parked.SetReadDeadline(time.Time{}) // an error if the runtime does not watch it
}

// wait fills events: with what there is, or, if there is nothing and it may, with what
// comes first.
func (r *Reactor) wait(may bool) error {
	if !may {
		r.ready(0)
		return r.failed
	}
	// A waker says what it wants and then looks whether to wake: either that is seen
	// here, or asleep there.
	r.asleep.Store(true)
	if r.woken.Load() {
		r.ready(0)
	} else if err := r.raw.Read(r.look); errors.Is(err, os.ErrDeadlineExceeded) {
		_ = r.parked.SetReadDeadline(time.Time{})
		r.ready(0)
	} else if err != nil {
		return err
	}
	r.asleep.Store(false)
	return r.failed
}

// ready asks epoll for events. It reports whether to stop waiting.
func (r *Reactor) ready(uintptr) bool {
	for {
		// A call that does not block need not tell Go's scheduler.
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.epoll),
			uintptr(unsafe.Pointer(unsafe.SliceData(r.events))), uintptr(len(r.events)), 0, 0, 0)
		switch errno {
		case 0:
			r.got = int(n)
			return n > 0
		case unix.EINTR:
		default:
			r.got, r.failed = 0, os.NewSyscallError("epoll_wait", errno)
			return true
		}
	}
}

var past = time.Unix(1, 0)

// Wake makes the goroutine go round, now or once more if it does at the moment. Any
// goroutine may call it. That it sleeps until a time that has passed costs no system
// call, unlike writing to a descriptor.
func (r *Reactor) Wake() {
	r.woken.Store(true)
	if r.asleep.CompareAndSwap(true, false) {
		_ = r.parked.SetReadDeadline(past) // an error once it is closed
	}
}

package reactor

import (
	"encoding/binary"
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
	if may {
		// Whoever posts a task after this look at them sees asleep, and wakes.
		r.asleep.Store(true)
		r.mu.Lock()
		may = len(r.tasks) == 0
		r.mu.Unlock()
	}
	if !may || r.stopping.Load() {
		r.asleep.Store(false)
		r.ready(0)
		return r.failed
	}
	if err := r.raw.Read(r.look); err != nil {
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

// wake ends the wait that is under way, or the next one.
func (r *Reactor) wake() {
	if !r.asleep.CompareAndSwap(true, false) {
		return
	}
	r.waking.Lock()
	defer r.waking.Unlock()
	if r.closed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// Each write makes an edge, so nothing has to read; 2^64 of them fit.
	_, _ = unix.Write(r.wakefd, one[:])
}

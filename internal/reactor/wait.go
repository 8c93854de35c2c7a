package reactor

import (
	"encoding/binary"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A reactor waits in one of two ways. Either way a waker writes to an eventfd.
//
// In epoll_wait(2): the goroutine keeps its P of the Go scheduler until the runtime's monitor takes
// it away, and while it might have to, the monitor wakes up every 20 us. A reactor that keeps its P
// does not tell the scheduler about the first milliseconds of a wait, so that the monitor has
// nothing to take while there is work: 0.95 of the CPU time of a resumed TLS 1.2 handshake, 0.75 to
// 0.85 of that of 100 to 2,000 small requests a second. The collector need not wait for their end:
// Go's signal ends the call.
//
// Parked, as Go's own connections wait: the epoll set is itself watched by the runtime's, so each
// event goes through two sets and a round of the scheduler. A waker could move a deadline instead
// of writing, without a system call; but that puts the goroutine on the waker's own P, from which
// another thread, woken for it, takes it only after a pause: 1.05 to 1.07 of the CPU time of a
// connection at eight nodes.
//
// A goroutine that is awake only briefly, beside busy loops, should park: of 80 context switches
// for a connection at eight nodes on one core 60 were the monitor's, because the UDP poller did not
// park. Loops should not: parked ones took 1.14 of the CPU time for handshakes and 0.96 of it for
// small requests on kept connections.

// openWaker prepares the means to end a wait.
func (r *Reactor) openWaker() (err error) {
	if r.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := r.watchOwn(r.wakefd); err != nil || !r.parks {
		return err
	}
	fd, err := unix.FcntlInt(uintptr(r.epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	_ = unix.SetNonblock(fd, true) // which tells os.NewFile to use the runtime's poller
	r.parked = os.NewFile(uintptr(fd), "epoll")
	if r.raw, err = r.parked.SyscallConn(); err != nil {
		return err
	}
	return r.parked.SetReadDeadline(time.Time{}) // an error if the runtime does not watch it
}

// briefly is for how many milliseconds of a wait a reactor keeps its P, while events come at least
// that often. With 1 ms, 100 requests a second took 1.6 times the CPU time. With rarer events it is
// better to tell the scheduler at once: each event also wakes the monitor, which looks every 20 us
// until it has found nothing to take 50 times.
const briefly = 5

// wait fills events with those that are ready, or, if there are none and it may wait, with the
// first to come.
func (r *Reactor) wait(may bool) error {
	r.got = 0
	if !may {
		r.ask(0)
		return r.failed
	}
	// A waker publishes its task and then reads asleep: either this goroutine sees the task, or the
	// waker sees asleep.
	r.asleep.Store(true)
	switch {
	case r.woken.Load():
		r.ask(0)
	case r.parks:
		if err := r.raw.Read(r.look); err != nil {
			return err
		}
	default:
		if r.pace.look(r.now); !r.nap() {
			r.await()
		}
	}
	r.asleep.Store(false)
	return r.failed
}

// await waits for the next events.
func (r *Reactor) await() {
	if r.keepsP && r.pace.reaches(1, briefly*time.Millisecond) {
		if r.ask(briefly); r.got > 0 || r.failed != nil {
			return
		}
	}
	r.ask(-1)
}

// ready asks epoll for events. It reports whether to stop waiting.
func (r *Reactor) ready(uintptr) bool {
	r.ask(0)
	return r.got > 0 || r.failed != nil
}

// ask asks epoll for events: those that are ready, those that come within so many milliseconds, or
// with -1 the next ones.
func (r *Reactor) ask(timeout int) {
	call := unix.RawSyscall6 // a call that does not block for long need not tell Go's scheduler
	if timeout < 0 {
		call = unix.Syscall6
	}
	for {
		// r.events is on the heap, where it stays, and r keeps it alive.
		n, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(r.epoll),
			uintptr(unsafe.Pointer(unsafe.SliceData(r.events))), uintptr(len(r.events)),
			uintptr(timeout), 0, 0)
		switch {
		case errno == 0:
			r.got = int(n)
			r.pace.events += r.got
			return
		case errno == unix.EINTR && timeout > 0:
			r.got = 0 // the signal's sender waits for this goroutine
			return
		case errno == unix.EINTR:
		default:
			r.got, r.failed = 0, os.NewSyscallError("epoll_wait", errno)
			return
		}
	}
}

// Wake makes the goroutine run a round: now, or one more if it is in a round. Any goroutine may
// call it.
func (r *Reactor) Wake() {
	r.woken.Store(true)
	if !r.asleep.CompareAndSwap(true, false) {
		return
	}
	r.waking.Lock()
	defer r.waking.Unlock()
	if !r.closed {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// Each write makes an edge, so nothing has to read; 2^64 of them fit.
		_, _ = unix.Write(r.wakefd, one[:])
	}
}

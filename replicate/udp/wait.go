package udp

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Waiter lets a goroutine wait for datagrams, for a time, and for others that wake
// it, all at once and parked as Go parks goroutines: the sockets are in an epoll set
// whose descriptor is itself watched by Go's runtime.
//
// A goroutine that waits in ppoll(2) or epoll_wait(2) keeps a P of the scheduler until
// the runtime's monitor takes it away, and while it might have to, the monitor wakes up
// every 20 us: of 80 context switches for a connection at eight nodes on one core 60
// were the monitor's.
type Waiter struct {
	file   *os.File // the epoll set
	fd     int
	raw    syscall.RawConn
	look   func(uintptr) bool // (*Waiter).ready, made once
	events []unix.EpollEvent
	list   []int // indexes of sockets that are ready
	woken  atomic.Bool
	err    error
}

// NewWaiter returns a waiter for sockets, which must outlive it.
func NewWaiter(sockets []*Socket) (*Waiter, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // so that the runtime watches it
	w := &Waiter{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, len(sockets))}
	w.look = w.ready
	for i, s := range sockets {
		// Level-triggered: what is left in a buffer comes again.
		e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, s.FD, &e); err != nil {
			w.file.Close()
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	if w.raw, err = w.file.SyscallConn(); err == nil {
		err = w.file.SetReadDeadline(time.Time{}) // an error if the runtime does not watch it
	}
	if err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

// Wait waits until sockets can be read, whose indexes it returns, until Wake is
// called, or until the time is over. The list is valid until the next call. One
// goroutine may call it.
func (w *Waiter) Wait(d time.Duration) (ready []int, woken bool, err error) {
	w.list = w.list[:0]
	if err := w.file.SetReadDeadline(time.Now().Add(d)); err != nil {
		return nil, false, err
	}
	// A waker says that it woke and then moves the deadline: either it is seen
	// here, or its deadline is the later one set.
	if !w.woken.Load() {
		err := w.raw.Read(w.look)
		if err == nil {
			return w.list, w.woken.Swap(false), w.err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, err
		}
	}
	// Where the machine is busy, the time may have been over for long: what has come
	// until now has come in time.
	w.ready(0)
	return w.list, w.woken.Swap(false), w.err
}

// ready looks whether sockets can be read. It reports whether to stop waiting.
func (w *Waiter) ready(uintptr) bool {
	for {
		n, err := unix.EpollWait(w.fd, w.events, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			w.err = os.NewSyscallError("epoll_wait", err)
			return true
		}
		for _, e := range w.events[:n] {
			w.list = append(w.list, int(e.Fd))
		}
		return n > 0
	}
}

var past = time.Unix(1, 0)

// Wake ends the Wait that is under way, or the next one. Any goroutine may call it.
func (w *Waiter) Wake() {
	if w.woken.CompareAndSwap(false, true) {
		_ = w.file.SetReadDeadline(past)
	}
}

// Close frees the descriptor. The goroutine must not wait any more.
func (w *Waiter) Close() { w.file.Close() }

package engine

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// A Socket is a loop's listening socket for a successor.
type Socket struct {
	Network, Address string // as given to the Listener
	FD               int    // the engine's own
}

// Sockets returns the listening sockets, those of one address in the order of its loops. Each has
// its own queue of clients not yet accepted: a successor must have all of them, or those clients
// are reset when the engine ends. The engine must have been started.
func (e *Engine) Sockets() (list []Socket) {
	of := make([][]Socket, len(e.loops))
	e.mu.Lock()
	bound := e.bound
	e.mu.Unlock()
	e.everywhere(func(l *loop) {
		for _, b := range bound {
			for _, fd := range b.own[l.id].fds() {
				of[l.id] = append(of[l.id], Socket{b.Network, b.asked, fd})
			}
		}
	})
	return slices.Concat(of...)
}

// Hold stops accepting and closes nothing: clients wait in the sockets' queues, for this engine or
// another. When it returns, no loop accepts. The engine must have been started.
func (e *Engine) Hold() { e.everywhere(holdLoop) }

// Resume accepts again after Hold.
func (e *Engine) Resume() { e.everywhere(resumeLoop) }

// GiveUp leaves the result of Sockets to a successor, after Hold: the waiting clients and the paths
// of unix sockets are the successor's.
func (e *Engine) GiveUp() {
	e.LeavePaths()
	e.everywhere(func(l *loop) {
		for _, ln := range l.listeners {
			ln.close(causeShutdown)
		}
	})
}

// LeavePaths makes Close leave the paths of unix sockets to the process that has them.
func (e *Engine) LeavePaths() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.bound {
		b.path = ""
	}
}

// Turn returns when every loop has had a turn, or when ctx is done. The engine must have been
// started.
func (e *Engine) Turn(ctx context.Context) error {
	for _, l := range e.loops {
		done := make(chan struct{})
		l.reactor.Post(func(any) { close(done) }, nil)
		select {
		case <-done:
		case <-l.over:
			return errors.New("a loop has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func holdLoop(l *loop) {
	for _, ln := range l.listeners {
		ln.held = true
	}
}

func resumeLoop(l *loop) {
	for _, ln := range l.listeners {
		if ln.held = false; ln.fd >= 0 {
			l.acceptLater(ln)
		}
	}
}

// inherit distributes a predecessor's sockets for an address: each loop gets its own. If there are
// more than loops, some loops get several, so that clients waiting in any of them are accepted. If
// there are fewer, the other loops open their own, where the kernel lets sockets share an address,
// and else share queues. No sockets means that the address is not inherited.
func (e *Engine) inherit(fds []int) (own [][]int) {
	if len(fds) == 0 {
		return nil
	}
	own = make([][]int, len(e.loops))
	for i, fd := range fds {
		loop := i % len(e.loops)
		own[loop] = append(own[loop], fd)
	}
	for i := len(fds); i < len(e.loops); i++ {
		shares, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_REUSEPORT)
		if domain, _ := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil &&
			shares != 0 && domain != unix.AF_UNIX {
			break
		}
		if fd, err := unix.FcntlInt(uintptr(fds[i%len(fds)]), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			own[i] = append(own[i], fd)
		}
	}
	return own
}

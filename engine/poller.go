package engine

import (
	"sync/atomic"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	tasks "github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"
)

// A poller is one epoll instance with a lock-free queue of tasks from other
// goroutines: gnet's reactor layer. This file is the only one that knows gnet.
//
// Traps met there: Polling has no time-out (timers come from a timerfd), and
// swallows every error of a callback but its two sentinels.
type poller struct {
	np     *netpoll.Poller
	closed atomic.Bool
}

// events are what epoll reported for a descriptor. They are hints: an event may
// belong to a descriptor that was closed and reused within one batch, so the
// only thing done with one is to try to read or write.
type events uint32

func (e events) readable() bool { return e&(unix.EPOLLIN|unix.EPOLLRDHUP|hangup) != 0 }
func (e events) writable() bool { return e&(unix.EPOLLOUT|hangup) != 0 }
func (e events) failed() bool   { return e&hangup != 0 }

// ended reports whether the peer has sent its last byte: a read that falls
// short of the buffer then does not mean that there is nothing more to learn.
func (e events) ended() bool { return e&(unix.EPOLLRDHUP|hangup) != 0 }

// hungUp asks the kernel whether one of these has happened to fd.
func hungUp(fd int, what events) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: int16(what)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && events(fds[0].Revents)&what != 0
}

const hangup = unix.EPOLLERR | unix.EPOLLHUP

func openPoller() (*poller, error) {
	np, err := netpoll.OpenPoller()
	if err != nil {
		return nil, err
	}
	return &poller{np: np}, nil
}

// add registers fd once, for both directions, edge-triggered.
func (p *poller) add(fd int) error {
	return p.np.AddReadWrite(&netpoll.PollAttachment{FD: fd}, true)
}

// addListener registers a listening socket or timer: readable, edge-triggered.
func (p *poller) addListener(fd int) error {
	return p.np.AddRead(&netpoll.PollAttachment{FD: fd}, true)
}

// run calls handle for each event and runs posted tasks, all on the calling
// goroutine, until stop.
func (p *poller) run(handle func(fd int, e events)) error {
	err := p.np.Polling(func(fd int, e netpoll.IOEvent, _ netpoll.IOFlags) error {
		handle(fd, events(e))
		return nil
	})
	if err == errors.ErrEngineShutdown { //nolint:errorlint // returned as is
		return nil
	}
	return err
}

// post queues task(arg) for the goroutine in run. It may be called from any
// goroutine and does not block.
func (p *poller) post(task func(any) error, arg any) {
	if p.closed.Load() {
		return // a late answer for a flow that is gone
	}
	// The only error is that of waking up by eventfd, which cannot fail while
	// the poller is open.
	_ = p.np.Trigger(tasks.HighPriority, task, arg)
}

// stop makes run return. It may be called from any goroutine.
func (p *poller) stop() {
	p.post(func(any) error { return errors.ErrEngineShutdown }, nil)
}

func (p *poller) close() error {
	p.closed.Store(true)
	return p.np.Close()
}

package reactor

import "golang.org/x/sys/unix"

// Events are what epoll reported for a descriptor.
type Events uint32

const hangup = unix.EPOLLERR | unix.EPOLLHUP

// Readable reports whether reading may bring something, were it an error or the end.
func (e Events) Readable() bool { return e&(unix.EPOLLIN|unix.EPOLLRDHUP|hangup) != 0 }

// Writable reports whether writing may succeed, or fail for good.
func (e Events) Writable() bool { return e&(unix.EPOLLOUT|hangup) != 0 }

// Failed reports whether the connection is broken, or closed both ways.
func (e Events) Failed() bool { return e&hangup != 0 }

// Ended reports whether the peer has sent its last byte: a read that falls short of
// the buffer then does not mean that there is nothing more to learn.
func (e Events) Ended() bool { return e&(unix.EPOLLRDHUP|hangup) != 0 }

// What [Is] may ask for.
const (
	PeerEnded Events = unix.EPOLLRDHUP
	HungUp    Events = hangup
)

// Is asks the kernel whether one of these has happened to fd. Errors and hang-ups are
// told whether asked for or not.
func Is(fd int, what Events) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: int16(what)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && Events(fds[0].Revents)&what != 0
}

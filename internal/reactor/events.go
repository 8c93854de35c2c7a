package reactor

import "golang.org/x/sys/unix"

// Events are what epoll reported for a descriptor.
type Events uint32

const hangup = unix.EPOLLERR | unix.EPOLLHUP

// Readable reports whether reading may bring data, an error or the end.
func (e Events) Readable() bool { return e&(unix.EPOLLIN|unix.EPOLLRDHUP|hangup) != 0 }

// Writable reports whether writing may succeed, or fail for good.
func (e Events) Writable() bool { return e&(unix.EPOLLOUT|hangup) != 0 }

// Failed reports whether the connection is broken, or closed both ways.
func (e Events) Failed() bool { return e&hangup != 0 }

// Ended reports whether the peer has sent its last byte: then a read that does not fill the buffer
// does not mean that the next one would block.
func (e Events) Ended() bool { return e&(unix.EPOLLRDHUP|hangup) != 0 }

// The conditions that [Is] takes.
const (
	PeerEnded Events = unix.EPOLLRDHUP
	HungUp    Events = hangup
)

// Is asks the kernel whether one of these has happened to fd. Errors and hang-ups are reported
// whether asked for or not.
func Is(fd int, what Events) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: int16(what)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && Events(fds[0].Revents)&what != 0
}

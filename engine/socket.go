package engine

import (
	"golang.org/x/sys/unix"

	"reprise/internal/reactor"
)

// A socket is a connection to one of a flow's two ends, with the state that edge-triggered epoll
// requires.
type socket struct {
	fd       int // -1 while there is none
	readable bool
	writable bool
	bulk     bool // the last read filled the buffer
	drained  bool // a read after the peer's FIN fell short: another one would tell that FIN only
	last     bool // what is written leaves with the FIN that follows it, in one packet
	input    input
	tls      *secured // of a backend with TLS, else nil
	unsent   int      // bytes in the kernel's buffer at the last call of drains
}

// input is the state of a peer's stream.
type input uint8

const (
	inputOpen   input = iota
	inputEnding       // epoll has reported FIN, or worse: a short read is not the last one
	// the peer has reset the connection, which the kernel reported to a write; its next read looks
	// like a proper end
	inputBroken
	inputEnded // the end has been read
)

func (s *socket) open() bool { return s.fd >= 0 }

// ended reports whether all of the peer's stream has been read.
func (s *socket) ended() bool { return s.input == inputEnded }

// note records an event.
func (s *socket) note(e reactor.Events) {
	if e.Readable() {
		s.readable = true
	}
	if e.Writable() {
		s.writable = true
	}
	if e.Ended() {
		s.input = max(s.input, inputEnding)
	}
}

// read reads once. n is 0 with a nil error when there is nothing now (readable is false then) or at
// the end.
func (s *socket) read(p []byte) (n int, err error) {
	n, err = rawReceive(s.fd, p)
	for err == unix.EINTR {
		n, err = rawReceive(s.fd, p)
	}
	s.bulk = n == len(p)
	return s.took(n, len(p), err)
}

// took records the result of a read: n bytes of at least fit possible ones.
func (s *socket) took(n, fit int, err error) (int, error) {
	switch {
	case err == unix.EAGAIN:
		s.readable = false
		return 0, nil
	case err != nil:
		s.readable = false
		return 0, err
	case n == 0 && s.input == inputBroken:
		s.readable = false
		return 0, unix.ECONNRESET
	case n == 0:
		s.readable, s.input = false, inputEnded
	case n < fit && s.input == inputOpen:
		// A stream socket that returns less than requested is empty; later data make a new edge
		// (epoll(7)).
		s.readable = false
	case n < fit:
		s.drained = s.input == inputEnding
	}
	return n, nil
}

// write writes once.
func (s *socket) write(p []byte) (int, error) {
	var flags uintptr
	if s.last {
		flags = unix.MSG_MORE
	}
	for {
		n, err := rawSend(s.fd, p, flags)
		switch err {
		case nil:
			if n < len(p) {
				s.writable = false
			}
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			s.writable = false
			return 0, nil
		default:
			return 0, err
		}
	}
}

// drains reports whether the peer has taken some of the kernel's buffered data since the last call.
// A slow reader may empty the kernel's buffer for minutes before there is room for more.
func (s *socket) drains() bool {
	if !s.open() {
		return false
	}
	before := s.unsent
	n, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
	if err != nil {
		return false
	}
	s.unsent = n
	return n != before
}

package engine

import "golang.org/x/sys/unix"

// A side is one of a flow's two sockets, with what edge-triggered epoll makes
// us remember about it.
type side struct {
	fd       int // -1 while there is none
	readable bool
	writable bool
	ended    bool // the peer's FIN has been seen by epoll
	eof      bool // and read
	shut     bool // we have sent our FIN, or will never write again
	finish   bool // send our FIN once pending is written
	broken   bool // the peer has reset the connection
	full     bool // pending has reached the high watermark and not yet the low one
	bulk     bool // the last read filled the buffer

	pending queue // bytes for this socket
	unsent  int   // bytes that the kernel held when drains was last asked
}

func (s *side) open() bool { return s.fd >= 0 }

// note remembers an event.
func (s *side) note(e events) {
	if e.readable() {
		s.readable = true
	}
	if e.writable() {
		s.writable = true
	}
	if e.ended() {
		s.ended = true
	}
}

// read reads once. n is 0 with a nil error when there is nothing now (readable
// is false then) or at the end (eof is true then).
func (s *side) read(p []byte) (n int, err error) {
	n, err = rawRead(s.fd, p)
	for err == unix.EINTR {
		n, err = rawRead(s.fd, p)
	}
	s.bulk = n == len(p)
	return s.took(n, len(p), err)
}

// took notes what reading has told: n bytes of at least so many that fit.
func (s *side) took(n, fit int, err error) (int, error) {
	switch {
	case err == unix.EAGAIN:
		s.readable = false
		return 0, nil
	case err != nil:
		s.readable = false
		return 0, err
	case n == 0:
		s.readable, s.eof = false, true
	case n < fit && !s.ended:
		// A stream socket that gives less than asked for is empty;
		// what comes later makes a new edge (epoll(7)).
		s.readable = false
	}
	return n, nil
}

// write sends p behind what is pending; what the socket does not take becomes
// pending.
func (s *side) write(p []byte) error {
	if s.pending.len() == 0 && s.writable && len(p) > 0 {
		n, err := s.send(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	s.pending.push(p)
	return nil
}

// drains reports whether the peer has taken something of what the kernel holds for
// it since the last call. A slow reader may empty the kernel's buffer for minutes
// before there is room for more.
func (s *side) drains() bool {
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

// flush sends what is pending and, when that was the last of it, the FIN.
func (s *side) flush() error {
	for s.writable && s.pending.len() > 0 {
		n, err := s.send(s.pending.bytes())
		if err != nil {
			return err
		}
		s.pending.pop(n)
	}
	if s.finish && !s.shut && s.pending.len() == 0 {
		s.shut = true
		// ENOTCONN: the peer has reset the connection, which the next read
		// will tell.
		_ = unix.Shutdown(s.fd, unix.SHUT_WR)
	}
	return nil
}

// send writes once.
func (s *side) send(p []byte) (int, error) {
	for {
		n, err := rawWrite(s.fd, p)
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

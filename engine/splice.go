package engine

import "golang.org/x/sys/unix"

// A splicer moves bytes between two sockets without copying them through this process (splice(2)):
// in bulk that costs about two thirds of the CPU time of read and write. Its pipe is empty between
// calls, so one serves all flows of a loop.
type splicer struct{ r, w int }

// spliceSize is the most that one call moves, in bytes, and the requested size of the pipe.
const spliceSize = 256 << 10

func newSplicer() (*splicer, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	// A smaller pipe, where the user's share is used up, moves less at once.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, spliceSize)
	return &splicer{fds[0], fds[1]}, nil
}

func (s *splicer) close() {
	unix.Close(s.r)
	unix.Close(s.w)
}

// move takes bytes from one socket to another and returns their number. What the other does not
// take becomes pending there, by way of buf. An error is that of the socket it names.
func (s *splicer) move(from, to *socket, w *way, buf []byte) (n int, readErr, writeErr error) {
	n, err := splice(from.fd, s.w)
	for err == unix.EINTR {
		n, err = splice(from.fd, s.w)
	}
	// Less than requested proves nothing: the pipe may have run out of slots.
	if n, readErr = from.took(n, 0, err); n == 0 {
		return 0, readErr, nil
	}
	left := n
	for left > 0 && to.writable && writeErr == nil {
		moved, err := splice(s.r, to.fd)
		switch err {
		case nil:
			left -= moved
		case unix.EINTR:
		case unix.EAGAIN:
			to.writable = false
		default:
			writeErr = err
		}
	}
	for left > 0 {
		got, err := rawRead(s.r, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || got == 0 {
			return n, err, writeErr // a pipe returns what was put into it
		}
		w.pending.Push(buf[:got])
		left -= got
	}
	return n, nil, writeErr
}

func splice(from, to int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, spliceSize,
		unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// splices reports whether bytes from one side to the other are better spliced: they are passed on
// unchanged, and the last read filled the buffer.
func (f *flow) splices(from *socket, w *way) bool {
	if f.tls != nil || f.backend.tls != nil || f.http != nil || !from.bulk || f.link != linked ||
		w.end == closed || w.pending.Len() > 0 {
		return false
	}
	l := f.loop
	if l.splicer == nil {
		var err error
		if l.splicer, err = newSplicer(); err != nil {
			from.bulk = false
			return false
		}
	}
	return true
}

// spliceIn is pumpIn for such bytes.
func (f *flow) spliceIn() int {
	n, readErr, writeErr := f.loop.splicer.move(&f.client, &f.backend, &f.in, f.loop.in)
	if readErr != nil {
		f.clientGone()
		return 1
	}
	f.loop.count.Flows.CipherInBytes.Add(uint64(n))
	f.loop.count.Flows.PlainInBytes.Add(uint64(n))
	if f.trace != nil {
		f.trace.in += int64(n)
	}
	switch {
	case writeErr != nil:
		f.backendStoppedReading(writeErr)
	case f.client.ended():
		f.clientEOF()
		return 1
	}
	f.client.bulk = n >= len(f.loop.in)/2
	return n
}

// spliceOut is pumpOut for such bytes.
func (f *flow) spliceOut() int {
	n, readErr, writeErr := f.loop.splicer.move(&f.backend, &f.client, &f.out, f.loop.in)
	if readErr != nil {
		f.backendGone()
		return 1
	}
	f.loop.count.Flows.PlainOutBytes.Add(uint64(n))
	f.loop.count.Flows.CipherOutBytes.Add(uint64(n))
	if f.trace != nil {
		f.trace.out += int64(n)
	}
	f.backend.bulk = n >= len(f.loop.in)/2
	switch {
	case writeErr != nil:
		f.clientGone()
	case f.backend.ended():
		f.outputDone()
		return 1
	}
	return n
}

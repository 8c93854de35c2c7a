package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawRead and rawWrite are read(2) and write(2) without telling Go's scheduler.
// The sockets do not block, so there is nothing for it to do; but a write on
// loopback runs the receiver's side of the network stack too and takes long enough
// that the scheduler would give the loop's place to another thread, and wake one
// with a futex call for that: a sixth of the CPU time of a small request.

func rawRead(fd int, p []byte) (int, error) {
	return rawCall(unix.SYS_READ, fd, p)
}

func rawWrite(fd int, p []byte) (int, error) {
	return rawCall(unix.SYS_WRITE, fd, p)
}

func rawCall(trap uintptr, fd int, p []byte) (int, error) {
	// The conversion to uintptr stands in the call, so p is kept alive and in
	// place until it returns (package unsafe, pattern 4).
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

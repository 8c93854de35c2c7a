package engine

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows are system calls without telling Go's scheduler.
// The sockets do not block, so there is nothing for it to do; but a write on
// loopback runs the receiver's side of the network stack too and takes long enough
// that the scheduler would give the loop's place to another thread, and wake one
// with a futex call for that: a sixth of the CPU time of a small request.

// rawRead reads from a pipe.
func rawRead(fd int, p []byte) (int, error) {
	return rawCall(unix.SYS_READ, fd, p)
}

// rawReceive and rawSend read from a socket and write to it: these calls, unlike read(2) and
// write(2), do not go through the layer of files first.

func rawReceive(fd int, p []byte) (int, error) {
	return rawCall6(unix.SYS_RECVFROM, fd, p, 0)
}

func rawSend(fd int, p []byte) (int, error) {
	return rawCall6(unix.SYS_SENDTO, fd, p, unix.MSG_NOSIGNAL)
}

func rawCall(trap uintptr, fd int, p []byte) (int, error) {
	// The conversion to uintptr stands in the call, so p is kept alive and in
	// place until it returns (package unsafe, pattern 4).
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawCall6(trap uintptr, fd int, p []byte, flags uintptr) (int, error) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// rawPeek reports what reading one byte would do, without reading it. Unlike unix.Recvfrom
// it allocates nothing for a sender that nobody asks for.
func rawPeek(fd int) (int, error) {
	var b [1]byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// rawAccept takes a connection, not blocking and closed on exec, and says who
// connected: the zero AddrPort for a unix socket. Unlike unix.Accept4 it
// allocates nothing for that.
func rawAccept(fd int) (int, netip.AddrPort, error) {
	var sa unix.RawSockaddrInet6 // the longest that is looked at
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	// The port is in network byte order, whatever this machine's is.
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], sa.Port)
	var addr netip.Addr
	switch sa.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)) // shorter, and begins the same
		addr = netip.AddrFrom4(in4.Addr)
	case unix.AF_INET6:
		addr = netip.AddrFrom16(sa.Addr).Unmap() // an IPv4 client of a listener for both
	default:
		return int(n), netip.AddrPort{}, nil
	}
	return int(n), netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:])), nil
}

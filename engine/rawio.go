package engine

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rest are system calls that Go's scheduler does not see. The sockets do not block, so it has
// nothing to do; but a write on loopback runs the receiver's side of the network stack too and
// takes long enough that the scheduler would give the loop's place to another thread, and wake one
// with a futex call for that: a sixth of the CPU time of a small request.

// rawRead reads from a pipe.
func rawRead(fd int, p []byte) (int, error) {
	return rawCall(unix.SYS_READ, fd, p)
}

// rawReceive and rawSend read from a socket and write to it: unlike read(2) and write(2), these
// calls bypass the layer of files.

func rawReceive(fd int, p []byte) (int, error) {
	return rawCall6(unix.SYS_RECVFROM, fd, p, 0)
}

func rawSend(fd int, p []byte, flags uintptr) (int, error) {
	return rawCall6(unix.SYS_SENDTO, fd, p, unix.MSG_NOSIGNAL|flags)
}

func rawCall(trap uintptr, fd int, p []byte) (int, error) {
	// The conversion to uintptr is in the call, so p is kept alive and in place until it returns
	// (package unsafe, pattern 4).
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

// rawPeek reports the result of reading one byte, without reading it. Unlike unix.Recvfrom it
// allocates no sender address.
func rawPeek(fd int) (int, error) {
	var b [1]byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// rawAccept accepts a connection, non-blocking and close-on-exec, and returns the client's address:
// the zero AddrPort for a unix socket. Unlike unix.Accept4 it allocates nothing for that.
func rawAccept(fd int) (int, netip.AddrPort, error) {
	var sa unix.RawSockaddrInet6 // the longest kind that matters here
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	// The port is in network byte order on every machine.
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], sa.Port)
	var addr netip.Addr
	switch sa.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)) // shorter, with the same beginning
		addr = netip.AddrFrom4(in4.Addr)
	case unix.AF_INET6:
		addr = netip.AddrFrom16(sa.Addr).Unmap() // an IPv4 client of a listener for both
	default:
		return int(n), netip.AddrPort{}, nil
	}
	return int(n), netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:])), nil
}

// rawConnect starts a connection of a socket that does not block.
func rawConnect(fd int, to netip.AddrPort) error {
	// Both begin with the family and the port, in network byte order.
	var sa unix.RawSockaddrInet6
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	size := unix.SizeofSockaddrInet6
	if ip := to.Addr(); ip.Is4() {
		sa.Family, size = unix.AF_INET, unix.SizeofSockaddrInet4
		(*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr = ip.As4()
	} else {
		sa.Family, sa.Addr, sa.Scope_id = unix.AF_INET6, ip.As16(), zoneID(ip.Zone())
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(size))
	if errno != 0 {
		return errno
	}
	return nil
}

// rawSetOption sets an option of TCP. It may fail: all of them are about speed.
func rawSetOption(fd, option int, value int32) {
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, uintptr(option),
		uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
}

// rawShutdown makes a FIN follow what was written.
func rawShutdown(fd int) {
	// ENOTCONN: the peer has reset the connection, which the next read will tell.
	unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// rawClose closes a socket. It does not wait: SO_LINGER is not set, or to no time at all.
func rawClose(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

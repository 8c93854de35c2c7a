package udp

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2), which package unix lacks.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// A Batch moves up to its size of datagrams in one system call. It belongs to
// one goroutine.
type Batch struct {
	msgs  []mmsghdr
	iovs  []unix.Iovec
	names []unix.RawSockaddrInet6 // large enough for IPv4 as well
	bufs  [][]byte
	slow  bool // the kernel has no recvmmsg or sendmmsg: one call for each
}

// NewBatch makes a batch of n datagrams of at most size bytes each. A batch for sending needs no
// buffers: size is 0. A batch is for one direction only.
func NewBatch(n, size int) *Batch {
	b := &Batch{
		msgs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n),
		names: make([]unix.RawSockaddrInet6, n), bufs: make([][]byte, n),
	}
	slab := make([]byte, n*size)
	for i := range b.msgs {
		b.bufs[i] = slab[i*size : (i+1)*size : (i+1)*size]
		b.iovs[i].Base = unsafe.SliceData(b.bufs[i])
		b.msgs[i].hdr.Iov = &b.iovs[i]
		b.msgs[i].hdr.SetIovlen(1)
		b.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	return b
}

// Receive fills the batch from a non-blocking socket and calls each for every datagram, which is
// valid until the next call. It returns their number; 0 means that there are no more now. Datagrams
// longer than the buffer come with a length of 0.
func (b *Batch) Receive(fd int, each func(from netip.AddrPort, datagram []byte)) (int, error) {
	for i := range b.msgs {
		b.iovs[i].SetLen(len(b.bufs[i]))
		b.msgs[i].hdr.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		b.msgs[i].hdr.Flags = 0
	}
	n, err := b.call(unix.SYS_RECVMMSG, unix.SYS_RECVMSG, fd, len(b.msgs))
	if err != nil {
		return 0, err
	}
	for i := range n {
		m := &b.msgs[i]
		datagram := b.bufs[i][:m.len]
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			datagram = nil
		}
		each(addrPort(&b.names[i]), datagram)
	}
	return n, nil
}

// Outgoing is a datagram to be sent.
type Outgoing struct {
	To       netip.AddrPort
	Datagram []byte
}

// Send sends what it can and returns the number of datagrams sent. The error is that of the first
// one that could not be sent.
func (b *Batch) Send(fd int, family uint16, list []Outgoing) (int, error) {
	n := min(len(list), len(b.msgs))
	for i, o := range list[:n] {
		b.iovs[i].Base = unsafe.SliceData(o.Datagram)
		b.iovs[i].SetLen(len(o.Datagram))
		b.msgs[i].hdr.Namelen = putAddrPort(&b.names[i], family, o.To)
	}
	sent, err := b.call(unix.SYS_SENDMMSG, unix.SYS_SENDMSG, fd, n)
	for i := range n {
		b.iovs[i].Base = nil // release memory that is not ours
	}
	return sent, err
}

// call makes one system call for n messages, or, if the kernel does not have it, one for each until
// the first that fails.
func (b *Batch) call(many, single uintptr, fd, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	if !b.slow {
		for {
			// The pointers inside msgs lead to memory that b keeps alive and that Go's collector
			// does not move. A call that does not block need not tell Go's scheduler, whose monitor
			// would take the P away from a thread that the kernel has interrupted in it.
			done, _, errno := unix.RawSyscall6(many, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])),
				uintptr(n), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				return int(done), nil
			case unix.EINTR:
				continue
			case unix.ENOSYS:
				b.slow = true
			default:
				return 0, errno
			}
			break
		}
	}
	for i := range n {
		size, _, errno := unix.Syscall(single, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[i].hdr)),
			unix.MSG_DONTWAIT)
		if errno != 0 {
			if i > 0 {
				return i, nil
			}
			return 0, errno
		}
		b.msgs[i].len = uint32(size)
	}
	return n, nil
}

// addrPort translates a socket address of either family.
func addrPort(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&name.Port)) // network order
	number := uint16(port[0])<<8 | uint16(port[1])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4(
			(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), number)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), number)
}

// putAddrPort writes to as an address of the socket's family and returns its length.
func putAddrPort(name *unix.RawSockaddrInet6, family uint16, to netip.AddrPort) uint32 {
	port := [2]byte{byte(to.Port() >> 8), byte(to.Port())}
	if family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*v4 = unix.RawSockaddrInet4{Family: family, Addr: to.Addr().As4()}
		*(*[2]byte)(unsafe.Pointer(&v4.Port)) = port
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: family, Addr: to.Addr().As16()}
	*(*[2]byte)(unsafe.Pointer(&name.Port)) = port
	return unix.SizeofSockaddrInet6
}

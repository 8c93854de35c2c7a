package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"reprise/internal/metric"
)

// Network says which UDP addresses a node uses. Addresses are numeric.
type Network struct {
	Listen []netip.AddrPort // own addresses and multicast groups
	Peers  []netip.AddrPort // targets of every update: nodes, groups, repeaters
	// Interface is the interface for multicast, by name; "" leaves it to the kernel's routes.
	Interface string
	TTL       int // of multicast datagrams; 0 means 1: this network only
	BufferLen int // requested size of each socket buffer in bytes; 0 leaves the kernel's
	// Inherit returns a socket that a predecessor has bound to an address, which the caller owns
	// from then on, or -1. nil: there is no predecessor.
	Inherit func(addr netip.AddrPort) (fd int)
}

// A Socket is one non-blocking UDP socket.
type Socket struct {
	FD     int
	Family uint16
	Addr   netip.AddrPort // as bound
	Asked  netip.AddrPort // as requested
	group  bool           // receives only what is sent to a multicast group
}

// Sockets are those of one node; they belong to one goroutine. Outgoing datagrams gather until
// Flush.
type Sockets struct {
	List  []*Socket
	send4 *Socket // outgoing datagrams have these sources, so that peers can answer
	send6 *Socket

	out     *Batch
	pending []Outgoing
	arena   []byte // holds the datagrams of pending

	// As the kernel has granted, the smallest of all.
	ReceiveBuffer, SendBuffer int
	Count                     Counts
}

// Counts are written by the goroutine; any goroutine may read them.
type Counts struct {
	ReceiveCalls  metric.Counter `json:"receive_calls" help:"System calls to receive, each for up to 64 datagrams."`
	ReceiveErrors metric.Counter `json:"receive_errors" help:"Failed system calls to receive."`
	SendCalls     metric.Counter `json:"send_calls" help:"System calls to send, each for up to 64 datagrams."`
	SendFull      metric.Counter `json:"send_full" help:"Datagrams dropped because the send buffer was full."`
	SendErrors    metric.Counter `json:"send_errors" help:"Datagrams that could not be sent, for want of a route and the like."`
}

// BatchLen is the largest number of datagrams of one system call.
const BatchLen = 64

// arenaLen is how many bytes gather before they are sent early.
const arenaLen = 256 << 10

// Open binds the sockets of a node.
func Open(n *Network) (*Sockets, error) {
	s := &Sockets{out: NewBatch(BatchLen, 0), arena: make([]byte, 0, arenaLen)}
	for _, addr := range n.Listen {
		one, err := OpenSocket(n, addr)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("cannot listen on UDP %s: %w%s", addr, err, Advice(err))
		}
		s.add(one)
	}
	// A node that listens only to a group, or not at all, still needs an own address for answers.
	for _, peer := range n.Peers {
		v4 := peer.Addr().Is4()
		if v4 && s.send4 != nil || !v4 && s.send6 != nil {
			continue
		}
		any := netip.IPv6Unspecified()
		if v4 {
			any = netip.IPv4Unspecified()
		}
		one, err := OpenSocket(n, netip.AddrPortFrom(any, 0))
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("cannot open a UDP socket to send from: %w", err)
		}
		s.add(one)
	}
	if len(s.List) == 0 { // peers whose names have yet to resolve
		one, err := OpenSocket(n, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("cannot open a UDP socket to send from: %w", err)
		}
		s.add(one)
	}
	return s, nil
}

func (s *Sockets) add(one *Socket) {
	s.List = append(s.List, one)
	if one.group {
		return
	}
	if one.Family == unix.AF_INET && s.send4 == nil {
		s.send4 = one
	} else if one.Family == unix.AF_INET6 && s.send6 == nil {
		s.send6 = one
	}
	for _, b := range []struct {
		opt int
		min *int
	}{{unix.SO_RCVBUF, &s.ReceiveBuffer}, {unix.SO_SNDBUF, &s.SendBuffer}} {
		if size, err := unix.GetsockoptInt(one.FD, unix.SOL_SOCKET, b.opt); err == nil &&
			(*b.min == 0 || size < *b.min) {
			*b.min = size
		}
	}
}

// Advice returns what an operator may do about an error of bind.
func Advice(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return ": choose another address or stop what listens there"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return ": no interface has this address; 0.0.0.0:PORT takes all"
	case errors.Is(err, unix.ENODEV):
		return ": no route for multicast; name the interface"
	}
	return ""
}

// OpenSocket binds one socket.
func OpenSocket(n *Network, addr netip.AddrPort) (*Socket, error) {
	s := &Socket{Family: unix.AF_INET6, Addr: addr, Asked: addr, group: addr.Addr().IsMulticast()}
	if addr.Addr().Is4() {
		s.Family = unix.AF_INET
	}
	if n.Inherit != nil {
		if s.FD = n.Inherit(addr); s.FD >= 0 { // with its options, which belong to the socket
			s.Addr = boundTo(s.FD, addr)
			return s, unix.SetNonblock(s.FD, true)
		}
	}
	var err error
	if s.FD, err = unix.Socket(int(s.Family), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC,
		0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(n); err != nil {
		unix.Close(s.FD)
		return nil, err
	}
	return s, nil
}

func (s *Socket) prepare(n *Network) error {
	if n.BufferLen > 0 {
		for _, opt := range []struct{ force, plain int }{
			{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
		} {
			// The first needs CAP_NET_ADMIN, the second is capped by
			// net.core.*mem_max; what was granted is in the statistics.
			if unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, opt.force, n.BufferLen) != nil {
				_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, opt.plain, n.BufferLen)
			}
		}
	}
	if s.group {
		// Several nodes of one machine may listen to one group.
		if err := unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
		}
	}
	// Bound to the group itself, so that it receives nothing else.
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(s.Addr.Port()), Addr: s.Addr.Addr().As16()}
	if s.Family == unix.AF_INET {
		sa = &unix.SockaddrInet4{Port: int(s.Addr.Port()), Addr: s.Addr.Addr().As4()}
	}
	if err := unix.Bind(s.FD, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	s.Addr = boundTo(s.FD, s.Addr)
	return s.multicast(n)
}

// multicast joins a group, and configures how this socket sends to groups.
func (s *Socket) multicast(n *Network) error {
	index := 0
	if n.Interface != "" {
		ifi, err := net.InterfaceByName(n.Interface)
		if err != nil {
			return fmt.Errorf("interface %q: %w", n.Interface, err)
		}
		index = ifi.Index
	}
	ttl := max(n.TTL, 1)
	if s.Family == unix.AF_INET {
		mreq := &unix.IPMreqn{Ifindex: int32(index)}
		if err := unix.SetsockoptIPMreqn(s.FD, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq); err != nil &&
			index != 0 {
			return os.NewSyscallError("setsockopt IP_MULTICAST_IF", err)
		}
		if err := unix.SetsockoptInt(s.FD, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl); err != nil {
			return os.NewSyscallError("setsockopt IP_MULTICAST_TTL", err)
		}
		if s.group {
			mreq.Multiaddr = s.Addr.Addr().As4()
			return os.NewSyscallError("setsockopt IP_ADD_MEMBERSHIP",
				unix.SetsockoptIPMreqn(s.FD, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq))
		}
		return nil
	}
	if index != 0 {
		if err := unix.SetsockoptInt(s.FD, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return os.NewSyscallError("setsockopt IPV6_MULTICAST_IF", err)
		}
	}
	if err := unix.SetsockoptInt(s.FD, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ttl); err != nil {
		return os.NewSyscallError("setsockopt IPV6_MULTICAST_HOPS", err)
	}
	if s.group {
		mreq := &unix.IPv6Mreq{Multiaddr: s.Addr.Addr().As16(), Interface: uint32(index)}
		return os.NewSyscallError("setsockopt IPV6_ADD_MEMBERSHIP",
			unix.SetsockoptIPv6Mreq(s.FD, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, mreq))
	}
	return nil
}

// boundTo returns the address with the port that the kernel chose if it was 0.
func boundTo(fd int, addr netip.AddrPort) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return addr
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(addr.Addr(), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(addr.Addr(), uint16(sa.Port))
	}
	return addr
}

// Close closes all sockets.
func (s *Sockets) Close() {
	for _, one := range s.List {
		unix.Close(one.FD)
	}
}

// Send copies a datagram, to be sent with others.
func (s *Sockets) Send(to netip.AddrPort, datagram []byte) {
	s.pending = append(s.pending, Outgoing{to, s.keep(datagram)})
}

// SendAll copies a datagram, to be sent to each address.
func (s *Sockets) SendAll(to []netip.AddrPort, datagram []byte) {
	kept := s.keep(datagram)
	for _, addr := range to {
		s.pending = append(s.pending, Outgoing{addr, kept})
	}
}

func (s *Sockets) keep(datagram []byte) []byte {
	if len(s.arena)+len(datagram) > cap(s.arena) {
		s.Flush()
	}
	start := len(s.arena)
	s.arena = append(s.arena, datagram...)
	return s.arena[start:]
}

// Flush sends pending datagrams. Those for which the kernel has no room are dropped: the receivers
// notice and ask again.
func (s *Sockets) Flush() {
	rest := s.pending
	for len(rest) > 0 {
		from, run := s.run(rest)
		if from == nil {
			s.Count.SendErrors.Add(uint64(run))
			rest = rest[run:]
			continue
		}
		n, err := s.out.Send(from.FD, from.Family, rest[:run])
		s.Count.SendCalls.Inc()
		rest = rest[n:]
		switch err {
		case nil:
		case unix.EAGAIN, unix.ENOBUFS:
			s.Count.SendFull.Add(uint64(len(rest)))
			rest = nil
		default: // of the first datagram only: no route, or the like
			s.Count.SendErrors.Inc()
			rest = rest[1:]
		}
	}
	clear(s.pending)
	s.pending, s.arena = s.pending[:0], s.arena[:0]
}

// run returns how many datagrams at the beginning of list can go out by one socket, and that
// socket; nil if their family has none.
func (s *Sockets) run(list []Outgoing) (*Socket, int) {
	v4 := list[0].To.Addr().Is4()
	n := 1
	for n < len(list) && n < BatchLen && list[n].To.Addr().Is4() == v4 {
		n++
	}
	if v4 {
		return s.send4, n
	}
	return s.send6, n
}

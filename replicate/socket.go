package replicate

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
	Peers  []netip.AddrPort // who is told everything: nodes, groups, repeaters
	// Interface is where multicast goes out and comes in, by name; "" leaves
	// it to the kernel's routes.
	Interface string
	TTL       int // of multicast datagrams; 0 means 1: this network only
	BufferLen int // bytes asked for each socket buffer; 0 leaves the kernel's
}

// A socket is one UDP socket.
type socket struct {
	fd     int
	family uint16
	addr   netip.AddrPort // as bound
	group  bool           // only receives what is sent to a multicast group
}

// sockets are those of one node; they belong to the poller's goroutine. They
// implement Transport.
type sockets struct {
	list  []*socket
	send4 *socket // what is sent comes from these, so that peers can answer
	send6 *socket
	peers []netip.AddrPort

	out     *batch
	pending []outgoing
	arena   []byte // what pending points into

	receiveBuffer, sendBuffer int // as the kernel has granted, the smallest of all
	count                     socketCounts
}

// socketCounts are written by the poller's goroutine and read by anybody.
type socketCounts struct {
	receiveErrors, receiveCalls metric.Counter
	sendFull, sendErrors        metric.Counter
	sendCalls, panics           metric.Counter
}

func (c *socketCounts) received(_ int, err error) {
	c.receiveCalls.Inc()
	if err != nil && err != unix.EAGAIN {
		c.receiveErrors.Inc()
	}
}

// arenaLen is how many bytes gather before they are sent in between.
const arenaLen = 256 << 10

func openSockets(n *Network) (*sockets, error) {
	s := &sockets{peers: n.Peers, out: newBatch(batchLen, 0), arena: make([]byte, 0, arenaLen)}
	for _, addr := range n.Listen {
		one, err := openSocket(n, addr)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("cannot listen on UDP %s: %w%s", addr, err, advice(err))
		}
		s.add(one)
	}
	// Who listens to a group only, or to nothing, still needs an address of
	// its own for answers.
	for _, peer := range n.Peers {
		v4 := peer.Addr().Is4()
		if v4 && s.send4 != nil || !v4 && s.send6 != nil {
			continue
		}
		any := netip.IPv6Unspecified()
		if v4 {
			any = netip.IPv4Unspecified()
		}
		one, err := openSocket(n, netip.AddrPortFrom(any, 0))
		if err != nil {
			s.close()
			return nil, fmt.Errorf("cannot open a UDP socket to send from: %w", err)
		}
		s.add(one)
	}
	if len(s.list) == 0 { // peers whose names have yet to resolve
		one, err := openSocket(n, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
		if err != nil {
			s.close()
			return nil, fmt.Errorf("cannot open a UDP socket to send from: %w", err)
		}
		s.add(one)
	}
	return s, nil
}

func (s *sockets) add(one *socket) {
	s.list = append(s.list, one)
	if one.group {
		return
	}
	if one.family == unix.AF_INET && s.send4 == nil {
		s.send4 = one
	} else if one.family == unix.AF_INET6 && s.send6 == nil {
		s.send6 = one
	}
	for _, b := range []struct {
		opt int
		min *int
	}{{unix.SO_RCVBUF, &s.receiveBuffer}, {unix.SO_SNDBUF, &s.sendBuffer}} {
		if size, err := unix.GetsockoptInt(one.fd, unix.SOL_SOCKET, b.opt); err == nil && (*b.min == 0 || size < *b.min) {
			*b.min = size
		}
	}
}

func advice(err error) string {
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

func openSocket(n *Network, addr netip.AddrPort) (*socket, error) {
	s := &socket{family: unix.AF_INET6, addr: addr, group: addr.Addr().IsMulticast()}
	if addr.Addr().Is4() {
		s.family = unix.AF_INET
	}
	var err error
	if s.fd, err = unix.Socket(int(s.family), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(n); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) prepare(n *Network) error {
	if n.BufferLen > 0 {
		for _, opt := range []struct{ force, plain int }{
			{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF},
		} {
			// The first needs CAP_NET_ADMIN, the second is capped by
			// net.core.*mem_max; what was granted is in the statistics.
			if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, opt.force, n.BufferLen) != nil {
				_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, opt.plain, n.BufferLen)
			}
		}
	}
	if s.group {
		// Several nodes of one machine may listen to one group.
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
		}
	}
	// Bound to the group itself, so that nothing else comes in by it.
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(s.addr.Port()), Addr: s.addr.Addr().As16()}
	if s.family == unix.AF_INET {
		sa = &unix.SockaddrInet4{Port: int(s.addr.Port()), Addr: s.addr.Addr().As4()}
	}
	if err := unix.Bind(s.fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	s.addr = boundTo(s.fd, s.addr)
	return s.multicast(n)
}

// multicast joins a group, and sets how this socket sends to groups.
func (s *socket) multicast(n *Network) error {
	index := 0
	if n.Interface != "" {
		ifi, err := net.InterfaceByName(n.Interface)
		if err != nil {
			return fmt.Errorf("interface %q: %w", n.Interface, err)
		}
		index = ifi.Index
	}
	ttl := max(n.TTL, 1)
	if s.family == unix.AF_INET {
		mreq := &unix.IPMreqn{Ifindex: int32(index)}
		if err := unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq); err != nil && index != 0 {
			return os.NewSyscallError("setsockopt IP_MULTICAST_IF", err)
		}
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl); err != nil {
			return os.NewSyscallError("setsockopt IP_MULTICAST_TTL", err)
		}
		if s.group {
			mreq.Multiaddr = s.addr.Addr().As4()
			return os.NewSyscallError("setsockopt IP_ADD_MEMBERSHIP", unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq))
		}
		return nil
	}
	if index != 0 {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return os.NewSyscallError("setsockopt IPV6_MULTICAST_IF", err)
		}
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ttl); err != nil {
		return os.NewSyscallError("setsockopt IPV6_MULTICAST_HOPS", err)
	}
	if s.group {
		mreq := &unix.IPv6Mreq{Multiaddr: s.addr.Addr().As16(), Interface: uint32(index)}
		return os.NewSyscallError("setsockopt IPV6_ADD_MEMBERSHIP", unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, mreq))
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

func (s *sockets) byFD(fd int) *socket {
	for _, one := range s.list {
		if one.fd == fd {
			return one
		}
	}
	return nil
}

func (s *sockets) close() {
	for _, one := range s.list {
		unix.Close(one.fd)
	}
}

// Send implements Transport: it copies the datagram and sends it with others.
func (s *sockets) Send(to netip.AddrPort, datagram []byte) {
	s.pending = append(s.pending, outgoing{to, s.keep(datagram)})
}

// Broadcast implements Transport.
func (s *sockets) Broadcast(datagram []byte) {
	kept := s.keep(datagram)
	for _, peer := range s.peers {
		s.pending = append(s.pending, outgoing{peer, kept})
	}
}

func (s *sockets) keep(datagram []byte) []byte {
	if len(s.arena)+len(datagram) > cap(s.arena) {
		s.flush()
	}
	start := len(s.arena)
	s.arena = append(s.arena, datagram...)
	return s.arena[start:]
}

// flush sends what is pending. What the kernel has no room for is dropped: the
// receivers notice and ask again.
func (s *sockets) flush() {
	rest := s.pending
	for len(rest) > 0 {
		from, run := s.run(rest)
		if from == nil {
			s.count.sendErrors.Add(uint64(run))
			rest = rest[run:]
			continue
		}
		n, err := s.out.send(from.fd, from.family, rest[:run])
		s.count.sendCalls.Inc()
		rest = rest[n:]
		switch err {
		case nil:
		case unix.EAGAIN, unix.ENOBUFS:
			s.count.sendFull.Add(uint64(len(rest)))
			rest = nil
		default: // of the first datagram only: no route, or the like
			s.count.sendErrors.Inc()
			rest = rest[1:]
		}
	}
	clear(s.pending)
	s.pending, s.arena = s.pending[:0], s.arena[:0]
}

// run returns how many datagrams at the beginning of list go out by one socket,
// and which that is; nil if there is none for their family.
func (s *sockets) run(list []outgoing) (*socket, int) {
	v4 := list[0].to.Addr().Is4()
	n := 1
	for n < len(list) && n < batchLen && list[n].to.Addr().Is4() == v4 {
		n++
	}
	if v4 {
		return s.send4, n
	}
	return s.send6, n
}

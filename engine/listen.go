package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"reprise/backend"
)

// listen opens one listening socket. TCP sockets share their port, so that each
// loop has a queue of its own and the kernel spreads connections over them.
func listen(o *Options, network, address string) (int, error) {
	sa, family, err := sockaddr(network, address)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := prepareListener(fd, o, address, family, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepareListener(fd int, o *Options, address string, family int, sa unix.Sockaddr) error {
	var options []socketOption
	if family != unix.AF_UNIX {
		options = append(options,
			socketOption{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
			socketOption{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if family == unix.AF_INET6 {
		options = append(options, onlyIPv6(address))
	}
	if err := setOptions(fd, options); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	// before it listens: until then all connections are refused
	if family == unix.AF_UNIX && o.SocketFile != nil {
		if err := o.SocketFile(address); err != nil {
			return err
		}
	}
	return tune(fd, o, family == unix.AF_UNIX)
}

// onlyIPv6 leaves IPv4 to other sockets where address is one of IPv6, so that 0.0.0.0 and [::] are
// two addresses; :PORT is both.
func onlyIPv6(address string) socketOption {
	only := 1
	if host, _, err := net.SplitHostPort(address); err == nil && host == "" {
		only = 0
	}
	return socketOption{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only}
}

type socketOption struct {
	name              string
	level, opt, value int
}

func setOptions(fd int, options []socketOption) error {
	for _, opt := range options {
		if err := unix.SetsockoptInt(fd, opt.level, opt.opt, opt.value); err != nil {
			return os.NewSyscallError("setsockopt "+opt.name, err)
		}
	}
	return nil
}

// adopt gives inherited sockets the properties of those that listen opens.
func adopt(fds []int, o *Options, network string) error {
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		if err := tune(fd, o, network == "unix"); err != nil {
			return err
		}
	}
	return nil
}

// tune sets options that can be set again, and listens.
func tune(fd int, o *Options, isUnix bool) error {
	var options []socketOption
	if !isUnix {
		// Accepted sockets inherit these from the listener, which saves a system call for each
		// connection.
		options = append(options, socketOption{
			"TCP_NODELAY", unix.IPPROTO_TCP,
			unix.TCP_NODELAY, 1,
		})
		if o.FastOpen > 0 {
			options = append(options, socketOption{
				"TCP_FASTOPEN", unix.IPPROTO_TCP,
				unix.TCP_FASTOPEN, o.FastOpen,
			})
		}
		if s := int(o.DeferAccept.Seconds()); s > 0 {
			options = append(options, socketOption{
				"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP,
				unix.TCP_DEFER_ACCEPT, s,
			})
		}
	}
	if err := setOptions(fd, options); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, o.Backlog))
}

// inUse reports whether a process listens at a TCP address, which SO_REUSEPORT alone would hide:
// two instances would silently share the connections.
func inUse(network, address string) error {
	if network == "unix" {
		return nil
	}
	sa, family, err := sockaddr(network, address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if family == unix.AF_INET6 {
		if err := setOptions(fd, []socketOption{onlyIPv6(address)}); err != nil {
			return err
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// removeStale removes the socket file of a listener that is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return unix.EADDRINUSE
	}
	return os.Remove(path)
}

// connect starts a connection to n without waiting for it. If we are to speak first, what we say
// carries the acknowledgement that ends TCP's handshake: one packet less, for both ends.
func (l *loop) connect(n *backend.Node, c *backend.Cursor, speakFirst bool) (int, error) {
	if n.Network() == "unix" {
		return connectUnix(n.Path())
	}
	addr, ok := n.Endpoint(c)
	if !ok {
		return -1, unix.EADDRNOTAVAIL // its name has not been resolved yet
	}
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	rawSetOption(fd, unix.TCP_NODELAY, 1)
	if speakFirst {
		rawSetOption(fd, unix.TCP_QUICKACK, 0)
	}
	if err := rawConnect(fd, addr); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connectUnix(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sockaddr translates a numeric address; "" as host means every interface.
func sockaddr(network, address string) (sa unix.Sockaddr, family int, err error) {
	if network == "unix" {
		return &unix.SockaddrUnix{Name: address}, unix.AF_UNIX, nil
	}
	host, portName, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, err
	}
	port, err := strconv.ParseUint(portName, 10, 16)
	if err != nil {
		return nil, 0, fmt.Errorf("port %q is not a number from 0 to 65535", portName)
	}
	if host == "" {
		if probe, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			unix.Close(probe)
			return &unix.SockaddrInet6{Port: int(port)}, unix.AF_INET6, nil
		}
		return &unix.SockaddrInet4{Port: int(port)}, unix.AF_INET, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, 0, fmt.Errorf("host %q is not a numeric address", host)
	}
	if ip.Is4() || ip.Is4In6() {
		return &unix.SockaddrInet4{Port: int(port), Addr: ip.Unmap().As4()}, unix.AF_INET, nil
	}
	sa6 := &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if sa6.ZoneId = zoneID(zone); sa6.ZoneId == 0 {
			return nil, 0, fmt.Errorf("no interface %q, which %s names", zone, address)
		}
	}
	return sa6, unix.AF_INET6, nil
}

// zoneID returns the index of an interface, 0 if the name is unknown.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	ifi, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(ifi.Index)
}

// portOf returns the port of an address, 0 if it has none.
func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port)
	return n
}

// localAddress is the address at which a connection was accepted, the zero AddrPort if that is not
// an IP address.
func localAddress(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// boundAddress returns address with the port the kernel chose if it was 0.
func boundAddress(fd int, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "0" {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(int(localAddress(fd).Port())))
}

// resetOnClose makes the following close send RST instead of FIN, which shows the peer that the
// stream was cut and not finished.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// connectResult reports whether a connection attempt has succeeded, or why it failed; neither while
// it is under way.
func connectResult(fd int) (connected bool, err error) {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return false, err
	}
	if errno != 0 {
		return false, unix.Errno(errno)
	}
	_, err = unix.Getpeername(fd)
	return err == nil, nil
}

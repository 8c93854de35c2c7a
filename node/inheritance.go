package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend/subscription"
	"reprise/config"
	"reprise/internal/handover"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/stats"
)

// An inheritance is what this process has from the one before: descriptors, whose names say what
// they are, and the state of that process. The zero value is for a process without a predecessor.
type inheritance struct {
	predecessor *handover.Conn // nil if it has ended, or there was none
	sockets     *handover.Set
	estate      *estate       // nil until it is known
	memory      int           // a file in memory with the estate, -1 if there is none yet
	stored      []string      // names of the descriptors that the service manager still keeps
	serving     chan struct{} // closed when this process serves; nil if servers need not wait for it
}

// An estate is the state of a node, beside its sessions.
type estate struct {
	ID          replicate.ID
	Replication *replicate.State `json:",omitempty"` // nil without peers
	// backends, and those whose packets must not count again
	Subscribed []subscription.Known `json:",omitempty"`
	Ended      time.Duration        // since boot, when it was written
}

// Names of descriptors: a word and the address for which it was opened.
const (
	adminSocket        = "admin"
	statsSocket        = "stats"
	udpSocket          = "udp"
	repeaterSocket     = "repeater"
	subscriptionSocket = "subscription"
)

func socketName(kind, address string) string { return kind + " " + address }

// listening returns the sockets for a listener: those of one bound address, one for each
// loop of the predecessor. Listeners that leave their port to the kernel share a name.
func (in *inheritance) listening(network, address string) (fds []int) {
	for _, spelling := range spellings(address) {
		name, bound := socketName(network, spelling), ""
		for {
			fd := in.sockets.Take(name, func(fd int) bool {
				return bound == "" ||
					boundTo(fd) == bound
			})
			if fd < 0 {
				break
			}
			bound = boundTo(fd)
			fds = append(fds, fd)
		}
		if fds != nil {
			break
		}
	}
	return fds
}

// datagrams returns a function that finds the socket of a kind for an address, or -1.
func (in *inheritance) datagrams(kind string) func(netip.AddrPort) int {
	return func(addr netip.AddrPort) int {
		return in.sockets.Take(socketName(kind, addr.String()),
			nil)
	}
}

// packets returns such a socket for package net, nil if there is none.
func (in *inheritance) packets(kind, address string) (*net.UDPConn, error) {
	fd := in.sockets.Take(socketName(kind, address), nil)
	if fd < 0 {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), kind)
	defer f.Close() // the result is a copy
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s %s is not a UDP socket", kind, address)
	}
	return u, nil
}

// start says how a statistics or admin server begins.
func (in *inheritance) start(kind, address string) stats.Start {
	s := stats.Start{Wait: in.serving}
	fd := in.sockets.Take(socketName(kind, address), nil)
	if fd < 0 {
		network := "tcp" // a .socket unit names no more
		if strings.Contains(address, "/") {
			network = "unix"
		}
		if fds := in.listening(network, address); len(fds) > 0 {
			fd = fds[0]
		}
	}
	if fd >= 0 {
		s.Inherited = os.NewFile(uintptr(fd), kind)
	}
	return s
}

// boundTo returns the address of a socket.
func boundTo(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "?"
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		return sa.Name
	}
	return "?"
}

// id is the node's id: that of the predecessor, so that sessions that name it find it.
func (in *inheritance) id() replicate.ID {
	if in.estate != nil {
		return in.estate.ID
	}
	return replicate.NewID()
}

// sockets returns what a successor inherits: copies that the caller closes, and
// descriptors that are the node's own.
func (n *Node) sockets() (files []handover.File, free func()) {
	var copies []int
	free = func() {
		for _, fd := range copies {
			unix.Close(fd)
		}
	}
	for _, s := range n.engine.Sockets() {
		files = append(files, handover.File{Name: socketName(s.Network, s.Address), FD: s.FD})
	}
	if n.poller != nil {
		for _, s := range n.poller.Sockets() {
			files = append(files, handover.File{
				Name: socketName(udpSocket, s.Address.String()),
				FD:   s.FD,
			})
		}
	}
	for _, r := range n.repeaters {
		for _, s := range r.Sockets() {
			files = append(files, handover.File{
				Name: socketName(repeaterSocket, s.Asked.String()),
				FD:   s.FD,
			})
		}
	}
	add := func(kind, address string, fd int, err error) {
		if err == nil {
			copies = append(copies, fd)
			files = append(files, handover.File{Name: socketName(kind, address), FD: fd})
		}
	}
	for _, a := range n.admins {
		fd, err := a.Socket()
		add(adminSocket, a.address, fd, err)
	}
	if n.stats != nil {
		fd, err := n.stats.Socket()
		add(statsSocket, n.config.Stats.String(), fd, err)
	}
	served := 0 // they were opened in this order
	for _, r := range config.Routers {
		if address, ok := n.config.RouterStats[r.String()]; ok {
			fd, err := n.routerStats[served].Socket()
			add(r.String()+"-stats", address.String(), fd, err)
			served++
		}
	}
	if n.subscriptions != nil {
		for i, s := range n.subscriptions.sockets {
			fd, err := copyOf(s)
			add(subscriptionSocket, n.config.Subscriptions.Servers[i].String(), fd, err)
		}
	}
	return files, free
}

// copyOf returns a copy of a socket's descriptor.
func copyOf(s syscall.Conn) (fd int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	if controlErr := raw.Control(func(original uintptr) {
		fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	}); controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// writeEstate writes the node's state and its sessions into a file in memory.
func (n *Node) writeEstate(e *estate) (*os.File, error) {
	f, err := handover.NewMemory("reprise")
	if err != nil {
		return nil, err
	}
	e.Ended = sinceBoot()
	if n.subscriptions != nil {
		e.Subscribed = n.subscriptions.known()
	}
	head, err := json.Marshal(e)
	if err == nil {
		_, err = f.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(head))), head...))
	}
	if err == nil && n.sessions != nil {
		err = n.sessions.Export(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// takeEstate reads the estate, and takes the sessions into m if it is not nil.
func (in *inheritance) takeEstate(m *sessions.Memory) error {
	fd := in.memory
	in.memory = -1
	return handover.UseMemory(fd, func(b []byte) error {
		e, rest, err := readEstate(b)
		if err != nil {
			return err
		}
		in.estate = e
		if m == nil || len(rest) == 0 {
			return nil
		}
		began := time.Now()
		taken, err := m.Import(rest)
		slog.Info("took over sessions", "sessions", taken, "took",
			time.Since(began).Round(time.Millisecond))
		return err
	})
}

func readEstate(b []byte) (e *estate, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	n := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; n < 0 || n > len(b) {
		return nil, nil, io.ErrUnexpectedEOF
	}
	e = new(estate)
	if err := json.Unmarshal(b[:n], e); err != nil {
		return nil, nil, fmt.Errorf("the estate of the process before: %w", err)
	}
	if e.ID == (replicate.ID{}) {
		return nil, nil, errors.New("the estate of the process before names no node")
	}
	return e, b[n:], nil
}

// sinceBoot is a clock that all processes of a machine share.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // 0 is long ago
	return time.Duration(ts.Nano())
}

package stats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen opens a listener of at most maxConns connections on address: host:port,
// :port, [v6]:port, or the path of a unix socket. what names the
// option in errors, which say what an operator can do.
func listen(what, address string, maxConns int, o *Start) (*boundedListener, error) {
	l, err := o.inherited()
	if err != nil {
		return nil, fmt.Errorf("%s: cannot take over %s: %w", what, address, err)
	}
	if l == nil {
		network, config := tcpOf(address), net.ListenConfig{}
		if strings.Contains(address, "/") {
			network = "unix"
			removeStale(address)
			if what == "admin" {
				config.Control = ownersOnly
			}
		}
		if l, err = config.Listen(context.Background(), network, address); err != nil {
			advice, cause := explain(err)
			return nil, fmt.Errorf("%s: cannot listen on %s: %w: %s", what, address, cause, advice)
		}
		if network == "unix" && o.SocketFile != nil {
			if err := o.SocketFile(address); err != nil {
				l.Close()
				return nil, fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	return &boundedListener{
		Listener: l,
		slots:    make(chan struct{}, maxConns),
		closed:   make(chan struct{}),
	}, nil
}

// tcpOf returns the network of an address: that of one family if it names one, so that 0.0.0.0 and
// [::] are two addresses; :PORT is both.
func tcpOf(address string) string {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		return "tcp"
	case at.Addr().Unmap().Is4():
		return "tcp4"
	default:
		return "tcp6"
	}
}

// ownersOnly lets only its owner connect to a unix socket, from the moment it exists: Linux gives
// the file the mode of the descriptor.
func ownersOnly(_, _ string, c syscall.RawConn) (err error) {
	if controlErr := c.Control(func(fd uintptr) {
		err = unix.Fchmod(int(fd),
			0o600)
	}); controlErr != nil {
		return controlErr
	}
	return err
}

// removeStale removes the socket that a killed process left at path, which would be "in use" for
// ever. A socket with a listener stays, and so does any other file.
func removeStale(path string) {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			os.Remove(path) // if that fails, listening fails too, with the reason
		}
	}
}

// explain returns advice, and the part of a listening error that an operator needs.
func explain(err error) (advice string, cause error) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return "write host:port, :port, [v6]:port or the path of a unix socket", err
	}
	switch errno {
	case syscall.EADDRINUSE:
		advice = "choose another address or stop what uses it"
	case syscall.EADDRNOTAVAIL:
		advice = "choose an address of this machine"
	case syscall.EACCES, syscall.EPERM:
		advice = "choose a port above 1023, or a directory that this user may write to"
	case syscall.ENOENT, syscall.ENOTDIR:
		advice = "create the directory first"
	case syscall.EINVAL:
		advice = "choose a shorter path (at most 107 bytes)"
	default:
		advice = "choose another address"
	}
	return advice, errno
}

// Start says how a server of a process that succeeds another begins. The zero value binds
// its address and serves at once.
type Start struct {
	// Inherited is the listening socket of the server before, which this one then owns; nil if
	// there is none.
	Inherited *os.File
	// Wait makes clients wait until it is closed; nil makes none wait.
	Wait <-chan struct{}
	// SocketFile gives the file of a unix socket its owner and mode; nil leaves them.
	SocketFile func(path string) error
}

// inherited returns the inherited listener, nil if there is none.
func (o *Start) inherited() (net.Listener, error) {
	if o.Inherited == nil {
		return nil, nil
	}
	defer o.Inherited.Close() // the listener has a copy
	return net.FileListener(o.Inherited)
}

// await returns when the server may serve, or is closed. From then on it removes the path of a unix
// socket at its end.
func (l *boundedListener) await(o *Start) {
	if o.Wait != nil {
		select {
		case <-o.Wait:
		case <-l.closed:
			return
		}
	}
	if o.Inherited != nil {
		l.ownPath(true)
	}
}

// copyOf returns a copy of a listening socket, for a successor. (File's copy becomes blocking when
// its descriptor is asked for, and the original with it.)
func copyOf(l *boundedListener) (fd int, err error) {
	raw, err := l.Listener.(syscall.Conn).SyscallConn()
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

// ownPath sets whether the path of a unix socket is removed with its listener.
func (l *boundedListener) ownPath(own bool) {
	l.path.Lock()
	defer l.path.Unlock()
	if u, ok := l.Listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(own)
	}
}

// boundedListener accepts no further connection while maxConns are open: clients wait in the
// kernel's backlog, which is bounded itself.
type boundedListener struct {
	net.Listener
	slots  chan struct{} // one element per open connection
	closed chan struct{}
	once   sync.Once
	path   sync.Mutex // guards the owner of a unix socket's path
}

func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite ends the output only; both TCP and unix connections can.
func (c *boundedConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

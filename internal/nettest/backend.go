package nettest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Handler serves one connection to a backend, which is closed when it returns.
type Handler func(net.Conn)

// Backend is a small server for the far side of what is being tested.
type Backend struct {
	Addr string // "127.0.0.1:port" or "/unix/path"

	listener    net.Listener
	handle      Handler
	acceptedLen atomic.Int64
	handlers    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

// Serve runs a backend on a loopback port of its own until the test ends.
func Serve(t T, handle Handler) *Backend {
	t.Helper()
	return ServeAt(t, "127.0.0.1:0", handle)
}

// ServeAt is Serve at a given address, "host:port" or "/unix/path": for a backend that comes back,
// or that starts late.
func ServeAt(t T, addr string, handle Handler) *Backend {
	t.Helper()
	listener, err := net.Listen(network(addr), addr)
	if err != nil {
		t.Fatalf("backend: %v", err)
	}
	b := &Backend{
		Addr: listener.Addr().String(), listener: listener, handle: handle,
		conns: make(map[net.Conn]struct{}),
	}
	b.handlers.Go(b.acceptAll)
	t.Cleanup(b.Close)
	return b
}

// Accepted returns how many connections the backend has accepted so far.
func (b *Backend) Accepted() int64 { return b.acceptedLen.Load() }

// Close stops listening, cuts all connections and waits for their handlers. It
// may be called more than once.
func (b *Backend) Close() {
	b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for conn := range b.conns {
		conn.Close()
	}
	b.mu.Unlock()
	b.handlers.Wait()
}

func (b *Backend) acceptAll() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.acceptedLen.Add(1)
		b.mu.Lock()
		if b.closed {
			conn.Close()
		}
		b.conns[conn] = struct{}{}
		b.mu.Unlock()
		b.handlers.Go(func() {
			b.handle(conn)
			conn.Close()
			b.mu.Lock()
			delete(b.conns, conn)
			b.mu.Unlock()
		})
	}
}

// Echo sends back its input and closes after its client has.
func Echo(conn net.Conn) { _, _ = copyAll(conn, conn) }

// Discard reads all input and closes after its client has.
func Discard(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// Digest reads all input, then answers with its SHA-256 as one line of hexadecimal digits.
func Digest(conn net.Conn) {
	hash := sha256.New()
	if _, err := io.Copy(hash, conn); err == nil {
		fmt.Fprintf(conn, "%x\n", hash.Sum(nil))
	}
}

// Silent neither reads nor writes until the backend is closed.
func Silent(conn net.Conn) {
	if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Read(func(uintptr) (done bool) { return false }) // waits for more for ever
	}
}

// Source returns a handler that sends NewPattern(seed, n) and ends its stream at once, even with
// much of it in flight. Its client's input is read and ignored until the client closes: closing a
// connection with bytes unread would make the kernel throw away those unsent (RFC 2525, Section
// 2.17).
func Source(seed uint64, n int64) Handler {
	return func(conn net.Conn) {
		ignored := make(chan struct{})
		go func() {
			defer close(ignored)
			Discard(conn)
		}()
		if _, err := copyAll(conn, NewPattern(seed, n)); err == nil {
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
			<-ignored
		}
	}
}

// copyAll is io.Copy without splice(2), for which package net keeps pipes: to [LeakCheck] they
// would be leaked descriptors.
func copyAll(dst io.Writer, src io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 64<<10))
}

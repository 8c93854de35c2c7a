package clients

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A relay leads the connections of one client to several servers in turn. The
// client takes them for one server, so that it offers the session it keeps for
// that one: few clients can be told to offer it elsewhere.
type relay struct {
	host, port string // where the client connects
	source     net.IP // the servers see it, and no other client has it; ports would be reused

	mu        sync.Mutex // guards what follows
	targets   []string
	crossings []*crossing
}

// A crossing is one connection through a relay.
type crossing struct {
	target int    // index into the relay's targets
	source string // the address that the server sees

	mu     sync.Mutex // guards what follows
	inLen  int64
	inHead []byte // what the client sent first
}

// maxHead is more than a ClientHello, early data up to any server's bound, and
// another ClientHello.
const maxHead = 64 << 10

var relayLen atomic.Uint32 // how many there have been

// startRelay runs a relay to targets until the test ends.
func startRelay(t *testing.T, targets ...string) *relay {
	t.Helper()
	n := relayLen.Add(1)
	r := &relay{targets: targets, source: net.IPv4(127, 1, byte(n>>8), byte(n))}
	var err error
	if r.host, r.port, err = net.SplitHostPort(nettest.Serve(t, r.serve).Addr); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *relay) addr() string { return net.JoinHostPort(r.host, r.port) }

// serve takes one connection to the server whose turn it is.
func (r *relay) serve(client net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	target := len(r.crossings) % len(r.targets)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: r.source}, Timeout: harness.Patience}
	server, err := dialer.Dial("tcp", r.targets[target])
	if err != nil {
		return
	}
	c := &crossing{target: target, source: server.LocalAddr().String()}
	r.crossings = append(r.crossings, c)
	r.mu.Unlock()
	defer r.mu.Lock() // for the deferred Unlock

	var ways sync.WaitGroup
	ways.Go(func() { pass(server, io.TeeReader(client, c)) })
	ways.Go(func() { pass(client, server) })
	ways.Wait()
	server.Close()
}

// pass copies one way of a connection, and its end.
func pass(dst net.Conn, src io.Reader) {
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src},
		make([]byte, 16<<10)); err != nil {
		dst.Close() // the other direction has lost one end
		return
	}
	_ = dst.(*net.TCPConn).CloseWrite()
}

// all returns the connections so far that a client has sent something on.
func (r *relay) all() (used []*crossing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.crossings {
		if len(c.head()) > 0 {
			used = append(used, c)
		}
	}
	return used
}

// Write notes what the client sends.
func (c *crossing) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inLen += int64(len(p))
	c.inHead = append(c.inHead, p[:min(len(p), maxHead-len(c.inHead))]...)
	return len(p), nil
}

func (c *crossing) head() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inHead
}

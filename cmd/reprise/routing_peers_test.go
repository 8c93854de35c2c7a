package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// rawTo is the option for a backend of the raw router.
func rawTo(addr string) string { return "--rawrouter-to=" + addr }

const rawListen = "--rawrouter=127.0.0.1:0"

// oneLoop makes the kernel's choice of a loop no part of a test.
const oneLoop = "--http-processes=1"

// startRawRouter runs the program in front of addrs, which get connections in turn.
func startRawRouter(t *testing.T, addrs []string, args ...string) *server {
	t.Helper()
	args = append(args, rawListen, oneLoop)
	for _, addr := range addrs {
		args = append(args, rawTo(addr))
	}
	return start(t, args...)
}

// A dialer is how a client connects.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// from connects from another loopback address, by which an application can tell
// the client from the proxies between.
func from(source string) dialer {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}).DialContext
}

// dialFrom connects to addr until the test ends.
func dialFrom(t *testing.T, source, addr string) net.Conn {
	t.Helper()
	conn, err := from(source)(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialing returns a transport option that connects so, each time anew.
func dialing(dial dialer) func(*http.Transport) {
	return func(tr *http.Transport) { tr.DialContext, tr.DisableKeepAlives = dial, true }
}

// runHTTPS runs node i of a fleet as an HTTPS router in front of an http backend.
func (f *fleet) runHTTPS(i int, backend string, more ...string) {
	f.t.Helper()
	var args []string
	for _, arg := range f.args(i) {
		switch {
		case strings.HasPrefix(arg, "--sslrouter-to="):
			arg = httpTo(backend)
		case strings.HasPrefix(arg, "--sslrouter2="):
			arg = strings.Replace(arg, "--sslrouter2=", "--https2=", 1)
		case strings.HasPrefix(arg, "--sslrouter-session-context="):
			arg = strings.Replace(arg, "--sslrouter", "--https", 1)
		}
		args = append(args, arg)
	}
	f.nodes[i] = start(f.t, append(args, more...)...)
}

// serveName runs a page that is its own address.
func serveName(t *testing.T) (addr string) {
	t.Helper()
	return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	})
}

// sayName is the same for a raw connection: it tells its address and waits for the
// client to end.
func sayName(conn net.Conn) {
	io.WriteString(conn, conn.LocalAddr().String()+"\n")
	nettest.Discard(conn)
}

// farEnds is a backend whose connections are in the hands of the test.
func farEnds(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			t.Cleanup(func() { conn.Close() })
			accepted <- conn
		}
	}()
	return l.Addr().String(), accepted
}

// row is what the statistics tell of a backend.
func (s *server) row(addr string) backendRow {
	s.t.Helper()
	for _, row := range s.document().Backends.Nodes {
		if strings.HasSuffix(row.Name, addr) {
			return row
		}
	}
	s.t.Fatalf("no backend %s", addr)
	return backendRow{}
}

// awaitState waits until a backend is in a state.
func (s *server) awaitState(addr, state string) {
	s.t.Helper()
	nettest.Eventually(s.t, patience, func() bool { return s.row(addr).State == state }, "backend %s is %s", addr, state)
}

// A prefacedConn sends something before its first bytes, in one stream with them
// that is cut into pieces of the given lengths.
type prefacedConn struct {
	net.Conn
	preface []byte
	lengths []int // none: one segment
}

func (c *prefacedConn) Write(p []byte) (int, error) {
	if c.preface == nil {
		return c.Conn.Write(p)
	}
	stream := bytes.Join([][]byte{c.preface, p}, nil)
	c.preface = nil
	if len(c.lengths) == 0 {
		c.lengths = []int{len(stream)}
	}
	return len(p), dribble(c.Conn, string(stream), c.lengths...)
}

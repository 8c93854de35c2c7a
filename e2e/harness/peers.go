package harness

import (
	"bufio"
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

// SayText is a raw backend that sends a text.
func SayText(name string) nettest.Handler {
	return func(conn net.Conn) {
		io.WriteString(conn, name+"\n")
		nettest.Discard(conn)
	}
}

// FirstLine reads the first line of a backend.
func FirstLine(conn net.Conn) string {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// RawTo is the option for a backend of the raw router.
func RawTo(addr string) string { return "--rawrouter-to=" + addr }

// RawListen is the option for a raw listener on a port that the kernel chooses.
const RawListen = "--rawrouter=127.0.0.1:0"

// OneLoop excludes the kernel's choice of a loop from a test.
const OneLoop = "--http-processes=1"

// StartRawRouter runs the program in front of addrs, which get connections in turn.
func StartRawRouter(t *testing.T, addrs []string, args ...string) *Server {
	t.Helper()
	args = append(args, RawListen, OneLoop)
	for _, addr := range addrs {
		args = append(args, RawTo(addr))
	}
	return Start(t, args...)
}

// A Dialer is how a client connects.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// From connects from another loopback address, which distinguishes the client from the proxies
// between.
func From(source string) Dialer {
	return (&net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)},
		Timeout:   Patience,
	}).DialContext
}

// DialFrom connects to addr until the test ends.
func DialFrom(t *testing.T, source, addr string) net.Conn {
	t.Helper()
	conn, err := From(source)(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(Patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Dialing returns a transport option that connects so, each time anew.
func Dialing(dial Dialer) func(*http.Transport) {
	return func(tr *http.Transport) { tr.DialContext, tr.DisableKeepAlives = dial, true }
}

// RunHTTPS runs node i of a fleet as an HTTPS router in front of an http backend.
func (f *Fleet) RunHTTPS(i int, backend string, more ...string) {
	f.T.Helper()
	var args []string
	for _, arg := range f.Args(i) {
		switch {
		case strings.HasPrefix(arg, "--sslrouter-to="):
			arg = HTTPTo(backend)
		case strings.HasPrefix(arg, "--sslrouter2="):
			arg = strings.Replace(arg, "--sslrouter2=", "--https2=", 1)
		case strings.HasPrefix(arg, "--sslrouter-session-context="):
			arg = strings.Replace(arg, "--sslrouter", "--https", 1)
		}
		args = append(args, arg)
	}
	f.Nodes[i] = Start(f.T, append(args, more...)...)
}

// ServeName runs a page that is its own address.
func ServeName(t *testing.T) (addr string) {
	t.Helper()
	return ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	})
}

// SayName is the same for a raw connection: it tells its address and waits for the
// client to end.
func SayName(conn net.Conn) {
	io.WriteString(conn, conn.LocalAddr().String()+"\n")
	nettest.Discard(conn)
}

// FarEnds is a backend whose connections the test controls.
func FarEnds(t *testing.T) (addr string, conns <-chan net.Conn) {
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
			conn.SetDeadline(time.Now().Add(Patience))
			t.Cleanup(func() { conn.Close() })
			accepted <- conn
		}
	}()
	return l.Addr().String(), accepted
}

// Row is a backend's row in the statistics.
func (s *Server) Row(addr string) BackendRow {
	s.T.Helper()
	for _, row := range s.Document().Backends.Nodes {
		if strings.HasSuffix(row.Name, addr) {
			return row
		}
	}
	s.T.Fatalf("no backend %s", addr)
	return BackendRow{}
}

// AwaitState waits until a backend is in a state.
func (s *Server) AwaitState(addr, state string) {
	s.T.Helper()
	nettest.Eventually(s.T, Patience, func() bool { return s.Row(addr).State == state },
		"backend %s is %s", addr, state)
}

// A PrefacedConn sends something before its first bytes, in one stream with them
// that is cut into pieces of the given lengths.
type PrefacedConn struct {
	net.Conn
	Preface []byte
	Lengths []int // none: one segment
}

// Write implements net.Conn.
func (c *PrefacedConn) Write(p []byte) (int, error) {
	if c.Preface == nil {
		return c.Conn.Write(p)
	}
	stream := bytes.Join([][]byte{c.Preface, p}, nil)
	c.Preface = nil
	if len(c.Lengths) == 0 {
		c.Lengths = []int{len(stream)}
	}
	return len(p), Dribble(c.Conn, string(stream), c.Lengths...)
}

package engine

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/reactor"
)

// A stepped is an engine of one loop whose rounds a test makes, and a backend that sends what the
// test writes.
type stepped struct {
	t        *testing.T
	loop     *loop
	addr     string
	backends chan net.Conn
}

func newStepped(t *testing.T) *stepped {
	t.Helper()
	s := &stepped{t: t, backends: make(chan net.Conn, 16)}
	addr := nettest.Serve(t, func(c net.Conn) {
		s.backends <- c
		<-t.Context().Done()
	}).Addr
	e, err := New(oneLoop(), []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", IdleTimeout: time.Minute, HTTP: httpOptions(), Pools: newRouter(t,
			backend.HTTP, addr),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s.loop, s.addr = e.loops[0], e.Addresses()[0]
	return s
}

func (s *stepped) round() {
	s.t.Helper()
	if _, err := s.loop.reactor.Round(false); err != nil {
		s.t.Fatal(err)
	}
}

// read runs rounds until c has received output with the wanted end.
func (s *stepped) read(c net.Conn, end string) string {
	s.t.Helper()
	var got []byte
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		s.round()
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		n, err := c.Read(buf)
		if got = append(got, buf[:n]...); strings.HasSuffix(string(got), end) {
			return string(got)
		}
		if err != nil && !os.IsTimeout(err) {
			s.t.Fatalf("got %q, then %v", got, err)
		}
	}
	s.t.Fatalf("got %q, want it to end in %q", got, end)
	return ""
}

func (s *stepped) backend() net.Conn {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		s.round()
		select {
		case c := <-s.backends:
			return c
		case <-time.After(time.Millisecond):
		}
	}
	s.t.Fatal("no connection to the backend")
	return nil
}

func (s *stepped) ask(c net.Conn, method string) {
	s.t.Helper()
	if _, err := fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", method); err != nil {
		s.t.Fatal(err)
	}
}

func answerOf(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text); err != nil {
		t.Fatal(err)
	}
}

// parked returns two clients, one of which has made a request, and that request's backend
// connection, which waits for another.
func (s *stepped) parked() (first, second, conn net.Conn) {
	s.t.Helper()
	first, second = dialPlain(s.t, s.addr), dialPlain(s.t, s.addr)
	s.ask(first, "GET")
	conn = s.backend()
	s.read(conn, "\r\n\r\n")
	answerOf(s.t, conn, "first")
	s.read(first, "first")
	for s.loop.count.Flows.Accepted.Load() < 2 {
		s.round()
	}
	s.round() // which looks at the connection that waits
	return first, second, conn
}

// Unsolicited data of a backend answer no client, even if a request comes first in the same round:
// waiting connections get the round's events before it.
func TestUnsolicitedAnswerIsNotUsed(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			s := newStepped(t)
			_, second, conn := s.parked()
			s.ask(second, method)
			answerOf(t, conn, "unasked")
			next := s.backend()
			s.read(next, "\r\n\r\n")
			answerOf(t, next, "asked")
			if got := s.read(second, "sked"); !strings.HasSuffix(got, "\r\n\r\nasked") {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A backend may end a connection between the check and the request. A request that cannot be
// repeated is not sent there, another is repeated.
func TestBackendEndsAfterTheCheck(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			s := newStepped(t)
			_, second, conn := s.parked()
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[1])
			ender := &ender{fd: fds[0], conn: conn}
			if err := s.loop.reactor.WatchInput(fds[0], ender); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(fds[1], []byte("x")); err != nil {
				t.Fatal(err)
			}
			s.ask(second, method)
			next := s.backend()
			s.read(next, "\r\n\r\n")
			answerOf(t, next, "asked")
			s.read(second, "\r\n\r\nasked")
			if retried := s.loop.count.HTTP.Retried.Load(); method == "POST" && retried != 0 {
				t.Errorf("a POST was sent %d times more", retried)
			}
		})
	}
}

// An ender closes a backend's connection when it has an event.
type ender struct {
	fd   int
	conn net.Conn
}

func (e *ender) OnEvent(int, reactor.Events) { e.conn.Close() }
func (e *ender) OnTimer()                    {}
func (e *ender) close(cause)                 { unix.Close(e.fd) }

// A request takes a connection that the round has checked before one that was parked since.
func TestReuseTakesWhatWasSeen(t *testing.T) {
	s := newStepped(t)
	clients := []net.Conn{dialPlain(t, s.addr), dialPlain(t, s.addr), dialPlain(t, s.addr)}
	var conns []net.Conn
	for _, c := range clients[:2] {
		s.ask(c, "GET")
		conns = append(conns, s.backend())
		s.read(conns[len(conns)-1], "\r\n\r\n")
	}
	answerOf(t, conns[0], "first")
	s.read(clients[0], "first")
	s.round()
	// The second connection is parked, and a request comes, in one round.
	answerOf(t, conns[1], "second")
	s.ask(clients[2], "GET")
	s.read(conns[0], "\r\n\r\n")
	answerOf(t, conns[0], "third")
	s.read(clients[2], "third")
	s.read(clients[1], "second")
	list := s.loop.idle[s.node()]
	if list.len != 2 {
		t.Fatalf("%d connections wait, want 2", list.len)
	}
}

func (s *stepped) node() *backend.Node {
	for n := range s.loop.idle {
		return n
	}
	s.t.Fatal("no backend has a connection that waits")
	return nil
}

package engine

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A backend that cannot be connected to is passed over, and the client does not notice.
func TestNextBackendServes(t *testing.T) {
	refusing := nettest.FreeAddr(t) // nothing listens there
	for _, test := range []struct{ name, first string }{
		{"one that refuses", refusing},
		{"one that does not answer", silentListener(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 4 { // whichever the pool picks first
				pool := brisk(t, backend.TCP, 0, test.first, nettest.Serve(t, nettest.Echo).Addr)
				_, addr := startListener(t, testOptions(), Listener{Pools: routerOf(t, pool)}, false)
				echoes(t, dialPlain(t, addr), "hello\n")
			}
		})
	}
}

// Where no backend can be had, a request is told so and a relayed connection ends.
func TestNoBackendServes(t *testing.T) {
	busy := nettest.Serve(t, nettest.Silent)
	for _, test := range []struct {
		name     string
		addr     string
		maxConns int
	}{
		{"it refuses", nettest.FreeAddr(t), 0},
		{"it does not answer", silentListener(t), 0},
		{"it has all the connections it may have", busy.Addr, 1},
	} {
		t.Run(test.name+", requests", func(t *testing.T) {
			pool := brisk(t, backend.HTTP, test.maxConns, test.addr)
			ln := Listener{HTTP: httpOptions(), Pools: routerOf(t, pool)}
			_, addr := startListener(t, testOptions(), ln, false)
			if test.maxConns > 0 {
				occupy(t, addr, busy)
			}
			resp, err := http.Get("http://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("got %s, want 503", resp.Status)
			}
		})
		t.Run(test.name+", bytes", func(t *testing.T) {
			pool := brisk(t, backend.TCP, test.maxConns, test.addr)
			e, addr := startListener(t, testOptions(), Listener{Pools: routerOf(t, pool)}, false)
			if test.maxConns > 0 {
				occupy(t, addr, busy)
			}
			if c, err := net.Dial("tcp", addr); err == nil { // it may have ended already
				if got, _ := io.ReadAll(c); len(got) != 0 {
					t.Errorf("got %q, want the end", got)
				}
				c.Close()
			}
			if e.Stats().Flows.Closed.Load(causeNoBackend) != 1 {
				t.Errorf("closed %v, want one no_backend", e.Stats().Flows.Closed.Counts())
			}
		})
	}
}

// brisk is a pool that gives a connection up soon. maxConns is that of each node.
func brisk(t *testing.T, protocol backend.Protocol, maxConns int, addrs ...string) *backend.Pool {
	t.Helper()
	var specs []backend.Spec
	for _, addr := range addrs {
		specs = append(specs, backend.Spec{
			Name: addr, Network: "tcp", Address: addr, Protocol: protocol, Weight: 1, MaxConns: maxConns,
		})
	}
	o := poolOptions()
	o.ConnectTimeout = 100 * time.Millisecond
	pool, err := backend.NewPool(specs, o)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// occupy makes the backend's one connection busy with a request that it does not answer.
func occupy(t *testing.T, addr string, b *nettest.Backend) {
	t.Helper()
	before := b.Accepted()
	_, _ = io.WriteString(dialPlain(t, addr), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	connected := func() bool { return b.Accepted() > before }
	nettest.Eventually(t, 10*time.Second, connected, "not connected")
}

// silentListener returns the address of a socket whose queue is full, so that the kernel drops
// what else wants to connect.
func silentListener(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*unix.SockaddrInet4).Port))
	dialPlain(t, addr) // the only one that the queue has room for
	return addr
}

// A connection that a backend has closed meanwhile does not count as a failed try.
func TestRetryNeedsNoOtherBackend(t *testing.T) {
	addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
		if n == 1 {
			c.Close()
			return
		}
		_, _ = io.WriteString(c, okAnswer)
	})
	e, err := New(testOptions(), []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr),
		IdleTimeout: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	c := dialRaw(t, e.Addresses()[0])
	_, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2))
	if got := fmt.Sprint(statuses(t, c, 2)); got != "[200 ok 200 ok]" {
		t.Errorf("got %s", got)
	}
}

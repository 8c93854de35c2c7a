package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

// subscribed makes a pool whose members change.
func subscribed(t *testing.T, addrs ...string) *backend.Pool {
	t.Helper()
	o := poolOptions()
	o.Changing = true
	pool, err := backend.NewPool(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if _, err := pool.Add(backend.Spec{
			Network: "tcp", Address: addr, Protocol: backend.HTTP,
			MaxConns: 1,
		}); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

// statusFor asks for a host and returns the status.
func statusFor(t *testing.T, conn net.Conn, r *bufio.Reader, host string) int {
	t.Helper()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// TestPoolsComeAndGo: pools and members appear and vanish while loops run. Clients that wait at a
// vanishing one get an answer, and loops keep nothing of it.
func TestPoolsComeAndGo(t *testing.T) {
	silent := nettest.Serve(t, nettest.Silent).Addr
	page := nettest.Serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}).Addr
	router := newRouter(t, backend.HTTP, page)
	e, addr := startListener(t, oneLoop(), Listener{HTTP: httpOptions(), Pools: router}, false)
	conn, r := dialReader(t, addr)
	if got := statusFor(t, conn, r, "a.example"); got != 200 {
		t.Fatalf("the default: got %d", got)
	}

	gone := subscribed(t, silent)
	router.SetSubscribed(map[string]*backend.Pool{"a.example": gone})
	held, _ := dialReader(t, addr)
	io.WriteString(held, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	nettest.Eventually(t, time.Minute, func() bool { return gone.Stats().Nodes[0].Active == 1 }, "one is served")
	waiting, waitingReader := dialReader(t, addr)
	io.WriteString(waiting, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	nettest.Eventually(t, time.Minute, func() bool { return gone.Stats().Queued == 1 }, "one waits")
	router.SetSubscribed(nil)
	gone.Close()
	if resp, err := http.ReadResponse(waitingReader, nil); err != nil || resp.StatusCode != 503 {
		t.Errorf("a waiting client: got %+v, %v, want 503", resp, err)
	}
	if got := statusFor(t, conn, r, "a.example"); got != 200 {
		t.Errorf("afterwards: got %d from the default, want 200", got)
	}
	held.Close()

	for i := range 20 { // each with a node of its own, whose connection is kept
		pool := subscribed(t, page)
		router.SetSubscribed(map[string]*backend.Pool{"a.example": pool})
		if got := statusFor(t, conn, r, "a.example"); got != 200 {
			t.Errorf("pool %d: got %d, want 200", i, got)
		}
		router.SetSubscribed(nil)
		pool.Close()
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	l := e.loops[0]
	// the default's, the last one's, and one still waited at when it was looked at
	if n := len(l.routes); n > 3 {
		t.Errorf("the loop keeps routes to %d pools", n)
	}
	if n := len(l.idle); n > 3 {
		t.Errorf("the loop keeps connections to %d nodes", n)
	}
}

// dialReader connects for a test.
func dialReader(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn, bufio.NewReader(conn)
}

package engine

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"reprise/backend"
	"reprise/internal/nettest"
)

// answer sends a request on a connection and reads the answer.
func answer(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// wantEnd reads the end of a connection.
func wantEnd(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("%s: got %q, %v, want an end", what, rest, err)
	}
}

// TestLeave holds that an engine about to end serves new clients, and asks all to go.
func TestLeave(t *testing.T) {
	e, addr, _ := startRouter(t, httpOptions(), describe)
	used := dial(t, addr)
	if answer(t, used).Close {
		t.Error("a connection ends before")
	}
	unused := dial(t, addr)
	e.Leave()
	nettest.Eventually(t, 10*time.Second, func() bool { return answer(t, dial(t, addr)).Close }, "it leaves")
	for what, c := range map[string]net.Conn{"used before": used, "unused": unused, "new": dial(t, addr)} {
		if resp := answer(t, c); resp.StatusCode != 200 || !resp.Close {
			t.Errorf("%s: got %s, close %v, want 200 and that it closes", what, resp.Status, resp.Close)
		}
		wantEnd(t, c, what)
	}
}

// TestDrainUnused holds that a drain leaves time for the first request of a connection.
func TestDrainUnused(t *testing.T) {
	t.Parallel() // it waits
	e, addr, _ := startRouter(t, httpOptions(), describe)
	used, unused, never := dial(t, addr), dial(t, addr), dial(t, addr)
	answer(t, used)
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	wantEnd(t, used, "used before")
	if resp := answer(t, unused); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("unused: got %s, close %v, want 200 and that it closes", resp.Status, resp.Close)
	}
	wantEnd(t, unused, "unused")
	wantEnd(t, never, "never used")
	for _, c := range []net.Conn{used, unused, never} {
		c.Close()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestHTTP2Leave is the same for connections of HTTP/2.
func TestHTTP2Leave(t *testing.T) {
	e, addr, _ := startHTTP2(t, httpOptions(), describe)
	used, unused := dialH2(t, addr), dialH2(t, addr)
	used.get(1, "/")
	used.answered(1)
	e.Leave()
	used.until("GOAWAY", isGoAway)
	late := dialH2(t, addr)
	for what, h := range map[string]*h2{"unused": unused, "new": late} {
		h.get(1, "/")
		f, _ := h.until("GOAWAY", isGoAway)
		if last := f.(*http2.GoAwayFrame).LastStreamID; last != 1<<31-1 {
			t.Errorf("%s: the first GOAWAY names stream %d", what, last)
		}
		if _, _ = h.until("end", ends(1)); t.Failed() {
			t.Error(what)
		}
	}
}

// TestHTTP2DrainUnused holds that a drain refuses no first request, and waits for none long.
func TestHTTP2DrainUnused(t *testing.T) {
	t.Parallel() // it waits
	e, addr, _ := startHTTP2(t, httpOptions(), describe)
	used, unused, never := dialH2(t, addr), dialH2(t, addr), dialH2(t, addr)
	used.get(1, "/")
	used.answered(1)
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	used.until("GOAWAY", isGoAway)
	unused.get(1, "/")
	if status, _ := unused.answered(1); status != "200" {
		t.Errorf("unused: got %s, want 200", status)
	}
	never.until("GOAWAY", isGoAway)
	for _, h := range []*h2{used, unused, never} {
		h.conn.Close()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A drain that begins during a response ends with it.
func TestDrainDuringResponse(t *testing.T) {
	gate := make(chan bool)
	addr := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		<-gate
		_, _ = io.WriteString(c, "k")
	})
	e, router := startListener(t, oneLoop(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, false)
	c := dialRaw(t, router)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(ctx) }()
	nettest.Eventually(t, 10*time.Second, func() bool {
		probe, err := net.Dial("tcp", router)
		if err == nil {
			probe.Close()
		}
		return err != nil
	}, "it goes on accepting")
	close(gate)
	rest, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(rest), "\r\n\r\nok") {
		t.Errorf("got %q, %v", rest, err)
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

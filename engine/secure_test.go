package engine

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/tlsclient"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A begunConn is a connection of which the first bytes have been read.
type begunConn struct {
	net.Conn
	io.Reader
}

func (c *begunConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// TestHandshakesWithBackendsAreBounded: no more are under way than there are places, waiting ones
// get theirs one after another, and no request fails because of that.
func TestHandshakesWithBackendsAreBounded(t *testing.T) {
	const places, clients = 2, 7
	var under, most atomic.Int64
	goOn := make(chan struct{})
	pki := testpki.New(t)
	config := &tls.Config{Certificates: []tls.Certificate{pki.Server(testpki.ECDSA, "backend.test").TLS}}
	addr := nettest.Serve(t, func(conn net.Conn) {
		defer conn.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err != nil {
			return
		}
		for n := under.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		<-goOn
		under.Add(-1)
		c := tls.Server(&begunConn{conn, io.MultiReader(bytes.NewReader(first), conn)}, config)
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = io.WriteString(c, okAnswer)
		}
	}).Addr

	e, pool := startSecuring(t, addr, pki, places)

	answers := make(chan string, clients)
	for range clients {
		go func() {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
			response, err := client.Get("http://" + e.Addresses()[0])
			if err != nil {
				answers <- err.Error()
				return
			}
			response.Body.Close()
			answers <- response.Status
		}()
	}
	nettest.Eventually(t, time.Minute, func() bool { return pool.Stats().Nodes[0].Active == clients },
		"all have a connection, or will")
	for left := int64(clients); left > 0; left-- {
		nettest.Eventually(t, time.Minute, func() bool { return under.Load() == min(left, places) }, "%d of %d are under way",
			places, left)
		goOn <- struct{}{}
		if got := <-answers; got != "200 OK" {
			t.Errorf("got %s", got)
		}
	}
	if most.Load() != places {
		t.Errorf("%d handshakes were under way at a time, want %d", most.Load(), places)
	}
	if s := pool.Stats().Nodes[0]; s.Failures != 0 {
		t.Errorf("%d connections failed", s.Failures)
	}
}

// startSecuring runs a loop before a backend by TLS, with so many places for handshakes with
// it.
func startSecuring(t *testing.T, addr string, pki *testpki.PKI, places int) (*Engine,
	*backend.Pool,
) {
	o := poolOptions()
	o.ConnectTimeout = time.Minute
	o.TLS = &tlsclient.Policy{Name: "backend.test", Roots: pki.CA.Pool()}
	pool, err := backend.NewPool([]backend.Spec{{
		Name: addr, Network: "tcp", Address: addr,
		Protocol: backend.HTTP, Weight: 1, TLS: true,
	}}, o)
	if err != nil {
		t.Fatal(err)
	}
	options := oneLoop()
	e, err := New(options, []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", HTTP: httpOptions(), IdleTimeout: time.Minute, Pools: routerOf(t, pool),
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.loops[0].maxSecuring = places
	e.Start()
	t.Cleanup(func() { e.Close() })
	return e, pool
}

// TestPlacesOfHandshakes: a free place goes to the handshake that waits longest, not to a new one,
// and on to the next if that one ends before its turn; ended ones leave no trace.
func TestPlacesOfHandshakes(t *testing.T) {
	l := &loop{maxSecuring: 1}
	wait := func() *secured {
		s := &secured{flow: &flow{loop: l, phase: serving, link: securing}}
		l.placeHandshake(s)
		return s
	}
	first, second, third := wait(), wait(), wait()
	if !first.placed || !second.waiting || !third.waiting {
		t.Fatal("the first alone has a place")
	}
	l.handshakeOver(first)
	late := wait()
	if !second.placed || second.waiting || !late.waiting {
		t.Error("the place was not the second's")
	}
	l.handshakeOver(second) // before it has begun
	if !third.placed || late.placed {
		t.Error("the place was not the third's")
	}
	l.handshakeOver(late)
	for range 1000 {
		l.handshakeOver(wait())
	}
	if n := l.toSecure.len(); n > 100 {
		t.Errorf("%d are kept that have ended", n)
	}
	l.handshakeOver(third)
	if l.securing != 0 || l.securingLater != 0 {
		t.Errorf("%d have places, %d wait", l.securing, l.securingLater)
	}
	if s := wait(); !s.placed {
		t.Error("a free place is not given")
	}
}

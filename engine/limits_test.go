package engine

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A backend that does not read a request is to blame for the time it takes.
func TestBackendDoesNotRead(t *testing.T) {
	silent := nettest.Serve(t, nettest.Silent)
	_, router := startListener(t, testOptions(), Listener{
		HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, silent.Addr),
		IdleTimeout: 2 * time.Second, // a client that has no core for so long would get a 408
	}, false)
	c := dialRaw(t, router)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	go func() { _, _ = c.Write(make([]byte, 100000000)) }()
	if got := statuses(t, c, 1); got[0] != "504 Gateway Timeout" {
		t.Errorf("got %s", got)
	}
}

// A connection without a handshake does not count as one.
func TestPlainConnectionEvictsNoHandshake(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	pki := testpki.New(t)
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pki.Server(testpki.ECDSA,
		"localhost").TLS}})
	if err != nil {
		t.Fatal(err)
	}
	o := oneLoop()
	o.MaxHandshakes = 1
	plain := Listener{
		Network: "tcp", Address: "127.0.0.1:0", Pools: newRouter(t, backend.TCP, echo.Addr),
		IdleTimeout: time.Minute,
	}
	secure := plain
	secure.TLS = func(now func() time.Time) (tlsconn.Server, error) {
		return tlsconn.New(tlsconn.Config{Certificates: certs, Now: now})
	}
	e, err := New(o, []Listener{plain, secure})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	dialRaw(t, e.Addresses()[1])
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 1 }, "not accepted")
	c := dialRaw(t, e.Addresses()[0])
	_, _ = io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Flows.Closed.Counts()["handshake_evicted"]; n != 0 {
		t.Errorf("%d handshakes evicted", n)
	}
}

// A redirect that fails for want of a Host is counted as an error.
func TestRedirectWithoutHost(t *testing.T) {
	o := httpOptions()
	o.RedirectPort = 443
	e, addr := startListener(t, testOptions(), Listener{HTTP: o}, false)
	c := dialRaw(t, addr)
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if got := statuses(t, c, 1); got[0] != "400 Bad Request" {
		t.Errorf("got %s", got)
	}
	if r := e.Stats().HTTP.Responses.Counts(); r["4xx"] != 1 || r["3xx"] != 0 {
		t.Errorf("counted as %v", r)
	}
}

// A backend that keeps sending after its client is gone is not read for ever.
func TestSendingToALostClientEnds(t *testing.T) {
	source := nettest.Serve(t, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	o := testOptions()
	o.LingerTimeout = 200 * time.Millisecond
	e, addr := startListener(t, o, Listener{
		Pools:       newRouter(t, backend.TCP, source.Addr),
		IdleTimeout: time.Second,
	}, false)
	c := dialRaw(t, addr)
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 0 }, "the flow goes on")
}

// A request that waits for a place at a backend gets it before later ones.
func TestWaitingRequestsAreServedInOrder(t *testing.T) {
	gate, order := make(chan bool), make(chan string, 100)
	addr := rawBackend(t, func(n int, c net.Conn, r *http.Request) {
		if n == 0 {
			<-gate
		}
		order <- r.URL.Path
		_, _ = io.WriteString(c, okAnswer)
	})
	pool, err := backend.NewPool([]backend.Spec{{
		Network: "tcp", Address: addr, Protocol: backend.HTTP,
		MaxConns: 1,
	}}, backend.Options{QueueLen: 10, Retries: 3, ConnectTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	e, router := startListener(t, oneLoop(), Listener{HTTP: httpOptions(), Pools: routerOf(t, pool)},
		false)
	const busy, patient = "GET /busy HTTP/1.1\r\nHost: a\r\n\r\n", "GET /patient HTTP/1.1\r\nHost: a\r\n\r\n"
	a, b := dialRaw(t, router), dialRaw(t, router)
	_, _ = io.WriteString(a, strings.Repeat(busy, 20))
	nettest.Eventually(t, 10*time.Second,
		func() bool { return e.Stats().Flows.PlainInBytes.Load() == 20*uint64(len(busy)) }, "no requests")
	_, _ = io.WriteString(b, patient)
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().HTTP.Requests.Load() == 2 }, "no third request")
	close(gate)
	statuses(t, a, 20)
	if got := statuses(t, b, 1); got[0] != "200 ok" {
		t.Errorf("got %s", got)
	}
	if first, second := <-order, <-order; first != "/busy" || second != "/patient" {
		t.Errorf("served %s, %s first", first, second)
	}
}

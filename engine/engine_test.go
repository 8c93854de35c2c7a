package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/internal/tuning"
	"reprise/tlsconn"
)

// testOptions are small, so that limits and watermarks are reached.
func testOptions() Options {
	return Options{Engine: tuning.Engine{
		Loops: 2, HighWatermark: 64 << 10,
		Backlog: 1024, MaxConnections: 1000, MaxHandshakes: 100,
		HandshakeTimeout: 10 * time.Second, LookupTimeout: 5 * time.Millisecond,
		LingerTimeout: 5 * time.Second,
	}, ReadSize: 64 << 10, TurnBudget: 128 << 10, AcceptBudget: 4}
}

// startEngine serves TLS in front of TCP backends, and ends with the test.
func startEngine(t *testing.T, o Options, backends ...string) (*Engine, string) {
	t.Helper()
	return startListener(t, o, Listener{Pools: newRouter(t, backend.TCP, backends...)}, true)
}

func newPool(t *testing.T, protocol backend.Protocol, addrs ...string) *backend.Pool {
	t.Helper()
	var specs []backend.Spec
	for _, addr := range addrs {
		specs = append(specs, backend.Spec{
			Name: addr, Network: "tcp", Address: addr, Protocol: protocol,
			Weight: 1,
		})
	}
	pool, err := backend.NewPool(specs, poolOptions())
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func poolOptions() backend.Options {
	return backend.Options{
		Grace: time.Second, QueueLen: 100, Retries: 3,
		ConnectTimeout: 5 * time.Second,
	}
}

// routerOf makes a router with one pool.
func routerOf(t *testing.T, pool *backend.Pool) *backend.Router {
	t.Helper()
	r, err := backend.NewRouter(pool)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proxyRouter makes one whose backends get PROXY headers.
func proxyRouter(t *testing.T, version int, protocol backend.Protocol,
	addr string,
) *backend.Router {
	t.Helper()
	o := poolOptions()
	o.SendProxy = version
	pool, err := backend.NewPool([]backend.Spec{{Network: "tcp", Address: addr, Protocol: protocol}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return routerOf(t, pool)
}

func newRouter(t *testing.T, protocol backend.Protocol, addrs ...string) *backend.Router {
	t.Helper()
	return routerOf(t, newPool(t, protocol, addrs...))
}

// startListener completes ln, with TLS or without, and serves until the test ends.
func startListener(t *testing.T, o Options, ln Listener, secure bool) (*Engine, string) {
	t.Helper()
	ln.Network, ln.Address = "tcp", "127.0.0.1:0"
	if ln.IdleTimeout == 0 {
		ln.IdleTimeout = time.Minute
	}
	if secure {
		certs, err := tlsconn.NewCertificates(
			[]tlsconn.Certificate{{TLS: testpki.New(t).Server(testpki.ECDSA, "localhost").TLS}})
		if err != nil {
			t.Fatal(err)
		}
		ln.TLS = func(now func() time.Time) (tlsconn.Server, error) {
			return tlsconn.New(tlsconn.Config{Certificates: certs, Now: now, ALPN: []string{"h2", "http/1.1"}})
		}
	}
	e := startListeners(t, o, ln)
	return e, e.Addresses()[0]
}

func dial(t *testing.T, addr string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEchoAndDrain(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	e, addr := startEngine(t, testOptions(), echo.Addr)
	var clients sync.WaitGroup
	for i := range 20 { // more than the accept budget at once
		clients.Add(1)
		go func() {
			defer clients.Done()
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			want := bytes.Repeat([]byte{byte(i)}, 1<<20)
			go func() {
				_, _ = c.Write(want)
				_ = c.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("client %d: %d bytes, %v; want %d", i, len(got), err, len(want))
			}
		}()
	}
	clients.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Drain(ctx); err != nil {
		t.Errorf("drain: %v", err)
	}
	s := e.Stats().Flows
	if s.Open.Load() != 0 || s.Accepted.Load() != 20 || s.Closed.Load(causeDone) != 20 {
		t.Errorf("open %d, accepted %d, closed %v; want 20 done", s.Open.Load(), s.Accepted.Load(), s.Closed.Counts())
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("a connection was accepted after the drain")
	}
}

// Flows that never pause do not keep a loop from others: the answer to a one-byte request arrives
// while several downloads run at full speed.
func TestBusyFlowsDoNotStarveOthers(t *testing.T) {
	zeros := make([]byte, 1<<20)
	source := nettest.Serve(t, func(c net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		for first[0] == 'd' { // download for ever
			if _, err := c.Write(zeros); err != nil {
				return
			}
		}
		nettest.Echo(c)
	})
	o := testOptions()
	o.Loops = 1
	_, addr := startEngine(t, o, source.Addr)

	flowing := make(chan bool, 4)
	for range 4 {
		c := dial(t, addr)
		if _, err := c.Write([]byte("d")); err != nil {
			t.Fatal(err)
		}
		go func() {
			buf := make([]byte, 256<<10)
			for n := 0; ; n++ {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if n == 10 {
					flowing <- true
				}
			}
		}()
	}
	for range 4 {
		<-flowing
	}
	echo := dial(t, addr) // even its handshake needs turns
	if err := echo.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := echo.Write([]byte("e")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1)
	for i := range 50 {
		if _, err := echo.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(echo, buf); err != nil || buf[0] != byte(i) {
			t.Fatalf("request %d beside four downloads: got %v, %v", i, buf, err)
		}
	}
}

// At the limit connections wait in the backlog and are served when others end.
func TestConnectionLimit(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	o := testOptions()
	o.Loops, o.MaxConnections = 1, 2
	e, addr := startEngine(t, o, echo.Addr)
	first, second := dial(t, addr), dial(t, addr)
	third := make(chan error, 1)
	go func() {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			err = c.Close()
		}
		third <- err
	}()
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Paused.Load() > 0 }, "accepting was not paused")
	if open := e.Stats().Flows.Open.Load(); open != 2 {
		t.Errorf("%d connections are open, want 2", open)
	}
	first.Close()
	if err := <-third; err != nil {
		t.Errorf("the connection that waited: %v", err)
	}
	_ = second
}

// With too many handshakes at once the oldest gives way.
func TestHandshakeLimit(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	o := testOptions()
	o.Loops, o.MaxHandshakes = 1, 3
	e, addr := startEngine(t, o, echo.Addr)
	var stalled []net.Conn
	for i := range 3 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		stalled = append(stalled, c)
		nettest.Eventually(t, 10*time.Second,
			func() bool { return e.Stats().Flows.Accepted.Load() == uint64(i+1) }, "not accepted")
	}
	dial(t, addr)
	if err := stalled[0].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := stalled[0].Read(make([]byte, 1)); err == nil ||
		errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the oldest handshake was not closed: %v", err)
	}
	if got := e.Stats().Flows.Closed.Counts()["handshake_evicted"]; got != 1 {
		t.Errorf("%d handshakes evicted, want 1", got)
	}
}

// neverSure is a Peeker that always waits for more.
type neverSure struct{}

func (neverSure) Feed([]byte) bool         { return false }
func (neverSure) ServerName([]byte) string { return "" }

// Connections being peeked at give way like handshakes: each holds what it has sent.
func TestPeekLimit(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	o := testOptions()
	o.Loops, o.MaxHandshakes, o.HandshakeTimeout = 1, 3, time.Minute
	e, err := New(o, []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", Pools: newRouter(t, backend.TCP, echo.Addr), IdleTimeout: time.Minute,
		Peek: func() Peeker { return neverSure{} },
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	for range 5 {
		c := dialRaw(t, e.Addresses()[0])
		_, _ = io.WriteString(c, "\x16\x03\x01")
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Accepted.Load() == 5 },
		"not accepted")
	if got := e.Stats().Flows.Closed.Counts()["handshake_evicted"]; got != 2 {
		t.Errorf("%d of 5 were evicted, want 2", got)
	}
}

func TestListenErrors(t *testing.T) {
	taken := nettest.Serve(t, nettest.Echo)
	for _, test := range []struct{ name, address, want string }{
		{"taken", taken.Addr, fmt.Sprintf("cannot listen on %s: bind: address already in use: choose another address or stop what listens there", taken.Addr)},
		{"not ours", "192.0.2.1:8443", "cannot listen on 192.0.2.1:8443: bind: cannot assign requested address: no interface has this address; :PORT listens on all"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(testOptions(), []Listener{{
				Network: "tcp", Address: test.address,
				Pools: newRouter(t, backend.TCP, taken.Addr),
			}})
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A loop bound to a CPU ends its coroutines on its own thread.
func TestAffinity(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	o := testOptions()
	o.CPUAffinity = true
	_, addr := startEngine(t, o, echo.Addr)
	c := dial(t, addr)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestAcceptAgainWithoutFlows: a loop that could not accept for want of descriptors tries again,
// also if it has no flow whose end would tell it to.
func TestAcceptAgainWithoutFlows(t *testing.T) {
	e, addr := startListener(t, oneLoop(),
		Listener{Pools: newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)}, false)
	e.Hold()
	c := dialRaw(t, addr)
	on := func(f func(l *loop, ln *listener)) { e.everywhere(func(l *loop) { f(l, l.listeners[0]) }) }
	nettest.Eventually(t, 10*time.Second, func() (came bool) {
		on(func(_ *loop, ln *listener) { came = ln.more })
		return came
	}, "the client has come")
	on(func(l *loop, ln *listener) {
		unix.Close(l.reserve)
		l.reserve, ln.held, ln.more = -1, false, false
		l.shed(ln, ln.fd)
	})
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	on(func(l *loop, _ *listener) {
		if l.reserve < 0 {
			t.Error("the descriptor to give up is not there again")
		}
	})
}

// oneLoop puts all flows on one loop.
func oneLoop() Options {
	o := testOptions()
	o.Loops = 1
	return o
}

func dialRaw(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// readFromBackend waits until as much has been read, so that what follows comes in a separate read.
func readFromBackend(t *testing.T, e *Engine, n int) {
	t.Helper()
	nettest.Eventually(t, 10*time.Second,
		func() bool { return e.Stats().Flows.PlainOutBytes.Load() >= uint64(n) }, "less than %d bytes read", n)
}

package backend_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const (
	soon    = 2 * time.Millisecond // between checks
	patient = 20 * time.Second     // allows for a noisy machine
)

// syncBuffer is a buffer for a log that may be read meanwhile.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// messages returns the text of each line logged.
func (s *syncBuffer) messages() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.b.String()) {
		_, rest, _ := strings.Cut(line, `msg="`)
		message, _, _ := strings.Cut(rest, `"`)
		list = append(list, message)
	}
	return list
}

func captureLog(t *testing.T) *syncBuffer {
	var b syncBuffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return &b
}

func startChecks(t *testing.T, p *backend.Pool, c backend.Check) {
	c.Interval = soon
	if c.Timeout == 0 {
		c.Timeout = patient
	}
	t.Cleanup(p.StartChecks(c))
}

func state(p *backend.Pool) string { return p.Stats().Nodes[0].State }

func waitFor(t *testing.T, p *backend.Pool, want string) {
	t.Helper()
	nettest.Eventually(t, patient, func() bool { return state(p) == want }, "state %s", want)
}

// A node goes down after Fall failures in a row and up after Rise successes in a row.
func TestCheckThresholds(t *testing.T) {
	script := []struct {
		status int
		before string // the node's state when the check is made
	}{
		{200, "up"},
		{500, "up"},
		{404, "up"},
		{301, "up"},
		{500, "up"},
		{500, "up"},
		{503, "up"},
		{500, "down"},
		{200, "down"},
		{500, "down"},
		{204, "down"},
		{200, "down"},
		{500, "up"},
		{500, "up"},
		{500, "up"},
		{200, "down"},
	}
	nettest.LeakCheck(t)
	log := captureLog(t)
	var p *backend.Pool
	ready, done := make(chan struct{}), make(chan struct{})
	step := 0 // checks of a node never overlap
	b := nettest.Serve(t, func(conn net.Conn) {
		<-ready
		readRequest(conn)
		if step == len(script) {
			return
		}
		if got := state(p); got != script[step].before {
			t.Errorf("check %d: the node is %s, want %s", step, got, script[step].before)
		}
		fmt.Fprintf(conn, "HTTP/1.1 %d x\r\n\r\n", script[step].status)
		if step++; step == len(script) {
			close(done)
		}
	})
	p = newPool(t, []backend.Spec{{Network: "tcp", Address: b.Addr, Protocol: backend.HTTP}},
		backend.Options{})
	check := backend.Check{Kind: backend.CheckHTTP, Interval: soon, Timeout: patient, Fall: 3, Rise: 2}
	stop := p.StartChecks(check)
	close(ready)
	select {
	case <-done:
	case <-time.After(patient):
		t.Errorf("only %d checks were made", step)
	}
	stop()
	want := "backend is down, backend is up, backend is down"
	if got := strings.Join(log.messages(), ", "); got != want {
		t.Errorf("logged %s, want %s", got, want)
	}
	if got := state(p); got != "up" {
		t.Errorf("after checks were stopped the node is %s, want up", got)
	}
}

func readRequest(conn net.Conn) (head string) {
	for r := bufio.NewReader(conn); !strings.HasSuffix(head, "\r\n\r\n"); {
		line, err := r.ReadString('\n')
		if head += line; err != nil {
			return head
		}
	}
	return head
}

func TestCheckKinds(t *testing.T) {
	cert := testpki.New(t).Server(testpki.ECDSA, "another.example")
	hangUp := func(net.Conn) {}
	handshake := func(conn net.Conn) {
		tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}).Handshake()
	}
	tests := []struct {
		name     string
		kind     backend.CheckKind
		protocol backend.Protocol
		handler  nettest.Handler
		want     string
	}{
		{"tcp", backend.CheckTCP, backend.TCP, hangUp, "up"},
		{"tls, any certificate", backend.CheckTLS, backend.TCP, handshake, "up"},
		{"tls wanted, plain found", backend.CheckTLS, backend.TCP, nettest.Echo, "down"},
		{"http 200", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.1 200 OK\r\n\r\n"), "up"},
		{"http 399", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.1 399 \r\n"), "up"},
		{"http 400", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.1 400 \r\n\r\n"), "down"},
		{"http 1.0, bare LF, no reason", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.0 200\n"), "up"},
		{
			"http early hints", backend.CheckHTTP, backend.HTTP,
			answering("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "up",
		},
		{"http interim only", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.1 100 Continue\r\n\r\n"), "down"},
		{"http cut off", backend.CheckHTTP, backend.HTTP, answering("HTTP/1.1 200 OK"), "down"},
		{"http silence", backend.CheckHTTP, backend.HTTP, hangUp, "down"},
		{"not http", backend.CheckHTTP, backend.HTTP, answering("SSH-2.0-OpenSSH_9.2\r\n"), "down"},
		{"http line without end", backend.CheckHTTP, backend.HTTP, endless("HTTP/1.1 200 OK"), "down"},
		{"http interim without end", backend.CheckHTTP, backend.HTTP, endless("HTTP/1.1 100 Continue\r\n\r\n"), "down"},
		{"a uwsgi node speaks no http", backend.CheckHTTP, backend.UWSGI, hangUp, "up"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			nettest.LeakCheck(t)
			captureLog(t)
			b := nettest.Serve(t, test.handler)
			p := newPool(t, []backend.Spec{{Network: "tcp", Address: b.Addr, Protocol: test.protocol}},
				backend.Options{})
			startChecks(t, p, backend.Check{Kind: test.kind, Rise: 1, Fall: 1})
			// When the second check is counted, the first has taken effect.
			nettest.Eventually(t, patient, func() bool { return p.Stats().Nodes[0].Checks >= 2 }, "two checks")
			if s := p.Stats().Nodes[0]; s.State != test.want || (s.CheckFailures > 0) != (test.want == "down") {
				t.Errorf("got %+v, want it %s", s, test.want)
			}
		})
	}
}

// endless says a line for ever.
func endless(line string) nettest.Handler {
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
	}
}

// answering answers each request with the text.
func answering(text string) nettest.Handler {
	return func(conn net.Conn) {
		readRequest(conn)
		io.WriteString(conn, text)
	}
}

func TestCheckRequest(t *testing.T) {
	requests := make(chan string, 1)
	serve := func(listen, address string) *backend.Pool {
		b := nettest.ServeAt(t, listen, func(conn net.Conn) {
			select {
			case requests <- readRequest(conn):
			default:
			}
		})
		network, address := "tcp", cmp.Or(address, b.Addr)
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		return newPool(t, []backend.Spec{{Network: network, Address: address, Protocol: backend.HTTP}},
			backend.Options{})
	}
	request := func(path, host string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: reprise-check\r\nConnection: close\r\n\r\n"
	}
	tcp, local := nettest.FreeAddr(t), nettest.FreeAddr(t)
	tests := []struct {
		name, listen, address string
		check                 backend.Check
		want                  string
	}{
		{"configured", "127.0.0.1:0", "", backend.Check{Path: "/health?a=b", Host: "app.example"}, request("/health?a=b", "app.example")},
		{"by default", tcp, "", backend.Check{}, request("/", tcp)},
		{"no host", local, strings.TrimPrefix(local, "127.0.0.1"), backend.Check{}, request("/", local)},
		{"unix socket", t.TempDir() + "/b.sock", "", backend.Check{}, request("/", "localhost")},
	}
	for _, test := range tests {
		test.check.Kind, test.check.Interval, test.check.Timeout = backend.CheckHTTP, soon, patient
		stop := serve(test.listen, test.address).StartChecks(test.check)
		select {
		case got := <-requests:
			if got != test.want {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
		case <-time.After(patient):
			t.Errorf("%s: no request came", test.name)
		}
		stop()
		select {
		case <-requests: // one more came before it was stopped
		default:
		}
	}
}

// A service that accepts and never answers is down, and does not hold a goroutine.
func TestCheckTimeout(t *testing.T) {
	nettest.LeakCheck(t)
	captureLog(t)
	for _, kind := range []backend.CheckKind{backend.CheckTLS, backend.CheckHTTP} {
		b := nettest.Serve(t, nettest.Silent)
		p := newPool(t, []backend.Spec{{Network: "tcp", Address: b.Addr, Protocol: backend.HTTP}},
			backend.Options{})
		startChecks(t, p, backend.Check{Kind: kind, Timeout: 5 * time.Millisecond})
		waitFor(t, p, "down")
	}
}

// A node that checks found down is not picked, not even when all are down. Checks of it go on, and
// it is picked again when it is back, whatever failed before.
func TestChecksGoOnWhileAllIsDown(t *testing.T) {
	nettest.LeakCheck(t)
	captureLog(t)
	addr := nettest.FreeAddr(t)
	p := newPool(t, []backend.Spec{{Network: "tcp", Address: addr}}, backend.Options{Grace: time.Hour})
	p.Nodes()[0].Failed(time.Now())
	var c backend.Cursor
	if _, verdict := p.Pick(&c, netip.Addr{}, nil, time.Now()); verdict != backend.Picked {
		t.Errorf("before any check: got verdict %v, want a probe", verdict)
	}
	startChecks(t, p, backend.Check{})
	waitFor(t, p, "down")
	if _, verdict := p.Pick(&c, netip.Addr{}, nil, time.Now()); verdict != backend.Down {
		t.Errorf("got verdict %v, want Down", verdict)
	}
	nettest.ServeAt(t, addr, nettest.Discard)
	waitFor(t, p, "up")
	if _, verdict := p.Pick(&c, netip.Addr{}, nil, time.Now()); verdict != backend.Picked {
		t.Errorf("got verdict %v, want Picked", verdict)
	}
}

// Stopping neither waits for a check that hangs nor uses its result.
func TestStopChecks(t *testing.T) {
	nettest.LeakCheck(t)
	asked := make(chan struct{}, 1)
	b := nettest.Serve(t, func(conn net.Conn) {
		asked <- struct{}{}
		nettest.Silent(conn)
	})
	p := newPool(t, []backend.Spec{{Network: "tcp", Address: b.Addr, Protocol: backend.HTTP}},
		backend.Options{})
	stop := p.StartChecks(backend.Check{
		Kind: backend.CheckHTTP, Interval: soon,
		Timeout: 24 * time.Hour,
	})
	<-asked
	stop()
	if s := p.Stats().Nodes[0]; s.Checks != 0 || s.State != "up" {
		t.Errorf("got %+v, want it up and no check counted", s)
	}
}

// TestCheckH2C checks nodes of HTTP/2 in their protocol. A node that speaks another, or answers
// with an error, goes down; one that only accepts connections passes a check by TCP.
func TestCheckH2C(t *testing.T) {
	captureLog(t)
	serve := func(status int, protocols func(*http.Protocols)) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "PRI" && (r.URL.Path != "/health" || r.UserAgent() != "reprise-check") {
				t.Errorf("asked for %s by %s", r.URL.Path, r.UserAgent())
			}
			w.WriteHeader(status)
		}))
		s.Config.Protocols = new(http.Protocols)
		protocols(s.Config.Protocols)
		s.Start()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	h2c := func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }
	for _, test := range []struct {
		name, addr string
		kind       backend.CheckKind
		well       bool
	}{
		{"well", serve(204, h2c), backend.CheckHTTP, true},
		{"an error", serve(500, h2c), backend.CheckHTTP, false},
		{"HTTP/1.1", serve(200, func(p *http.Protocols) { p.SetHTTP1(true) }), backend.CheckHTTP, false},
		{"silent", nettest.Serve(t, nettest.Silent).Addr, backend.CheckTCP, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, []backend.Spec{{Network: "tcp", Address: test.addr, Protocol: backend.H2C}},
				backend.Options{})
			startChecks(t, p, backend.Check{Kind: test.kind, Path: "/health", Preface: []byte("PROXY UNKNOWN\r\n")})
			if test.well {
				nettest.Eventually(t, patient, func() bool { return p.Stats().Nodes[0].Checks >= 5 }, "5 checks")
				if s := p.Stats().Nodes[0]; s.State != "up" || s.CheckFailures > 0 {
					t.Errorf("got %+v", s)
				}
			} else {
				waitFor(t, p, "down")
			}
		})
	}
}

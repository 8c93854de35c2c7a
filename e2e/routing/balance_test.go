package routing

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// share makes n requests, and returns how many of them each backend answered. They
// must all succeed.
func share(t *testing.T, s *harness.Server, client *http.Client, n int) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range n {
		resp, body, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/", nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%q, %v", body, err)
		}
		got[body]++
	}
	return got
}

// wantShare is share with an expected result.
func wantShare(t *testing.T, s *harness.Server, client *http.Client, want map[string]int) {
	t.Helper()
	n := 0
	for _, v := range want {
		n += v
	}
	if got := share(t, s, client, n); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// wantStatus makes a request, which must get that status.
func wantStatus(t *testing.T, s *harness.Server, client *http.Client, want int) {
	t.Helper()
	resp, body, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Errorf("got %d %q, want %d", resp.StatusCode, body, want)
	}
}

// TestSharesByWeight: requests are distributed exactly by the weights.
func TestSharesByWeight(t *testing.T) {
	a, b, c := harness.ServeName(t), harness.ServeName(t), harness.ServeName(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(a)+",weight=5", harness.HTTPTo(b)+",weight=2", harness.HTTPTo(c))
	wantShare(t, s, client, map[string]int{a: 50, b: 20, c: 10})
}

// TestFewestConnectionsFirst: with long connections that end unevenly, the next
// ones go where there are fewest, for the backend's weight.
func TestFewestConnectionsFirst(t *testing.T) {
	for _, balance := range []string{"least-connections", "two-choices"} { // of two, both are always drawn
		t.Run(balance, func(t *testing.T) {
			a, b := nettest.Serve(t, harness.SayName).Addr, nettest.Serve(t, harness.SayName).Addr
			s := harness.Start(t, harness.RawListen, harness.RawTo(a), harness.RawTo(b)+",weight=2", "--rawrouter-balance="+balance)
			conns := make(map[string][]net.Conn)
			hold := func(n int) {
				for range n {
					conn := harness.DialRaw(t, s.Addr())
					name, err := bufio.NewReader(conn).ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					name = strings.TrimSpace(name)
					conns[name] = append(conns[name], conn)
				}
			}
			want := func(inA, inB int) {
				t.Helper()
				if len(conns[a]) != inA || len(conns[b]) != inB {
					t.Errorf("got %d and %d connections, want %d and %d", len(conns[a]), len(conns[b]), inA, inB)
				}
			}
			hold(30)
			want(10, 20)
			for _, conn := range conns[b] {
				conn.Close()
			}
			conns[b] = nil
			nettest.Eventually(t, harness.Patience, func() bool { return s.Row(b).Active == 0 }, "they are over")
			hold(18)
			want(10, 18)
		})
	}
}

// TestSourceFindsItsBackend: a client's address decides, at every node alike.
func TestSourceFindsItsBackend(t *testing.T) {
	var backends []string
	for range 4 {
		backends = append(backends, harness.HTTPTo(harness.ServeName(t)))
	}
	args := append([]string{"--http=127.0.0.1:0", "--http-balance=source"}, backends...)
	nodes := []*harness.Server{harness.Start(t, args...), harness.Start(t, append(args, "--http-processes=2")...)}
	used := make(map[string]int)
	for i := range 24 {
		client := harness.HTTPClient(t, nil, harness.Dialing(harness.From(fmt.Sprintf("127.0.1.%d", i+1))))
		first := share(t, nodes[0], client, 1)
		for _, s := range []*harness.Server{nodes[0], nodes[1], nodes[1], nodes[0]} {
			if got := share(t, s, client, 1); !maps.Equal(got, first) {
				t.Errorf("client %d came to %v, before to %v", i, got, first)
			}
		}
		for name := range first {
			used[name]++
		}
	}
	if len(used) < 3 { // by chance, 2 of 4 once in some million runs
		t.Errorf("24 clients used %v, want nearly all backends", used)
	}
}

// gated is a backend that answers with its address once it may.
func gated(t *testing.T) (addr string, open chan<- struct{}) {
	gate := make(chan struct{})
	addr = harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	return addr, gate
}

// TestLimitQueueAndRefusal: beyond its connections a backend gets no request, the next ones wait,
// and those for which the queue is full get 503.
func TestLimitQueueAndRefusal(t *testing.T) {
	addr, gate := gated(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(addr)+",max-connections=2", "--http-queue=3", "--http-backend-keepalive=0")
	statuses := make(chan int, 10)
	ask := func(n int) {
		for range n {
			go func() {
				resp, _, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/", nil)
				if err != nil {
					t.Error(err)
					statuses <- 0
					return
				}
				statuses <- resp.StatusCode
			}()
		}
	}
	ask(5)
	s.Await("two are served and three wait", func(d harness.Document) bool {
		return d.Backends.Nodes[0].Active == 2 && d.Backends.Pools[0].Queued == 3
	})
	ask(5)
	for range 5 {
		if got := <-statuses; got != http.StatusServiceUnavailable {
			t.Errorf("without a place: got %d, want 503", got)
		}
	}
	if p := s.Document().Backends.Pools[0]; p.Refused != 5 || p.Queued != 3 {
		t.Errorf("got %+v, want 5 refused, 3 queued", p)
	}
	close(gate)
	for range 5 {
		if got := <-statuses; got != http.StatusOK {
			t.Errorf("with a place: got %d, want 200", got)
		}
	}
	if got := s.Document().Backends.Pools[0].Queued; got != 0 {
		t.Errorf("%d still wait", got)
	}
}

// TestWaitEnds: a client does not wait for a backend for ever.
func TestWaitEnds(t *testing.T) {
	addr, _ := gated(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(addr)+",max-connections=1", "--http-connect-timeout=500ms")
	go harness.Fetch(client, "GET", "http://"+s.Addr()+"/", nil)
	s.Await("one is served", func(d harness.Document) bool { return d.Backends.Nodes[0].Active == 1 })
	wantStatus(t, s, client, http.StatusServiceUnavailable)
}

// TestRawLimit: without HTTP there is no error response, so a client that finds no room is cut off.
func TestRawLimit(t *testing.T) {
	addr := nettest.Serve(t, harness.SayName).Addr
	s := harness.Start(t, harness.RawListen, harness.RawTo(addr), "--rawrouter-backend-connections=1", "--rawrouter-queue=1")
	first := harness.DialRaw(t, s.Addr())
	s.Await("one is served", func(d harness.Document) bool { return d.Backends.Nodes[0].Active == 1 })
	second := harness.DialRaw(t, s.Addr())
	s.Await("one waits", func(d harness.Document) bool { return d.Backends.Pools[0].Queued == 1 })
	if conn, err := nettest.Dial(s.Addr()); err == nil { // the reset may come that soon
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the third saw %v, want a reset", err)
		}
	}
	s.Await("the third is counted", func(d harness.Document) bool { return d.Engine.Flows.Closed["no_backend"] == 1 })
	first.Close()
	if name, err := bufio.NewReader(second).ReadString('\n'); err != nil ||
		strings.TrimSpace(name) != addr {
		t.Errorf("the second got %q, %v", name, err)
	}
}

// TestBackups: they serve while no other backend can, and only then.
func TestBackups(t *testing.T) {
	main, backup := nettest.FreeAddr(t), harness.ServeName(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(main), harness.HTTPTo(backup)+",backup", "--http-gracetime=1h", "--http-check=tcp", "--http-check-interval=20ms")
	wantShare(t, s, client, map[string]int{backup: 10})
	s.AwaitState(main, "down")
	wantShare(t, s, client, map[string]int{backup: 10})
	serveNameAt(t, main)
	s.AwaitState(main, "up")
	wantShare(t, s, client, map[string]int{main: 10})
}

// serveNameAt is serveName for a backend that returns to its address.
func serveNameAt(t *testing.T, addr string) *http.Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request,
	) {
		io.WriteString(w, addr)
	})}
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	return h
}

// TestChecksEndGrace: a backend that failed a client and has passed its checks since is used before
// gracetime ends.
func TestChecksEndGrace(t *testing.T) {
	a, b := nettest.FreeAddr(t), harness.ServeName(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(a), harness.HTTPTo(b), "--http-gracetime=1h", "--http-check=tcp", "--http-check-interval=20ms", "--http-check-fall=100")
	share(t, s, client, 2)
	s.AwaitState(a, "grace")
	serveNameAt(t, a)
	s.AwaitState(a, "up")
}

// TestSlowStart: a backend that comes back begins with a tenth of its share.
func TestSlowStart(t *testing.T) {
	a, b := nettest.FreeAddr(t), harness.ServeName(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(a), harness.HTTPTo(b), "--http-slow-start=1h", "--http-check=tcp", "--http-check-interval=20ms")
	s.AwaitState(a, "down")
	serveNameAt(t, a)
	s.AwaitState(a, "up")
	got := share(t, s, client, 110)
	if got[a] < 8 || got[a] > 12 {
		t.Errorf("the one that came back got %d of 110, want about 10", got[a])
	}
}

// TestTCPCheck: a dead backend gets no more connections before a client notices, and is used again
// when it is back.
func TestTCPCheck(t *testing.T) {
	a, b := nettest.FreeAddr(t), harness.ServeName(t)
	server := serveNameAt(t, a)
	s, client := harness.StartHTTP(t, harness.HTTPTo(a), harness.HTTPTo(b), "--http-check=tcp", "--http-check-interval=20ms")
	wantShare(t, s, client, map[string]int{a: 5, b: 5})
	server.Close()
	s.AwaitState(a, "down")
	wantShare(t, s, client, map[string]int{b: 10})
	if got := s.Row(a).Failures; got != 0 {
		t.Errorf("clients ran into %d failures", got)
	}
	serveNameAt(t, a)
	s.AwaitState(a, "up")
	wantShare(t, s, client, map[string]int{a: 5, b: 5})
}

// TestChecks: a backend that fails its checks gets nothing, though it would take
// connections, and is used again when it passes. No client notices.
func TestChecks(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	for _, test := range []struct {
		name, check string
		serve       func(t *testing.T, sick *atomic.Bool) (addr string)
	}{
		{"tls", "tls", func(t *testing.T, sick *atomic.Bool) string {
			return nettest.Serve(t, func(conn net.Conn) {
				if !sick.Load() { // it ends checks and connections alike: only the handshake matters
					tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert.TLS}}).Handshake()
				}
			}).Addr
		}},
		{"http", "http:/health", func(t *testing.T, sick *atomic.Bool) string {
			return harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health" || sick.Load() {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
		}},
		{"http, no answer", "http:/health", func(t *testing.T, sick *atomic.Bool) string {
			return harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if sick.Load() {
					<-r.Context().Done()
				}
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sick atomic.Bool
			a, b := test.serve(t, &sick), test.serve(t, new(atomic.Bool))
			s := harness.Start(t, harness.RawListen, harness.OneLoop, harness.RawTo(a), harness.RawTo(b),
				"--rawrouter-check="+test.check,
				"--rawrouter-check-interval=20ms", "--rawrouter-check-fall=3", "--rawrouter-check-rise=3")
			s.Await("checks are made", func(d harness.Document) bool {
				return d.Backends.Nodes[0].Checks > 0 &&
					d.Backends.Nodes[1].Checks > 0
			})
			visitBoth(s, a, b, 5, 5)
			sick.Store(true)
			s.AwaitState(a, "down")
			visitBoth(s, a, b, 0, 10)
			sick.Store(false)
			s.AwaitState(a, "up")
			visitBoth(s, a, b, 5, 5)
			if row := s.Row(a); row.CheckFailures < 3 {
				t.Errorf("%+v: want the failures counted", row)
			}
		})
	}
}

// visitBoth makes connections, of which two backends get as many as are wanted.
func visitBoth(s *harness.Server, a, b string, wantA, wantB uint64) {
	s.T.Helper()
	beforeA, beforeB := s.Row(a).Hits, s.Row(b).Hits
	for range wantA + wantB {
		conn := harness.DialRaw(s.T, s.Addr())
		io.WriteString(conn, "GET /health HTTP/1.0\r\n\r\n")
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	}
	if gotA, gotB := s.Row(a).Hits-beforeA, s.Row(b).Hits-beforeB; gotA != wantA || gotB != wantB {
		s.T.Errorf("got %d and %d connections, want %d and %d", gotA, gotB, wantA, wantB)
	}
}

// TestAllBackendsDown: clients get an error at once, it is counted, and service recovers by itself,
// with checks and without.
func TestAllBackendsDown(t *testing.T) {
	for _, test := range []struct {
		name, state string
		args        []string
	}{
		{"no checks", "grace", nil},
		{"checks", "down", []string{"--http-check=tcp", "--http-check-interval=20ms", "--sslrouter-check=tcp", "--sslrouter-check-interval=20ms"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pki := testpki.New(t)
			a, b := nettest.FreeAddr(t), nettest.FreeAddr(t)
			args := append([]string{
				harness.HTTPTo(a), harness.HTTPTo(b), "--http-gracetime=1h", "--sslrouter-gracetime=1h",
				harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(a), harness.To(b),
			}, test.args...)
			s, client := harness.StartHTTP(t, args...)
			if test.args != nil {
				s.Await("all are down", func(d harness.Document) bool {
					return !slices.ContainsFunc(d.Backends.Nodes,
						func(row harness.BackendRow) bool { return row.State != "down" })
				})
			}
			wantStatus(t, s, client, http.StatusServiceUnavailable)
			conn := harness.Connect(t, s.Addresses[1], harness.ClientConfig(pki))
			if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("the client saw %v, want that it is cut off", err)
			}
			d := s.Document()
			if got := d.Engine.Flows.Closed["no_backend"]; got != 1 {
				t.Errorf("closed no_backend: got %d, want 1", got)
			}
			if got := d.Engine.HTTP.Responses["5xx"]; got != 1 {
				t.Errorf("responses 5xx: got %d, want 1", got)
			}
			if got := s.Row(a).State; got != test.state {
				t.Errorf("a backend is %s, want %s", got, test.state)
			}
			serveNameAt(t, a)
			if test.args != nil { // at each router
				s.AwaitState("http://"+a, "up")
			}
			wantShare(t, s, client, map[string]int{a: 4})
		})
	}
}

// TestDrainBackend: an operator takes a backend out; its clients stay, new ones go elsewhere, and
// it can be put back.
func TestDrainBackend(t *testing.T) {
	a, b := nettest.Serve(t, nettest.Echo).Addr, nettest.Serve(t, nettest.Echo).Addr
	s := harness.Start(t, harness.RawListen, harness.OneLoop, harness.RawTo(a), harness.RawTo(b))
	command := func(state, name string) nettest.Result {
		return nettest.Run(t, nettest.Command{
			Path: harness.Program(t),
			Args: []string{"backend", "--admin", s.Admin, state, name}, Timeout: harness.Patience,
		})
	}
	old := harness.DialRaw(t, s.Addr())
	if err := harness.Ping(old); err != nil {
		t.Fatal(err)
	}
	visitors := func(n int) {
		for range n {
			if err := harness.Ping(harness.DialRaw(t, s.Addr())); err != nil {
				t.Error(err)
			}
		}
	}
	if r := command("drain", a); r.ExitCode != 0 || r.Stdout != a+": drain\n" {
		t.Errorf("got %+v", r)
	}
	visitors(6)
	if rowA, rowB := s.Row(a), s.Row(b); rowA.Hits != 1 || rowA.State != "draining" || rowB.Hits != 6 {
		t.Errorf("got %+v, %+v, want 1 connection at the one that drains, 6 at the other", rowA, rowB)
	}
	if err := harness.Ping(old); err != nil {
		t.Errorf("one that was served: %v", err)
	}
	command("ready", a)
	visitors(6)
	if got := s.Row(a); got.Hits != 4 || got.State != "up" {
		t.Errorf("put back: got %+v, want 4 connections and up", got)
	}
	if r := command("drain", "127.0.0.1:1"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "no backend") {
		t.Errorf("unknown name: got %+v", r)
	}
}

// TestAllBackendsDrained: a backend that an operator has taken out is not tried.
func TestAllBackendsDrained(t *testing.T) {
	a := harness.ServeName(t)
	s, client := harness.StartHTTP(t, harness.HTTPTo(a))
	command := func(state string) {
		t.Helper()
		if r := nettest.Run(t, nettest.Command{
			Path: harness.Program(t),
			Args: []string{"backend", "--admin", s.Admin, state, "http://" + a}, Timeout: harness.Patience,
		}); r.ExitCode != 0 {
			t.Fatalf("%s: %+v", state, r)
		}
	}
	wantShare(t, s, client, map[string]int{a: 1})
	command("drain")
	wantStatus(t, s, client, http.StatusServiceUnavailable)
	command("ready")
	wantShare(t, s, client, map[string]int{a: 1})
}

// TestNamedBackend: a name is as good as an address.
func TestNamedBackend(t *testing.T) {
	a := harness.ServeName(t)
	_, port, _ := net.SplitHostPort(a)
	s, client := harness.StartHTTP(t, harness.HTTPTo("localhost:"+port), "--http-max-retries=3")
	wantShare(t, s, client, map[string]int{a: 10})
	if row := s.Row("localhost:" + port); row.State != "up" {
		t.Errorf("got %+v, want up", row)
	}
}

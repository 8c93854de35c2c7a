package main

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

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// startHTTP runs a router without TLS, which is all that these tests need.
func startHTTP(t *testing.T, args ...string) (*server, *http.Client) {
	t.Helper()
	s := start(t, append(args, "--http=127.0.0.1:0", oneLoop)...)
	return s, httpClient(t, nil, nil)
}

// share makes n requests, and returns how many of them each backend answered. They
// must all succeed.
func share(t *testing.T, s *server, client *http.Client, n int) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range n {
		resp, body, err := fetch(client, "GET", "http://"+s.addr()+"/", nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%q, %v", body, err)
		}
		got[body]++
	}
	return got
}

// wantShare is share, which must come out like that.
func wantShare(t *testing.T, s *server, client *http.Client, want map[string]int) {
	t.Helper()
	n := 0
	for _, v := range want {
		n += v
	}
	if got := share(t, s, client, n); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// wantStatus makes a request, which must be answered so.
func wantStatus(t *testing.T, s *server, client *http.Client, want int) {
	t.Helper()
	resp, body, err := fetch(client, "GET", "http://"+s.addr()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Errorf("got %d %q, want %d", resp.StatusCode, body, want)
	}
}

// TestSharesByWeight: requests are dealt as the weights say, exactly.
func TestSharesByWeight(t *testing.T) {
	a, b, c := serveName(t), serveName(t), serveName(t)
	s, client := startHTTP(t, httpTo(a)+",weight=5", httpTo(b)+",weight=2", httpTo(c))
	wantShare(t, s, client, map[string]int{a: 50, b: 20, c: 10})
}

// TestFewestConnectionsFirst: with long connections that end unevenly, the next
// ones go where there are fewest, for the backend's weight.
func TestFewestConnectionsFirst(t *testing.T) {
	for _, balance := range []string{"least-connections", "two-choices"} { // of two, both are always drawn
		t.Run(balance, func(t *testing.T) {
			a, b := nettest.Serve(t, sayName).Addr, nettest.Serve(t, sayName).Addr
			s := start(t, rawListen, rawTo(a), rawTo(b)+",weight=2", "--rawrouter-balance="+balance)
			conns := make(map[string][]net.Conn)
			hold := func(n int) {
				for range n {
					conn := dialRaw(t, s.addr())
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
			nettest.Eventually(t, patience, func() bool { return s.row(b).Active == 0 }, "they are over")
			hold(18)
			want(10, 18)
		})
	}
}

// TestSourceFindsItsBackend: a client's address decides, at every node alike.
func TestSourceFindsItsBackend(t *testing.T) {
	var backends []string
	for range 4 {
		backends = append(backends, httpTo(serveName(t)))
	}
	args := append([]string{"--http=127.0.0.1:0", "--http-balance=source"}, backends...)
	nodes := []*server{start(t, args...), start(t, append(args, "--http-processes=2")...)}
	used := make(map[string]int)
	for i := range 24 {
		client := httpClient(t, nil, dialing(from(fmt.Sprintf("127.0.1.%d", i+1))))
		first := share(t, nodes[0], client, 1)
		for _, s := range []*server{nodes[0], nodes[1], nodes[1], nodes[0]} {
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
	addr = serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	return addr, gate
}

// TestLimitQueueAndRefusal: beyond its connections a backend gets no request, the
// next ones wait, and those for whom there is no place to wait are told to come back.
func TestLimitQueueAndRefusal(t *testing.T) {
	addr, gate := gated(t)
	s, client := startHTTP(t, httpTo(addr)+",max-connections=2", "--http-queue=3", "--http-backend-keepalive=0")
	statuses := make(chan int, 10)
	ask := func(n int) {
		for range n {
			go func() {
				resp, _, err := fetch(client, "GET", "http://"+s.addr()+"/", nil)
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
	s.await("two are served and three wait", func(d document) bool {
		return d.Backends.Nodes[0].Active == 2 && d.Backends.Pools[0].Queued == 3
	})
	ask(5)
	for range 5 {
		if got := <-statuses; got != http.StatusServiceUnavailable {
			t.Errorf("without a place: got %d, want 503", got)
		}
	}
	if p := s.document().Backends.Pools[0]; p.Refused != 5 || p.Queued != 3 {
		t.Errorf("got %+v, want 5 refused, 3 queued", p)
	}
	close(gate)
	for range 5 {
		if got := <-statuses; got != http.StatusOK {
			t.Errorf("with a place: got %d, want 200", got)
		}
	}
	if got := s.document().Backends.Pools[0].Queued; got != 0 {
		t.Errorf("%d still wait", got)
	}
}

// TestWaitEnds: who waits for a backend does not wait for ever.
func TestWaitEnds(t *testing.T) {
	addr, _ := gated(t)
	s, client := startHTTP(t, httpTo(addr)+",max-connections=1", "--http-connect-timeout=500ms")
	go fetch(client, "GET", "http://"+s.addr()+"/", nil)
	s.await("one is served", func(d document) bool { return d.Backends.Nodes[0].Active == 1 })
	wantStatus(t, s, client, http.StatusServiceUnavailable)
}

// TestRawLimit: without HTTP there are no words, so who finds no place is cut off.
func TestRawLimit(t *testing.T) {
	addr := nettest.Serve(t, sayName).Addr
	s := start(t, rawListen, rawTo(addr), "--rawrouter-backend-connections=1", "--rawrouter-queue=1")
	first := dialRaw(t, s.addr())
	s.await("one is served", func(d document) bool { return d.Backends.Nodes[0].Active == 1 })
	second := dialRaw(t, s.addr())
	s.await("one waits", func(d document) bool { return d.Backends.Pools[0].Queued == 1 })
	if conn, err := nettest.Dial(s.addr()); err == nil { // the reset may come that soon
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the third saw %v, want a reset", err)
		}
	}
	s.await("the third is counted", func(d document) bool { return d.Engine.Flows.Closed["no_backend"] == 1 })
	first.Close()
	if name, err := bufio.NewReader(second).ReadString('\n'); err != nil || strings.TrimSpace(name) != addr {
		t.Errorf("the second got %q, %v", name, err)
	}
}

// TestBackups: they serve while nobody else can, and only then.
func TestBackups(t *testing.T) {
	main, backup := nettest.FreeAddr(t), serveName(t)
	s, client := startHTTP(t, httpTo(main), httpTo(backup)+",backup", "--http-gracetime=1h", "--http-check=tcp", "--http-check-interval=20ms")
	wantShare(t, s, client, map[string]int{backup: 10})
	s.awaitState(main, "down")
	wantShare(t, s, client, map[string]int{backup: 10})
	serveNameAt(t, main)
	s.awaitState(main, "up")
	wantShare(t, s, client, map[string]int{main: 10})
}

// serveNameAt is serveName for a backend that comes where it was missed.
func serveNameAt(t *testing.T, addr string) *http.Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, addr) })}
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	return h
}

// TestChecksEndGrace: a backend that failed a client and passes its checks since is
// not left alone for the rest of gracetime.
func TestChecksEndGrace(t *testing.T) {
	a, b := nettest.FreeAddr(t), serveName(t)
	s, client := startHTTP(t, httpTo(a), httpTo(b), "--http-gracetime=1h", "--http-check=tcp", "--http-check-interval=20ms", "--http-check-fall=100")
	share(t, s, client, 2)
	s.awaitState(a, "grace")
	serveNameAt(t, a)
	s.awaitState(a, "up")
}

// TestSlowStart: a backend that comes back begins with a tenth of its share.
func TestSlowStart(t *testing.T) {
	a, b := nettest.FreeAddr(t), serveName(t)
	s, client := startHTTP(t, httpTo(a), httpTo(b), "--http-slow-start=1h", "--http-check=tcp", "--http-check-interval=20ms")
	s.awaitState(a, "down")
	serveNameAt(t, a)
	s.awaitState(a, "up")
	got := share(t, s, client, 110)
	if got[a] < 8 || got[a] > 12 {
		t.Errorf("the one that came back got %d of 110, want about 10", got[a])
	}
}

// TestTCPCheck: a backend that is gone gets nothing before a client has to find out,
// and is used again when it is back.
func TestTCPCheck(t *testing.T) {
	a, b := nettest.FreeAddr(t), serveName(t)
	server := serveNameAt(t, a)
	s, client := startHTTP(t, httpTo(a), httpTo(b), "--http-check=tcp", "--http-check-interval=20ms")
	wantShare(t, s, client, map[string]int{a: 5, b: 5})
	server.Close()
	s.awaitState(a, "down")
	wantShare(t, s, client, map[string]int{b: 10})
	if got := s.row(a).Failures; got != 0 {
		t.Errorf("clients ran into %d failures", got)
	}
	serveNameAt(t, a)
	s.awaitState(a, "up")
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
			return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/health" || sick.Load() {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
		}},
		{"http, no answer", "http:/health", func(t *testing.T, sick *atomic.Bool) string {
			return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				if sick.Load() {
					<-r.Context().Done()
				}
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sick atomic.Bool
			a, b := test.serve(t, &sick), test.serve(t, new(atomic.Bool))
			s := start(t, rawListen, oneLoop, rawTo(a), rawTo(b), "--rawrouter-check="+test.check,
				"--rawrouter-check-interval=20ms", "--rawrouter-check-timeout=500ms", "--rawrouter-check-fall=3", "--rawrouter-check-rise=3")
			visitBoth := func(wantA, wantB uint64) {
				t.Helper()
				beforeA, beforeB := s.row(a).Hits, s.row(b).Hits
				for range wantA + wantB {
					conn := dialRaw(t, s.addr())
					io.WriteString(conn, "GET /health HTTP/1.0\r\n\r\n")
					conn.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, conn)
				}
				if gotA, gotB := s.row(a).Hits-beforeA, s.row(b).Hits-beforeB; gotA != wantA || gotB != wantB {
					t.Errorf("got %d and %d connections, want %d and %d", gotA, gotB, wantA, wantB)
				}
			}
			s.await("checks are made", func(d document) bool { return d.Backends.Nodes[0].Checks > 0 && d.Backends.Nodes[1].Checks > 0 })
			visitBoth(5, 5)
			sick.Store(true)
			s.awaitState(a, "down")
			visitBoth(0, 10)
			sick.Store(false)
			s.awaitState(a, "up")
			visitBoth(5, 5)
			if row := s.row(a); row.CheckFailures < 3 {
				t.Errorf("%+v: want the failures counted", row)
			}
		})
	}
}

// TestAllBackendsDown: clients are told at once, it is counted, and all is well again
// without anybody's help, with checks and without.
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
			args := append([]string{httpTo(a), httpTo(b), "--http-gracetime=1h", "--sslrouter-gracetime=1h", listen(pki.Server(testpki.ECDSA, "localhost")), to(a), to(b)}, test.args...)
			s, client := startHTTP(t, args...)
			if test.args != nil {
				s.await("all are down", func(d document) bool {
					return !slices.ContainsFunc(d.Backends.Nodes, func(row backendRow) bool { return row.State != "down" })
				})
			}
			wantStatus(t, s, client, http.StatusServiceUnavailable)
			conn := connect(t, s.addresses[1], clientConfig(pki))
			if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("the client saw %v, want that it is cut off", err)
			}
			d := s.document()
			if got := d.Engine.Flows.Closed["no_backend"]; got != 1 {
				t.Errorf("closed no_backend: got %d, want 1", got)
			}
			if got := d.Engine.HTTP.Responses["5xx"]; got != 1 {
				t.Errorf("responses 5xx: got %d, want 1", got)
			}
			if got := s.row(a).State; got != test.state {
				t.Errorf("a backend is %s, want %s", got, test.state)
			}
			serveNameAt(t, a)
			if test.args != nil { // at each router
				s.awaitState("http://"+a, "up")
			}
			wantShare(t, s, client, map[string]int{a: 4})
		})
	}
}

// TestDrainBackend: an operator takes a backend out; who is served there stays, who
// comes goes elsewhere, and it can be put back.
func TestDrainBackend(t *testing.T) {
	a, b := nettest.Serve(t, nettest.Echo).Addr, nettest.Serve(t, nettest.Echo).Addr
	s := start(t, rawListen, oneLoop, rawTo(a), rawTo(b))
	command := func(state, name string) nettest.Result {
		return nettest.Run(t, nettest.Command{Path: program(t), Args: []string{"backend", "--admin", s.admin, state, name}, Timeout: patience})
	}
	old := dialRaw(t, s.addr())
	if err := ping(old); err != nil {
		t.Fatal(err)
	}
	visitors := func(n int) {
		for range n {
			if err := ping(dialRaw(t, s.addr())); err != nil {
				t.Error(err)
			}
		}
	}
	if r := command("drain", a); r.ExitCode != 0 || r.Stdout != a+": drain\n" {
		t.Errorf("got %+v", r)
	}
	visitors(6)
	if rowA, rowB := s.row(a), s.row(b); rowA.Hits != 1 || rowA.State != "draining" || rowB.Hits != 6 {
		t.Errorf("got %+v, %+v, want 1 connection at the one that drains, 6 at the other", rowA, rowB)
	}
	if err := ping(old); err != nil {
		t.Errorf("one that was served: %v", err)
	}
	command("ready", a)
	visitors(6)
	if got := s.row(a); got.Hits != 4 || got.State != "up" {
		t.Errorf("put back: got %+v, want 4 connections and up", got)
	}
	if r := command("drain", "127.0.0.1:1"); r.ExitCode == 0 || !strings.Contains(r.Stderr, "no backend") {
		t.Errorf("unknown name: got %+v", r)
	}
}

// TestAllBackendsDrained: nobody probes what an operator has taken out.
func TestAllBackendsDrained(t *testing.T) {
	a := serveName(t)
	s, client := startHTTP(t, httpTo(a))
	command := func(state string) {
		t.Helper()
		if r := nettest.Run(t, nettest.Command{Path: program(t), Args: []string{"backend", "--admin", s.admin, state, "http://" + a}, Timeout: patience}); r.ExitCode != 0 {
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
	a := serveName(t)
	_, port, _ := net.SplitHostPort(a)
	s, client := startHTTP(t, httpTo("localhost:"+port), "--http-max-retries=3")
	wantShare(t, s, client, map[string]int{a: 10})
	if row := s.row("localhost:" + port); row.State != "up" {
		t.Errorf("got %+v, want up", row)
	}
}

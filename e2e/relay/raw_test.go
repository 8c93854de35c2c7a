package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestSessionsResumeBehindRawRouter: with only a raw router between, all clients resume at any of
// three nodes.
func TestSessionsResumeBehindRawRouter(t *testing.T) {
	f := harness.StartFleet(t, 3, "push+pull", harness.PatientLookup)
	front := harness.StartRawRouter(t, []string{f.TLS(0), f.TLS(1), f.TLS(2)})
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		for _, v := range harness.Visitors {
			t.Run(v.Name, func(t *testing.T) {
				wantResumedElsewhere(t, f, front, v.IDOnly && version == tls.VersionTLS12, func() {
					v.Visit(t, front.Addr(), f.PKI, version)
				})
			})
		}
	})
}

// TestNodeDiesBehindRawRouter: clients that come back resume at the nodes that are
// left, and do not notice.
func TestNodeDiesBehindRawRouter(t *testing.T) {
	f := harness.StartFleet(t, 3, "push+pull", harness.PatientLookup)
	front := harness.StartRawRouter(t, []string{f.TLS(0), f.TLS(1), f.TLS(2)}, "--rawrouter-gracetime=1h")
	config := harness.ClientConfig(f.PKI)
	for i := range 8 {
		if i == 2 {
			f.AwaitPushed()
			f.Kill(0)
		}
		if state := harness.AskLine(t, front.Addr(), config); state.DidResume != (i > 0) {
			t.Errorf("connection %d: resumed is %v", i, state.DidResume)
		}
	}
	if row := front.Row(f.TLS(0)); row.Failures != 1 || row.State != "grace" {
		t.Errorf("the dead node: %+v, want one failure and that it is left alone", row)
	}
}

// TestHTTPSSessionsResumeBehindRawRouter is the same for HTTPS routers.
func TestHTTPSSessionsResumeBehindRawRouter(t *testing.T) {
	f := harness.NewFleet(t, 3, "push+pull", harness.PatientLookup)
	page := harness.ServeName(t)
	for i := range f.Nodes {
		f.RunHTTPS(i, page)
	}
	f.AwaitIntroduced()
	front := harness.StartRawRouter(t, []string{f.TLS(0), f.TLS(1), f.TLS(2)})
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		config, _ := harness.OneSessionConfig(f.PKI, version)
		client := harness.HTTPClient(t, config, harness.Dialing(new(net.Dialer).DialContext))
		wantResumedElsewhere(t, f, front, false, func() {
			for i := range 2 * len(f.Nodes) {
				resp, body, err := harness.Fetch(client, "GET", "https://"+front.Addr()+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				if body != page || resp.TLS.DidResume != (i > 0) {
					t.Errorf("request %d: got %q, resumed is %v", i, body, resp.TLS.DidResume)
				}
			}
		})
	})
}

// wantResumedElsewhere checks that of the connections that visit makes all but the
// first resume, and some of them a session of another node.
func wantResumedElsewhere(t *testing.T, f *harness.Fleet, front *harness.Server, cannot bool,
	visit func(),
) {
	t.Helper()
	before, accepted := f.Outcomes(), front.Document().Engine.Flows.Accepted
	visit()
	if cannot {
		return // it got its answers: that is all it can get
	}
	got, visited := harness.Since(f.Outcomes(),
		before), front.Document().Engine.Flows.Accepted-accepted
	// A node that was not told in time asks.
	elsewhere := got["resumed_pushed"] + got["resumed_pulled"]
	if got["new_client"] != 1 || elsewhere == 0 || elsewhere+got["resumed_local"] != visited-1 {
		t.Errorf("%d connections: %v, want all but one resumed, some elsewhere", visited, got)
	}
}

// TestRawRouterBothWaysByteExact: both directions under pressure at the same time,
// most of it spliced.
func TestRawRouterBothWaysByteExact(t *testing.T) {
	for _, test := range []struct {
		name string
		read func(s *harness.Server, conn net.Conn) io.Reader
	}{
		{"fast", func(_ *harness.Server, conn net.Conn) io.Reader { return conn }},
		{"stop and go", func(s *harness.Server, conn net.Conn) io.Reader {
			conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			return &harness.StopAndGoReader{Reader: conn, Server: s, Every: harness.Bulk() / 4}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := harness.StartRawRouter(t, []string{nettest.Serve(t, nettest.Echo).Addr})
			conn := harness.DialRaw(t, s.Addr())
			conn.SetDeadline(time.Now().Add(2 * harness.Patience))
			wantEcho(t, conn, test.read(s, conn))
			s.AwaitIdle()
			if f := s.Document().Engine.Flows; f.Closed["done"] != 1 || f.PlainInBytes != uint64(harness.Bulk()) ||
				f.PlainOutBytes != uint64(harness.Bulk()) {
				t.Errorf("counted %+v", f)
			}
		})
	}
}

// TestRawRouterStoppedReadersCostBoundedMemory: splicing or not, the memory for a reader that stops
// depends on the watermark and the pipe only.
func TestRawRouterStoppedReadersCostBoundedMemory(t *testing.T) {
	const readers, highWatermark, pipe = 100, 256 << 10, 256 << 10
	// a buffer that grows leaves as much as twice itself to the collector
	const bound = readers * 3 * (highWatermark + pipe)
	source := nettest.Serve(t, func(conn net.Conn) {
		conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // the kernel has a bound for all together
		nettest.Source(9, harness.Bulk())(conn)
	})
	s := harness.StartRawRouter(t, []string{source.Addr})
	before := harness.RSS(t, s)
	var conns []net.Conn
	for range readers {
		conn := harness.DialRaw(t, s.Addr())
		conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		conns = append(conns, conn)
	}
	s.Await("all streams start", func(harness.Document) bool { return source.Accepted() == readers })
	s.AwaitStill()
	harness.WantGrown(t, s, before, bound)
	if err := nettest.CheckPattern(conns[readers/2], 9, harness.Bulk()); err != nil {
		t.Error("one that goes on:", err)
	}
}

// TestRawRouterBeforeNodeByteExact: the same with TLS at a node behind.
func TestRawRouterBeforeNodeByteExact(t *testing.T) {
	node, pki := harness.EchoServer(t, testpki.ECDSA)
	front := harness.StartRawRouter(t, []string{node.Addr()})
	conn := harness.Connect(t, front.Addr(), harness.ClientConfig(pki))
	conn.SetDeadline(time.Now().Add(2 * harness.Patience))
	wantEcho(t, conn, conn)
}

// wantEcho sends a stream to an echo and compares what r gives back.
func wantEcho(t *testing.T, conn net.Conn, r io.Reader) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, nettest.NewPattern(7, harness.Bulk()))
		if err == nil {
			err = conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	if err := nettest.CheckPattern(r, 7, harness.Bulk()); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestRawRouterHalfClose: either end may finish first, and still receives from the other.
func TestRawRouterHalfClose(t *testing.T) {
	const early, late = "all I have to say", "an answer that took its time"
	first := func(conn net.Conn) error {
		io.WriteString(conn, early)
		return conn.(*net.TCPConn).CloseWrite()
	}
	// last answers once it has heard the end of the first, and nothing moves.
	last := func(conn net.Conn, goOn <-chan struct{}) (string, error) {
		heard, err := io.ReadAll(conn)
		<-goOn
		io.WriteString(conn, late)
		conn.(*net.TCPConn).CloseWrite()
		return string(heard), err
	}
	for _, test := range []struct {
		name        string
		clientFirst bool
	}{{"client first", true}, {"backend first", false}} {
		t.Run(test.name, func(t *testing.T) {
			addr, ends := harness.FarEnds(t)
			goOn := make(chan struct{})
			s := harness.StartRawRouter(t, []string{addr}, "--linger-timeout=1m")
			a := harness.DialRaw(t, s.Addr())
			b := <-ends
			if !test.clientFirst {
				a, b = b, a
			}
			if err := first(a); err != nil {
				t.Fatal(err)
			}
			go func() {
				s.AwaitStill()
				close(goOn)
			}()
			if got, err := last(b, goOn); err != nil || got != early {
				t.Errorf("the last heard %q, %v, want %q", got, err, early)
			}
			if got, err := io.ReadAll(a); err != nil || string(got) != late {
				t.Errorf("the first heard %q, %v, want %q", got, err, late)
			}
			s.AwaitIdle()
			if got := s.Document().Engine.Flows.Closed["done"]; got != 1 {
				t.Errorf("closed done: got %d, want 1", got)
			}
		})
	}
}

// TestRawRouterPassesResets: without TLS a reset is all that tells an incomplete
// stream from a complete one, so it must not become a FIN.
func TestRawRouterPassesResets(t *testing.T) {
	reset := func(conn net.Conn) {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	for _, n := range []int64{5, 4 * harness.MiB} { // also one whose end is spliced
		for _, test := range []struct {
			name        string
			clientFirst bool
			cause       string
		}{{"client", true, "client_gone"}, {"backend", false, "backend_reset"}} {
			t.Run(test.name, func(t *testing.T) {
				addr, ends := harness.FarEnds(t)
				s := harness.StartRawRouter(t, []string{addr})
				a := harness.DialRaw(t, s.Addr())
				b := <-ends
				if !test.clientFirst {
					a, b = b, a
				}
				go io.Copy(a, nettest.NewPattern(8, n))
				if _, err := io.CopyN(io.Discard, b, n); err != nil {
					t.Fatal(err)
				}
				reset(a)
				if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("after %d bytes the other end saw %v, want a reset", n, err)
				}
				s.Await("it is counted", func(d harness.Document) bool { return d.Engine.Flows.Closed[test.cause] == 1 })
			})
		}
	}
}

// TestRawRouterWithoutBackend: the client gets a reset, and is served when there is a backend
// again.
func TestRawRouterWithoutBackend(t *testing.T) {
	addr := nettest.FreeAddr(t)
	s := harness.StartRawRouter(t, []string{addr}, "--rawrouter-gracetime=1h")
	conn, err := nettest.Dial(s.Addr())
	if err == nil { // the reset may come that soon
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v, want a reset", err)
	}
	s.Await("it is counted", func(d harness.Document) bool { return d.Engine.Flows.Closed["no_backend"] == 1 })
	nettest.ServeAt(t, addr, nettest.Echo)
	if err := harness.Ping(harness.DialRaw(t, s.Addr())); err != nil {
		t.Error(err)
	}
}

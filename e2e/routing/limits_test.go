package routing

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// connectFrom is dialFrom that may fail.
func connectFrom(source, addr string) (net.Conn, error) {
	return harness.From(source)(context.Background(), "tcp", addr)
}

// served reports whether a connection from source is served as ping says.
func served(source, addr string, config *tls.Config) (*tls.Conn, error) {
	raw, err := connectFrom(source, addr)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(harness.Patience))
	conn := tls.Client(raw, config)
	if err := harness.Ping(conn); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// TestConnectionsOfOneClient: of 5,000 connections from one address only as many as its limit are
// served, and another address does not notice.
func TestConnectionsOfOneClient(t *testing.T) {
	const connections, most = 5000, 100
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--client-connections", strconv.Itoa(most), "--handshake-timeout=5m")
	var held []net.Conn
	for range connections {
		conn, err := connectFrom("127.0.0.1", s.Addr())
		if err != nil {
			continue // it was reset while it connected
		}
		t.Cleanup(func() { conn.Close() })
		held = append(held, conn)
	}
	s.Await("all are accepted or reset", func(d harness.Document) bool {
		f := &d.Engine.Flows
		return f.Open == most && f.Closed["client_connections"] == connections-most
	})
	if c := s.Document().Engine.Clients; c.Clients != 1 || c.Untracked != 0 {
		t.Errorf("the table has %+v, want one client", c)
	}
	other, err := served("127.0.0.2", s.Addr(), harness.ClientConfig(pki))
	if err != nil {
		t.Fatalf("another address: %v", err)
	}
	defer other.Close()
	if conn, err := served("127.0.0.1", s.Addr(), harness.ClientConfig(pki)); err == nil {
		conn.Close()
		t.Error("one more from the same address was served")
	}
	for _, conn := range held {
		conn.Close()
	}
	s.Await("the others end", func(d harness.Document) bool {
		return d.Engine.Flows.Open == 1 &&
			d.Engine.Clients.Clients == 1
	})
	conn, err := served("127.0.0.1", s.Addr(), harness.ClientConfig(pki))
	if err != nil {
		t.Fatalf("when the others have ended: %v", err)
	}
	conn.Close()
}

// TestFullHandshakesOfOneClient: a client that makes too many is reset in every version; one that
// resumes is not.
func TestFullHandshakesOfOneClient(t *testing.T) {
	const attempts = 40
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s, pki := harness.EchoServer(t, testpki.ECDSA, "--client-handshakes=1,5")
			config := harness.ClientConfig(pki)
			config.MinVersion, config.MaxVersion, config.ClientSessionCache = version, version, nil
			returning := config.Clone()
			returning.ClientSessionCache = tls.NewLRUClientSessionCache(8)
			conn, err := served("127.0.0.1", s.Addr(), returning)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			var refused atomic.Int64
			var group sync.WaitGroup
			for range attempts {
				group.Go(func() {
					if conn, err := served("127.0.0.1", s.Addr(), config); err != nil {
						refused.Add(1)
					} else {
						conn.Close()
					}
				})
			}
			group.Wait()
			if refused.Load() == 0 || refused.Load() == attempts {
				t.Errorf("%d of %d were refused", refused.Load(), attempts)
			}
			if got := s.Document().Engine.Flows.Closed["client_handshakes"]; got != uint64(refused.Load()) {
				t.Errorf("%d are counted, want %d", got, refused.Load())
			}
			for range 20 {
				conn, err := served("127.0.0.1", s.Addr(), returning)
				if err != nil {
					t.Fatalf("a client with a session: %v", err)
				}
				if !conn.ConnectionState().DidResume {
					t.Error("it did not resume")
				}
				conn.Close()
			}
			if conn, err := served("127.0.0.2", s.Addr(), config); err != nil {
				t.Errorf("another address: %v", err)
			} else {
				conn.Close()
			}
		})
	}
}

// TestRequestsOfOneClient: a client that makes too many gets 429, by HTTP/1.1 and for each stream
// of HTTP/2, and is served later on the same connection.
func TestRequestsOfOneClient(t *testing.T) {
	const requests = 60
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			var asked atomic.Int64
			backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				io.WriteString(w, "page")
			})
			s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--client-requests=1,10")
			crowd, dials := countingClient(t, pki, protocol, "127.0.0.1")
			url := "https://" + s.Addr() + "/"
			var limited atomic.Int64
			var group sync.WaitGroup
			for range requests {
				group.Go(func() {
					resp, body, err := harness.Fetch(crowd, "GET", url, nil)
					switch {
					case err != nil:
						t.Error(err)
					case resp.Proto != protocol:
						t.Errorf("served by %s", resp.Proto)
					case resp.StatusCode == http.StatusTooManyRequests:
						limited.Add(1)
						if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 1 {
							t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
						}
					case body != "page":
						t.Errorf("got %d %q", resp.StatusCode, body)
					}
				})
			}
			group.Wait()
			if n := limited.Load(); n == 0 || n > requests-10 || asked.Load() != requests-n {
				t.Errorf("%d of %d were limited, and the backend was asked %d times", n, requests, asked.Load())
			}
			if got := s.Document().Engine.HTTP.Refused["client limit"]; got != uint64(limited.Load()) {
				t.Errorf("%d are counted, want %d", got, limited.Load())
			}
			other, _ := countingClient(t, pki, protocol, "127.0.0.2")
			harness.WantPage(t, other, url, "page")
			nettest.Eventually(t, harness.Patience, func() bool {
				resp, _, err := harness.Fetch(crowd, "GET", url, nil)
				return err == nil && resp.StatusCode == http.StatusOK
			}, "the client is served again")
			if n := dials.Load(); n != 1 {
				t.Errorf("the client needed %d connections, want 1", n)
			}
		})
	}
}

// countingClient counts the connections that it makes, from a source.
func countingClient(t *testing.T, pki *testpki.PKI, protocol, source string) (*http.Client,
	*atomic.Int64,
) {
	dials := new(atomic.Int64)
	return harness.HTTPClient(t, harness.ClientConfig(pki), func(transport *http.Transport) {
		transport.ForceAttemptHTTP2 = protocol == "HTTP/2.0"
		transport.MaxConnsPerHost = 1
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return harness.From(source)(ctx, network, addr)
		}
	}), dials
}

// TestDeniedNetworks: a denied client is reset before any work is done for it; an allowed one has
// no limits.
func TestDeniedNetworks(t *testing.T) {
	list := harness.WriteFile(t, "deny.txt", "127.0.0.96/28\n# an old one\n198.51.100.0/24\n")
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--client-deny=@"+list, "--client-allow=127.0.0.99,127.0.0.4", "--client-connections=1")
	for _, test := range []struct {
		source string
		want   int // of three connections at the same time
	}{{"127.0.0.1", 1}, {"127.0.0.96", 0}, {"127.0.0.111", 0}, {"127.0.0.99", 3}, {"127.0.0.4", 3}} {
		got := 0
		for range 3 {
			if conn, err := served(test.source, s.Addr(), harness.ClientConfig(pki)); err == nil {
				t.Cleanup(func() { conn.Close() })
				got++
			}
		}
		if got != test.want {
			t.Errorf("%s: %d of 3 connections were served, want %d", test.source, got, test.want)
		}
	}
	closed := s.Document().Engine.Flows.Closed
	if closed["denied"] != 6 || closed["client_connections"] != 2 {
		t.Errorf("got %v, want 6 denied, 2 too many", closed)
	}
}

// TestLimitsByPROXYHeader: the client that the header names is limited, not the proxy.
func TestLimitsByPROXYHeader(t *testing.T) {
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--sslrouter-accept-proxy=127.0.0.2", "--client-connections=2", "--client-deny=203.0.113.0/24,127.0.0.2")
	through := func(client string) error {
		raw, err := connectFrom("127.0.0.2", s.Addr())
		if err != nil {
			return err
		}
		t.Cleanup(func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(harness.Patience))
		if _, err := io.WriteString(raw, proxyHeader(2, client)); err != nil {
			return err
		}
		return harness.Ping(tls.Client(raw, harness.ClientConfig(pki)))
	}
	for i, test := range []struct {
		client string
		served bool
	}{
		{"192.0.2.7:1", true},
		{"192.0.2.7:2", true},
		{"192.0.2.7:3", false},
		{"192.0.2.8:1", true},
		{"203.0.113.5:1", false},
		{"", true},
		{"", true},
		{"", true}, // the proxy's own health checks
	} {
		if err := through(test.client); (err == nil) != test.served {
			t.Errorf("connection %d, of %q: %v", i, test.client, err)
		}
	}
	// A client that may not send a header is counted by its own address.
	for i := range 3 {
		conn, err := served("127.0.0.1", s.Addr(), harness.ClientConfig(pki))
		if err == nil {
			t.Cleanup(func() { conn.Close() })
		}
		if (err == nil) != (i < 2) {
			t.Errorf("direct connection %d: %v", i, err)
		}
	}
	closed := s.Document().Engine.Flows.Closed
	if closed["denied"] != 1 || closed["client_connections"] != 2 {
		t.Errorf("got %v, want 1 denied, 2 too many", closed)
	}
}

// TestLimitsReload: limits and lists change while a node serves; the use of clients stays counted,
// and existing connections go on.
func TestLimitsReload(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr := nettest.FreeAddr(t)
	deny := harness.WriteFile(t, "deny.txt", "")
	base := "[reprise]\nsslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile +
		"\nsslrouter-to = " + nettest.Serve(t, nettest.Echo).Addr + "\nclient-deny = @" + deny + "\n"
	file := harness.WriteFile(t, "edge.ini", base+"client-connections = 1\n")
	s := harness.Start(t, file)
	count := func(source string) (n int) {
		for range 4 {
			if conn, err := served(source, addr, harness.ClientConfig(pki)); err == nil {
				t.Cleanup(func() { conn.Close() })
				n++
			}
		}
		return n
	}
	kept, err := served("127.0.0.1", addr, harness.ClientConfig(pki))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if got := count("127.0.0.1"); got != 0 {
		t.Errorf("%d more than one connection were served", got)
	}
	reload := func(list, options string) {
		t.Helper()
		reloads := func() uint64 {
			var d struct{ Reload struct{ Done, Failed uint64 } }
			if s.Decode(&d); d.Reload.Failed > 0 {
				t.Fatal("a reload failed")
			}
			return d.Reload.Done
		}
		before := reloads()
		if err := os.WriteFile(deny, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(base+options), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Signal(syscall.SIGHUP)
		nettest.Eventually(t, harness.Patience, func() bool { return reloads() > before }, "the configuration is read again")
	}
	reload("127.0.0.2\n", "client-connections = 3\n")
	if got := count("127.0.0.1"); got != 2 {
		t.Errorf("%d more were served, want 2 beside the one of before", got)
	}
	if got := count("127.0.0.2"); got != 0 {
		t.Errorf("%d of a denied address were served", got)
	}
	reload("127.0.0.1\n", "")
	if err := harness.Ping(kept); err != nil {
		t.Errorf("a connection that was there before its client was denied: %v", err)
	}
	if one, two := count("127.0.0.1"), count("127.0.0.2"); one != 0 || two != 4 {
		t.Errorf("%d of a denied address were served, %d of another, want none and 4", one, two)
	}
}

package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestAddresses: every form of address works for listeners and backends.
func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		name            string
		listen, backend func(t *testing.T) string
	}{
		{"IPv4", ipv4Addr, nil},
		{"every interface", anyInterface, nil},
		{"IPv6", ipv6Addr, nil},
		{"unix listener", harness.UnixAddr, nil},
		{"unix backend", ipv4Addr, harness.UnixAddr},
		{"IPv6 backend", ipv4Addr, ipv6Addr},
	} {
		t.Run(test.name, func(t *testing.T) {
			pki := testpki.New(t)
			cert := pki.Server(testpki.ECDSA, "localhost")
			addr := test.listen(t)
			backend := nettest.Serve(t, nettest.Echo)
			if test.backend != nil {
				backend = nettest.ServeAt(t, test.backend(t), nettest.Echo)
			}
			s := harness.Start(t, "--http-processes", "2", "--sslrouter", addr+","+cert.CertFile+","+cert.KeyFile, harness.To(backend.Addr))
			if len(s.Addresses) != 1 || s.Addr() != addr {
				t.Errorf("listens on %v, want %v", s.Addresses, addr)
			}
			config := harness.ClientConfig(pki)
			harness.WantResumed(t, addr, config, false)
			harness.WantResumed(t, addr, config, true)
			if row := s.Document().Backends.Nodes[0]; row.Name != backend.Addr || row.Hits != 2 {
				t.Errorf("backend %s has %d hits, want %s, 2", row.Name, row.Hits, backend.Addr)
			}
			s.Stop()
			if _, err := os.Stat(addr); err == nil {
				t.Errorf("%s was left behind", addr)
			}
		})
	}
}

func ipv4Addr(t *testing.T) string { return nettest.FreeAddr(t) }

func ipv6Addr(t *testing.T) string { return fmt.Sprintf("[::1]:%d", nettest.FreePort(t)) }

func anyInterface(t *testing.T) string { return fmt.Sprintf(":%d", nettest.FreePort(t)) }

// TestDeadBackendAmongTwo: no client notices, the operator does.
func TestDeadBackendAmongTwo(t *testing.T) {
	pki := testpki.New(t)
	dead, alive := nettest.FreeAddr(t), nettest.Serve(t, nettest.Echo)
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(dead),
		harness.To(alive.Addr), "--sslrouter-gracetime", "1h")
	const n = 20
	for range n {
		harness.Visit(t, s.Addr(), harness.ClientConfig(pki))
	}
	for _, row := range s.Document().Backends.Nodes {
		switch {
		case row.Name == dead && (row.Hits > 0 || row.Failures == 0 || row.Up != 0 || row.Grace == 0):
			t.Errorf("the dead backend: %+v, want failures and not up", row)
		case row.Name == alive.Addr && (row.Hits != n || row.Failures > 0 || row.Up != 1):
			t.Errorf("the other backend: %+v, want %d hits and up", row, n)
		}
	}
}

// TestAllBackendsDead: the client gets a reset at once, and is served again when a backend is back.
func TestAllBackendsDead(t *testing.T) {
	pki := testpki.New(t)
	addrs := []string{nettest.FreeAddr(t), nettest.FreeAddr(t)}
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(addrs[0]),
		harness.To(addrs[1]), "--sslrouter-gracetime", "1h")
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the client saw %v, want that it is cut off", err)
	}
	if got := s.Document().Engine.Flows.Closed["no_backend"]; got != 1 {
		t.Errorf("closed no_backend: got %d, want 1", got)
	}
	nettest.ServeAt(t, addrs[1], nettest.Echo)
	harness.Visit(t, s.Addr(), harness.ClientConfig(pki))
}

// TestBackendReset: a response that the backend breaks off must not look complete to the client.
func TestBackendReset(t *testing.T) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		pki := testpki.New(t)
		backend := nettest.Serve(t, func(conn net.Conn) {
			io.CopyN(conn, nettest.NewPattern(6, harness.MiB), harness.MiB)
			io.CopyN(io.Discard, conn, 1) // the client has got something
			conn.(*net.TCPConn).SetLinger(0)
		})
		s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(backend.Addr))
		conn := harness.Connect(t, s.Addr(),
			harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.MaxVersion = version }))
		if _, err := io.ReadFull(conn, make([]byte, harness.MiB)); err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte{1})
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, harness.ErrNoCloseNotify) {
			t.Errorf("the client saw %v, want an end without close_notify", err)
		}
		if got := s.Document().Engine.Flows.Closed["backend_reset"]; got != 1 {
			t.Errorf("closed backend_reset: got %d, want 1", got)
		}
	})
}

// TestClientEnds: a backend can tell an end that the client intended from one that an attacker on
// the path may have forged.
func TestClientEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		end   func(*tls.Conn)
		want  error // nil is a proper end
		cause string
	}{
		{"close_notify", func(c *tls.Conn) { c.CloseWrite() }, nil, "done"},
		{"FIN alone", func(c *tls.Conn) { harness.TCP(c).CloseWrite() }, syscall.ECONNRESET, "truncated"},
		{"RST", func(c *tls.Conn) {
			harness.TCP(c).SetLinger(0)
			harness.TCP(c).Close()
		}, syscall.ECONNRESET, "client_gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			end := make(chan error, 1)
			pki := testpki.New(t)
			s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
				harness.To(nettest.Serve(t, func(conn net.Conn) {
					_, err := io.Copy(conn, conn)
					end <- err
				}).Addr))
			conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
			if err := harness.Ping(conn); err != nil {
				t.Fatal(err)
			}
			test.end(conn)
			if err := <-end; !errors.Is(err, test.want) {
				t.Errorf("the backend saw %v, want %v", err, test.want)
			}
			io.Copy(io.Discard, conn)
			harness.TCP(conn).Close()
			s.AwaitIdle()
			if got := s.Document().Engine.Flows.Closed[test.cause]; got != 1 {
				t.Errorf("closed %s: got %d, want 1: %v", test.cause, got, s.Document().Engine.Flows.Closed)
			}
		})
	}
}

package backendtls

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// relayTLS runs the program with a listener of each kind that relays bytes, in front of a
// backend with TLS, and returns a way to each.
func relayTLS(t *testing.T, backend string, args ...string) (s *harness.Server,
	dial map[string]func(t *testing.T) net.Conn,
) {
	front := testpki.New(t)
	raw := nettest.FreeAddr(t)
	s = harness.Start(t, append(args, harness.Listen(front.Server(testpki.ECDSA, "localhost")), "--sslrouter-to=tls://"+backend, "--sslrouter-backend-name=backend.example",
		"--rawrouter="+raw, "--rawrouter-to=tls://"+backend, "--rawrouter-backend-name=backend.example")...)
	return s, map[string]func(t *testing.T) net.Conn{
		"sslrouter": func(t *testing.T) net.Conn {
			return harness.Connect(t, s.Addresses[0],
				harness.ClientConfig(front))
		},
		"rawrouter": func(t *testing.T) net.Conn { return harness.DialRaw(t, raw) },
	}
}

type halfCloser interface{ CloseWrite() error }

// TestBackendTLSRelays: a raw stream comes through byte for byte, both ways at once, and each
// end by itself.
func TestBackendTLSRelays(t *testing.T) {
	pki := testpki.New(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			const n = 12 * harness.MiB
			backend := serveTLS(t, harness.With(serverConfig(pki.Server(testpki.ECDSA, "backend.example")),
				func(c *tls.Config) { c.MaxVersion = version }), func(conn net.Conn) {
				sent := make(chan error, 1)
				go func() {
					_, err := io.Copy(conn, nettest.NewPattern(2, n))
					sent <- err
				}()
				err := nettest.CheckPattern(conn, 1, n)
				<-sent
				fmt.Fprintf(conn, "%v", err) // after the client's end
			})
			_, dial := relayTLS(t, backend.Addr, "--sslrouter-backend-ca="+pki.CAFile, "--rawrouter-backend-ca="+pki.CAFile)
			for name, connect := range dial {
				t.Run(name, func(t *testing.T) {
					conn := connect(t)
					go func() {
						io.Copy(conn, nettest.NewPattern(1, n))
						conn.(halfCloser).CloseWrite()
					}()
					if err := nettest.CheckPattern(io.LimitReader(conn, n), 2, n); err != nil {
						t.Fatal(err)
					}
					if verdict, err := io.ReadAll(conn); err != nil || string(verdict) != "<nil>" {
						t.Errorf("the backend got %s; then %v", verdict, err)
					}
				})
			}
		})
	}
}

// TestBackendTLSOpenSSL: openssl gets the client's bytes, and the client its answer.
func TestBackendTLSOpenSSL(t *testing.T) {
	nettest.Need(t, "openssl")
	pki := testpki.New(t)
	cert := pki.Server(testpki.RSA, "backend.example")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		addr := nettest.FreeAddr(t)
		nettest.Start(t, nettest.Command{
			Path: "openssl", Args: []string{
				"s_server", "-accept", addr, "-cert", cert.CertFile, "-key", cert.KeyFile, "-rev", "-quiet",
				version,
			}, Timeout: harness.Patience,
		}, nettest.Accepts(addr))
		s, dial := relayTLS(t, addr, "--sslrouter-backend-ca="+pki.CAFile, "--rawrouter-backend-ca="+pki.CAFile)
		for name, connect := range dial {
			conn := connect(t)
			r := bufio.NewReader(conn)
			for i := range 100 {
				line := fmt.Sprint("line ", i, " ", strings.Repeat("x", i*10))
				fmt.Fprintln(conn, line)
				got, err := r.ReadString('\n')
				if err != nil || reversed(strings.TrimSuffix(got, "\n")) != line {
					t.Fatalf("%s, %s: got %q, %v for %q", version, name, got, err, line)
				}
			}
			conn.(halfCloser).CloseWrite()
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("%s, %s: at the end %q, %v", version, name, rest, err)
			}
		}
		if len(s.BackendTLS().Failures) == 0 {
			t.Error("nothing is counted")
		}
	}
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// TestBackendTLSTruncation: a stream cut on the path looks cut to the other end.
func TestBackendTLSTruncation(t *testing.T) {
	pki := testpki.New(t)
	ended := make(chan error, 1)
	backend := nettest.Serve(t, func(raw net.Conn) {
		conn := tls.Server(harness.StrictConn{Conn: raw}, serverConfig(pki.Server(testpki.ECDSA, "backend.example")))
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil {
			return
		}
		io.WriteString(conn, "answer")
		if string(b) == "cut!\n" {
			raw.Close()
			return
		}
		_, err := io.ReadAll(conn)
		ended <- err
	})
	_, dial := relayTLS(t, backend.Addr, "--sslrouter-backend-ca="+pki.CAFile, "--rawrouter-backend-ca="+pki.CAFile)
	for name, connect := range dial {
		conn := connect(t)
		io.WriteString(conn, "cut!\n")
		if got, err := io.ReadAll(conn); err == nil || !strings.HasPrefix("answer", string(got)) {
			t.Errorf("%s: the backend was cut off: the client got %q and %v", name, got, err)
		}
		conn = connect(t)
		io.WriteString(conn, "wait\n")
		if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		if c, ok := conn.(*tls.Conn); ok {
			c.NetConn().Close() // no close_notify
		} else {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: the client was cut off, and the backend saw a proper end", name)
		}
	}
}

// TestBackendTLSBackpressure: an end that does not read costs bounded memory, and loses
// nothing when it goes on.
func TestBackendTLSBackpressure(t *testing.T) {
	pki := testpki.New(t)
	config := serverConfig(pki.Server(testpki.ECDSA, "backend.example"))
	const highWatermark, n = 256 << 10, 24 * harness.MiB
	for _, name := range []string{"sslrouter", "rawrouter"} {
		t.Run("client of "+name, func(t *testing.T) {
			backend := serveTLS(t, config, nettest.Source(5, n))
			s, dial := relayTLS(t, backend.Addr, "--sslrouter-backend-ca="+pki.CAFile, "--rawrouter-backend-ca="+pki.CAFile)
			before := harness.RSS(t, s)
			conn := dial[name](t)
			s.Await("the stream begins", func(d harness.Document) bool { return d.Engine.Flows.PlainOutBytes > 0 })
			s.AwaitStill()
			harness.WantGrown(t, s, before, 16*harness.MiB)
			if s.Document().Engine.Flows.PlainOutBytes >= n {
				t.Error("the backend was read to its end, though nobody took it")
			}
			if err := nettest.CheckPattern(conn, 5, n); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("backend", func(t *testing.T) {
		release := make(chan struct{})
		verdict := make(chan error, 1)
		backend := serveTLS(t, config, func(conn net.Conn) {
			<-release
			verdict <- nettest.CheckPattern(conn, 6, n)
		})
		s, dial := relayTLS(t, backend.Addr, "--sslrouter-backend-ca="+pki.CAFile, "--rawrouter-backend-ca="+pki.CAFile)
		conn := dial["sslrouter"](t)
		go func() {
			io.Copy(conn, nettest.NewPattern(6, n))
			conn.(halfCloser).CloseWrite()
		}()
		s.Await("the stream begins", func(d harness.Document) bool { return d.Engine.Flows.PlainInBytes > highWatermark })
		s.AwaitStill()
		if got := s.Document().Engine.Flows.PlainInBytes; got >= n {
			t.Errorf("%d bytes were taken, though the backend read none", got)
		}
		close(release)
		if err := <-verdict; err != nil {
			t.Error(err)
		}
	})
}

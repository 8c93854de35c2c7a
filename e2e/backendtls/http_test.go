package backendtls

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// serveTLS runs a server of Go's TLS until the test ends. It ends each connection with
// close_notify when handle has returned.
func serveTLS(t *testing.T, config *tls.Config, handle nettest.Handler) *nettest.Backend {
	return nettest.Serve(t, func(raw net.Conn) {
		conn := tls.Server(harness.StrictConn{Conn: raw}, config)
		if conn.Handshake() == nil {
			handle(conn)
			conn.CloseWrite()
		}
	})
}

// serveHTTPS runs Go's own server until the test ends.
func serveHTTPS(t *testing.T, config *tls.Config, handle http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handle, ErrorLog: log.New(io.Discard, "", 0)}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// serverConfig is a server that shows cert.
func serverConfig(cert *testpki.Cert) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
}

// bigPage serves a body of 8 MiB, and checks one that comes.
func bigPage(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		if err := nettest.CheckPattern(r.Body, 7, 8*harness.MiB); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, "taken")
	case r.URL.Path == "/big":
		if r.URL.RawQuery != "chunked" {
			w.Header().Set("Content-Length", fmt.Sprint(8*harness.MiB))
		}
		io.Copy(w, nettest.NewPattern(9, 8*harness.MiB))
	default:
		fmt.Fprint(w, "page "+r.URL.Path)
	}
}

// TestBackendTLSHTTP: requests and large bodies both ways, by clients of HTTP/1.1 and
// HTTP/2, on kept connections to the servers that operators have.
func TestBackendTLSHTTP(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.RSA, "backend.example")
	plain := harness.ServeHTTP(t, bigPage)
	backends := map[string]func(t *testing.T) string{
		"nginx": func(t *testing.T) string {
			addr := nettest.FreeAddr(t)
			harness.StartNginx(t, nettest.FreeAddr(t), fmt.Sprintf(`listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; client_max_body_size 0; keepalive_requests 100000;
				location / { proxy_pass http://%s; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; }`, addr, cert.CertFile, cert.KeyFile, plain))
			return addr
		},
		"haproxy": func(t *testing.T) string {
			addr := nettest.FreeAddr(t)
			harness.StartHAProxy(t, addr, fmt.Sprintf("frontend f\n mode http\n bind %s ssl crt %s\n default_backend b\nbackend b\n mode http\n server s %s\n", addr, cert.PEMFile, plain))
			return addr
		},
		"Go TLS 1.2": func(t *testing.T) string {
			return serveHTTPS(t, harness.With(serverConfig(cert),
				func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), bigPage)
		},
		"Go TLS 1.3": func(t *testing.T) string { return serveHTTPS(t, serverConfig(cert), bigPage) },
	}
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			s, front := harness.StartHTTPS(t, "--http-to=https://"+backend(t), "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile, "--http-processes=1")
			url := "https://" + s.Addr()
			for _, http2 := range []bool{false, true} {
				client := harness.HTTPClient(t, harness.ClientConfig(front),
					func(tr *http.Transport) { tr.ForceAttemptHTTP2 = http2 })
				for i := range 20 {
					harness.WantPage(t, client, fmt.Sprint(url, "/", i), fmt.Sprint("page /", i))
				}
				fetchLarge(t, client, url, http2)
				if _, body, err := harness.Fetch(client, "POST", url+"/",
					nettest.NewPattern(7, 8*harness.MiB)); err != nil || body != "taken" {
					t.Errorf("a large body: got %q, %v", body, err)
				}
			}
			d := s.Document()
			if got := s.BackendTLS(); got.Handshakes["full"] != 1 || got.Handshakes["resumed"] > 2 ||
				len(got.Failures) == 0 {
				t.Errorf("handshakes: %v, want one, and hardly another", got)
			}
			if reused := d.Engine.HTTP.Reused; reused < 40 {
				t.Errorf("%d requests went to a kept connection, want nearly all of 46", reused)
			}
		})
	}
}

// fetchLarge gets pages of 8 MiB, with a length and in chunks.
func fetchLarge(t *testing.T, client *http.Client, url string, http2 bool) {
	for _, path := range []string{"/big", "/big?chunked"} {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := nettest.CheckPattern(resp.Body, 9, 8*harness.MiB); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		if http2 != (resp.ProtoMajor == 2) {
			t.Errorf("the client spoke %s", resp.Proto)
		}
	}
}

// TestBackendTLSClientCertificate: a backend that asks for a certificate gets it, and the
// one that the files hold after a reload.
func TestBackendTLSClientCertificate(t *testing.T) {
	pki := testpki.New(t)
	server := pki.Server(testpki.ECDSA, "backend.example")
	addr := nettest.FreeAddr(t)
	harness.StartNginx(t, nettest.FreeAddr(t), fmt.Sprintf(`listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s; ssl_verify_client on;
		location / { return 200 "$ssl_client_s_dn $ssl_session_reused"; }`, addr, server.CertFile, server.KeyFile, pki.CAFile))
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	install := func(c *testpki.Cert) {
		t.Helper()
		for file, data := range map[string][]byte{certFile: c.CertPEM, keyFile: c.KeyPEM} {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	install(pki.Client("first"))
	s, front := harness.StartHTTPS(t, "--http-to=https://"+addr, "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile,
		"--http-backend-cert="+certFile, "--http-backend-key="+keyFile, "--http-processes=1")
	client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
	url := "https://" + s.Addr()
	harness.WantPage(t, client, url, "CN=first .")
	install(pki.Client("second"))
	s.Reload()
	harness.WantPage(t, client, url, "CN=second .") // not by the connection that is kept, nor by its session
	os.WriteFile(certFile, []byte("no certificate"), 0o600)
	s.Reload()
	s.Match(`.*a file is not taken.*holds no PEM certificate.*`)
	harness.WantPage(t, client, url, "CN=second .")

	t.Run("without one", func(t *testing.T) {
		strict := serveHTTPS(t, harness.With(serverConfig(server), func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pki.CA.Pool()
		}), func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		})
		s, front := harness.StartHTTPS(t, "--http-to=https://"+strict, "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile)
		if resp, _, err := harness.Fetch(harness.HTTPClient(t, harness.ClientConfig(front), nil), "GET",
			"https://"+s.Addr(), nil); err != nil || resp.StatusCode != http.StatusBadGateway {
			t.Fatalf("got %v, %v, want 502", resp, err)
		}
		s.Match(`.*no TLS with a backend.*"reason":"alert".*certificate required.*`)
	})
}

// TestBackendTLSForgetsAuthorities: an authority that is no longer trusted is no longer used,
// neither by kept connections nor by sessions.
func TestBackendTLSForgetsAuthorities(t *testing.T) {
	pki, next := testpki.New(t), testpki.New(t)
	addr := serveHTTPS(t, serverConfig(pki.Server(testpki.ECDSA, "backend.example")),
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") })
	s, front := harness.StartHTTPS(t, "--http-to=https://"+addr, "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile, "--http-processes=1")
	client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
	harness.WantPage(t, client, "https://"+s.Addr(), "page")
	s.Reload() // in which nothing has changed
	harness.WantPage(t, client, "https://"+s.Addr(), "page")
	s.WantHandshakes(1, 0)
	if err := os.WriteFile(pki.CAFile, next.CA.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if resp, _, err := harness.Fetch(client, "GET", "https://"+s.Addr(), nil); err != nil ||
		resp.StatusCode != http.StatusBadGateway {
		t.Fatalf("got %v, %v, want 502", resp, err)
	}
	s.Match(`.*no TLS with a backend.*"reason":"authority".*`)
}

// TestBackendTLSResumes: connections that come back to a backend resume.
func TestBackendTLSResumes(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "backend.example")
	page := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }
	backends := map[string]func(t *testing.T) string{
		"TLS 1.2": func(t *testing.T) string {
			return serveHTTPS(t, harness.With(serverConfig(cert),
				func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), page)
		},
		"TLS 1.3": func(t *testing.T) string { return serveHTTPS(t, serverConfig(cert), page) },
		"nginx": func(t *testing.T) string {
			addr := nettest.FreeAddr(t)
			harness.StartNginx(t, nettest.FreeAddr(t), fmt.Sprintf(`listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; location / { return 200 page; }`, addr, cert.CertFile, cert.KeyFile))
			return addr
		},
		"ourselves with sessions that are used once": func(t *testing.T) string {
			inner := harness.Start(t, "--ssl-sessions-single-use", strings.Replace(harness.HTTPS(cert), "addr=", "alpn=http/1.1,addr=", 1),
				harness.HTTPTo(harness.ServeHTTP(t, page)))
			return inner.Addr()
		},
	}
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			s, front := harness.StartHTTPS(t, "--http-to=https://"+backend(t), "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile, "--http-backend-keepalive=0")
			client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
			for range 6 {
				harness.WantPage(t, client, "https://"+s.Addr(), "page")
			}
			s.WantHandshakes(1, 5)
		})
	}
}

// TestBackendTLSDiesInAnswer: an unfinished response does not look complete, and a finished one
// does.
func TestBackendTLSDiesInAnswer(t *testing.T) {
	pki := testpki.New(t)
	config := serverConfig(pki.Server(testpki.ECDSA, "backend.example"))
	const part = "HTTP/1.1 200 OK\r\n%s\r\nthe first half"
	for _, test := range []struct {
		name, field string
		die         func(*tls.Conn)
		whole       bool
	}{
		{"a reset", "Content-Length: 28\r\n", func(c *tls.Conn) { c.NetConn().(*net.TCPConn).SetLinger(0); c.NetConn().Close() }, false},
		{"a FIN", "Content-Length: 28\r\n", func(c *tls.Conn) { c.NetConn().Close() }, false},
		{"close_notify", "Content-Length: 28\r\n", func(c *tls.Conn) { c.Close() }, false},
		{"a FIN where only that is the end", "", func(c *tls.Conn) { c.NetConn().Close() }, false},
		{"close_notify where only that is the end", "", func(c *tls.Conn) { c.Close() }, true},
		{"half a record", "", func(c *tls.Conn) { io.WriteString(c.NetConn(), "\x17\x03\x03\x00\x20half"); c.NetConn().Close() }, false},
		{"garbage", "", func(c *tls.Conn) {
			io.WriteString(c.NetConn(), "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			io.Copy(io.Discard, c.NetConn())
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			backend := nettest.Serve(t, func(raw net.Conn) {
				conn := tls.Server(raw, config)
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					fmt.Fprintf(conn, part, test.field)
					test.die(conn)
				}
			})
			s, front := harness.StartHTTPS(t, "--http-to=https://"+backend.Addr, "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile)
			resp, body, err := harness.Fetch(harness.HTTPClient(t, harness.ClientConfig(front), nil), "GET",
				"https://"+s.Addr(), nil)
			if test.whole != (err == nil) || !strings.HasPrefix("the first half", body) || test.whole &&
				(resp.StatusCode != 200 || body != "the first half") {
				t.Errorf("got %q, %v; it is whole: %v", body, err, test.whole)
			}
		})
	}
}

// TestBackendTLSTunnel: an Upgrade makes a stream of bytes by TLS.
func TestBackendTLSTunnel(t *testing.T) {
	pki := testpki.New(t)
	backend := serveTLS(t, serverConfig(pki.Server(testpki.ECDSA, "127.0.0.1")), func(conn net.Conn) {
		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		io.Copy(conn, r)
	})
	s, front := harness.StartHTTPS(t, "--http-to=https://"+backend.Addr, "--http-backend-ca="+pki.CAFile)
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(front))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("got %v, %v", resp, err)
	}
	io.WriteString(conn, "world")
	conn.CloseWrite()
	if got, err := io.ReadAll(r); err != nil || string(got) != "hello world" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A burstConn keeps what is written until it is released, and sends it at once then.
type burstConn struct {
	net.Conn
	held    []byte
	holding bool
}

func (c *burstConn) Write(p []byte) (int, error) {
	if !c.holding {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *burstConn) release() {
	c.holding = false
	c.Write(c.held)
	c.held = nil
}

// TestBackendTLSUnasked: a backend's bytes behind a response, whole or in part, reach no client.
func TestBackendTLSUnasked(t *testing.T) {
	pki := testpki.New(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, unasked := range []string{"in a record", "in one of its own", "in half a record"} {
			t.Run(fmt.Sprint(tls.VersionName(version), " ", unasked), func(t *testing.T) {
				config := harness.With(serverConfig(pki.Server(testpki.ECDSA, "127.0.0.1")),
					func(c *tls.Config) { c.MaxVersion = version })
				backend := nettest.Serve(t, func(raw net.Conn) {
					burst := &burstConn{Conn: raw}
					conn := tls.Server(burst, config)
					if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
						return
					}
					burst.holding = true
					switch unasked {
					case "in a record":
						io.WriteString(conn, ok+"page"+ok+"evil")
					case "in one of its own":
						io.WriteString(conn, ok+"page")
						io.WriteString(conn, ok+"evil")
					default:
						io.WriteString(conn, ok+"page")
						io.WriteString(burst, "\x17\x03\x03\x00\x80half")
					}
					burst.release()
					io.Copy(io.Discard, raw)
				})
				s, front := harness.StartHTTPS(t, "--http-to=https://"+backend.Addr, "--http-backend-ca="+pki.CAFile, "--http-processes=1")
				client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
				for range 10 {
					harness.WantPage(t, client, "https://"+s.Addr(), "page")
				}
				if got := s.Document().Engine.HTTP.Reused; got != 0 {
					t.Errorf("%d requests went to a connection that has said too much", got)
				}
			})
		}
	}
}

// TestBackendTLSSendsProxyBefore: the PROXY header comes before TLS, in clear.
func TestBackendTLSSendsProxyBefore(t *testing.T) {
	pki := testpki.New(t)
	config := serverConfig(pki.Server(testpki.ECDSA, "backend.example"))
	backend := nettest.Serve(t, func(raw net.Conn) {
		var header []byte
		for b := make([]byte, 1); !bytes.HasSuffix(header, []byte("\r\n")); header = append(header, b...) {
			if _, err := raw.Read(b); err != nil {
				return
			}
		}
		conn := tls.Server(raw, config)
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "GET") {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		}
		fmt.Fprintf(conn, "%s", header)
		conn.Close()
	})
	front := testpki.New(t)
	cert := front.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	s := harness.Start(t, harness.Listen(cert), harness.HTTPS(cert), "--sslrouter-to=tls://"+backend.Addr, "--sslrouter-send-proxy=v1", "--sslrouter-backend-name=backend.example", "--sslrouter-backend-ca="+pki.CAFile,
		"--http-to=https://"+backend.Addr, "--http-send-proxy=v1", "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile)
	ports := map[string]string{}
	for _, addr := range s.Addresses {
		conn := harness.Connect(t, addr, harness.ClientConfig(front))
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		got, err := io.ReadAll(conn)
		want := "PROXY TCP4 127.0.0.1 127.0.0.1 " + strings.Split(conn.LocalAddr().String(), ":")[1]
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %q, %v, want %s", addr, got, err, want)
		}
		ports[addr] = want
	}
	if len(ports) != 2 {
		t.Errorf("%d listeners were asked", len(ports))
	}
}

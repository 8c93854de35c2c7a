package backendtls

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestBackendTLSRefuses: a backend that cannot prove its name gets no request. The client, the log
// and the statistics get the reason; the next backend is tried.
func TestBackendTLSRefuses(t *testing.T) {
	pki, other := testpki.New(t), testpki.New(t)
	good := pki.Server(testpki.ECDSA, "backend.example")
	expired := pki.Issue(testpki.Template{Names: []string{"backend.example"}, NotAfter: time.Now().Add(-time.Hour)})
	page := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }
	for _, test := range []struct {
		name, reason, line string
		backend            func(t *testing.T) string
		args               []string
	}{
		{"wrong name", "name", "certificate is valid for backend.example, not elsewhere.example", func(t *testing.T) string {
			return serveHTTPS(t, serverConfig(good), page)
		}, []string{"--http-backend-name=elsewhere.example"}},
		{"an address that is not in the certificate", "name", "cannot validate certificate for 127.0.0.1", func(t *testing.T) string {
			return serveHTTPS(t, serverConfig(good), page)
		}, nil},
		{"wrong authority", "authority", "certificate signed by unknown authority", func(t *testing.T) string {
			return serveHTTPS(t, serverConfig(other.Server(testpki.ECDSA, "backend.example")), page)
		}, []string{"--http-backend-name=backend.example"}},
		{"expired", "expired", "certificate has expired", func(t *testing.T) string {
			return serveHTTPS(t, serverConfig(expired), page)
		}, []string{"--http-backend-name=backend.example"}},
		{"no server's certificate", "certificate", "incompatible key usage", func(t *testing.T) string {
			return serveHTTPS(t, serverConfig(pki.Issue(testpki.Template{Names: []string{"backend.example"}, Client: true})),
				page)
		}, []string{"--http-backend-name=backend.example"}},
		{"TLS 1.1", "alert", "protocol version", func(t *testing.T) string {
			return serveHTTPS(t, harness.With(serverConfig(good),
				func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), page)
		}, []string{"--http-backend-name=backend.example"}},
		{"no TLS", "not_tls", "first record does not look like a TLS handshake", func(t *testing.T) string {
			return harness.ServeHTTP(t, page)
		}, []string{"--http-backend-name=backend.example"}},
		{"nothing", "closed", "closed the connection", func(t *testing.T) string {
			return nettest.Serve(t, func(conn net.Conn) { conn.Read(make([]byte, 1)) }).Addr
		}, []string{"--http-backend-name=backend.example"}},
		{"silence", "timeout", "the handshake took too long", func(t *testing.T) string {
			return nettest.Serve(t, nettest.Discard).Addr
		}, []string{"--http-backend-name=backend.example", "--http-connect-timeout=100ms"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantRefused(t, pki, test.backend(t), test.reason, test.line, test.args)
		})
	}
	t.Run("the next backend", func(t *testing.T) {
		testNextBackend(t, pki, serveHTTPS(t, serverConfig(other.Server(testpki.ECDSA, "backend.example")), page),
			serveHTTPS(t, serverConfig(good), page))
	})
	t.Run("not verified", func(t *testing.T) {
		s, front := harness.StartHTTPS(t, "--http-to=https://"+serveHTTPS(t, serverConfig(expired), page), "--http-backend-verify=false")
		harness.WantPage(t, harness.HTTPClient(t, harness.ClientConfig(front), nil), "https://"+s.Addr(), "page")
		if !strings.Contains(s.Stderr(), "any server that answers is taken for the backend") {
			t.Error("nothing in the log says that backends are not verified")
		}
	})
}

// testNextBackend: a refused backend is skipped.
func testNextBackend(t *testing.T, pki *testpki.PKI, bad, good string) {
	s, front := harness.StartHTTPS(t, "--http-to=https://"+bad, "--http-to=https://"+good, "--http-backend-ca="+pki.CAFile,
		"--http-backend-name=backend.example", "--http-processes=1")
	client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
	for range 4 {
		harness.WantPage(t, client, "https://"+s.Addr(), "page")
	}
	if got := s.BackendTLS(); got.Failures["authority"] != 1 || got.Handshakes["full"] != 1 {
		t.Errorf("counted %+v, want one failure and one handshake", got)
	}
}

// wantRefused has a node before a backend that it refuses for a reason.
func wantRefused(t *testing.T, pki *testpki.PKI, bad, reason, told string, args []string) {
	s, front := harness.StartHTTPS(t, append(args, "--http-to=https://"+bad, "--http-backend-ca="+pki.CAFile, "--http-max-retries=1", "--http-processes=1")...)
	client := harness.HTTPClient(t, harness.ClientConfig(front), nil)
	for range 3 { // also when the backend is known to have failed
		if resp, _, err := harness.Fetch(client, "GET", "https://"+s.Addr(), nil); err != nil ||
			resp.StatusCode != http.StatusBadGateway {
			t.Fatalf("got %v, %v, want 502", resp, err)
		}
	}
	line := s.Match(`.*"msg":"no TLS with a backend".*`)[0]
	for _, want := range []string{`"backend":"https://` + bad + `"`, `"pool":"default"`, `"reason":"` + reason + `"`, told} {
		if !strings.Contains(line, want) {
			t.Errorf("the log says %s\nwant %s", line, want)
		}
	}
	if got := s.BackendTLS(); got.Failures[reason] < 3 || got.Handshakes["full"] != 0 {
		t.Errorf("counted %+v, want 3 failures for %s", got, reason)
	}
	if n := strings.Count(s.Stderr(), "no TLS with a backend"); n > 2 {
		t.Errorf("%d lines in the log about one backend", n)
	}
}

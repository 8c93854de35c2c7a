package documented

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestDocumentedCertbot: an authority reaches certbot through the listener that redirects all else,
// and the certificate that certbot's hook has installed is served.
func TestDocumentedCertbot(t *testing.T) {
	r := newReader(t)
	r.claim()
	certbot := nettest.ServeAt(t, "127.0.0.10:8888", harness.AnswerLine)
	s := r.start("certbot/edge.ini", "127.0.0.1:5001")
	get := func(path string) (status int, text string) {
		t.Helper()
		client := &http.Client{
			Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		resp, err := client.Get("http://127.0.0.1:8080" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, text := get("/.well-known/acme-challenge/token"); status != 200 || text != "page\n" || certbot.Accepted() != 1 {
		t.Errorf("the challenge: got %d %q", status, text)
	}
	if status, _ := get("/.well-known/security.txt"); status != 301 || certbot.Accepted() != 1 {
		t.Errorf("another path: got %d", status)
	}

	pki := testpki.New(t)
	names := []string{"www.example.com", "new.example.com", "*.wild.example.com"}
	cert := pki.Server(testpki.ECDSA, names...)
	lineage := t.TempDir()
	for file, data := range map[string][]byte{"fullchain.pem": cert.CertPEM, "privkey.pem": cert.KeyPEM} {
		if err := os.WriteFile(filepath.Join(lineage, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hook := nettest.Run(t, nettest.Command{Path: filepath.Join(r.dir, "certbot/deploy-hook"), Env: []string{
		"RENEWED_LINEAGE=" + lineage, "RENEWED_DOMAINS=" + strings.Join(names, " "), "PATH=" + os.Getenv("PATH"),
		"REPRISE_CERTS=" + filepath.Join(r.dir, "certs"), "REPRISE_RELOAD=kill -HUP " + strconv.Itoa(s.Pid()),
	}})
	if hook.ExitCode != 0 {
		t.Fatalf("the hook: exit code %d\n%s", hook.ExitCode, hook.Stderr)
	}
	for _, name := range []string{"www.example.com", "new.example.com", "a.wild.example.com"} {
		nettest.Eventually(t, harness.Patience, func() bool {
			conn, err := tls.Dial("tcp", "127.0.0.1:8443", &tls.Config{ServerName: name, RootCAs: pki.CA.Pool()})
			if err != nil {
				return false
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].Equal(cert.TLS.Leaf)
		}, "%s: not the certificate that was installed", name)
	}
	if info, err := os.Stat(filepath.Join(r.dir, "certs/new.example.com.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
}

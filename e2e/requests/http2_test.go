package requests

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
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

// TestHTTP2Clients has programs that speak HTTP/2 ask for pages; the access log has the results.
func TestHTTP2Clients(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "page by %s of %d\n", r.Method, len(body))
	})
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	option, path := harness.AccessLog(t)
	s := harness.Start(t, option, harness.HTTPS(cert), harness.HTTPTo(backend))
	_, port, _ := net.SplitHostPort(s.Addr())
	url := "https://127.0.0.1:" + port + "/"
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(cert.TLS.Leaf.RawSubjectPublicKeyInfo)
	for _, test := range []struct {
		name  string
		needs []string
		args  []string
		want  string
		lines int // of the log
	}{
		{"curl", []string{"curl"}, []string{"curl", "-sS", "--http2", "--cacert", pki.CAFile, url, url}, "page by GET of 0\npage by GET of 0\n", 2},
		{"curl, upload", []string{"curl"}, []string{"curl", "-sS", "--http2", "--cacert", pki.CAFile, "--data-binary", "@" + upload, url}, "page by POST of 1048576\n", 1},
		{"nghttp", []string{"nghttp"}, []string{"nghttp", "--no-verify-peer", "-m", "5", url}, strings.Repeat("page by GET of 0\n", 5), 5},
		{
			"python",
			[]string{"/usr/bin/python3", "/usr/share/doc/python3-h2"},
			[]string{"/usr/bin/python3", "testdata/http2.py", "127.0.0.1", port, pki.CAFile},
			"page by GET of 0\npage by POST of 5\n", 2,
		},
		{
			"chromium",
			[]string{"chromium"},
			[]string{
				"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
				"--no-first-run", "--no-proxy-server", "--disable-component-update", "--user-data-dir=" + t.TempDir(),
				"--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(key[:]), "--dump-dom", url,
			},
			"page by GET", 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			nettest.Need(t, test.needs...)
			before := len(pages(t, path))
			r := nettest.Run(t, nettest.Command{
				Path: test.args[0], Args: test.args[1:],
				Timeout: harness.Patience, Env: []string{"HOME=" + t.TempDir()},
			})
			if !strings.Contains(r.Stdout, test.want) {
				t.Fatalf("got %.300q, want %q; %s", r.Stdout, test.want, r.Stderr)
			}
			wantHTTP2Lines(t, path, before, test.lines)
		})
	}
}

// wantHTTP2Lines: the log has lines of HTTP/2 behind those before.
func wantHTTP2Lines(t *testing.T, path string, before, lines int) {
	nettest.Eventually(t, harness.Patience,
		func() bool { return len(pages(t, path)) >= before+lines }, "%d lines", lines)
	for _, line := range pages(t, path)[before:] {
		if line.Proto != "HTTP/2.0" || line.Stream%2 != 1 || line.ALPN != "h2" || line.Status != 200 ||
			line.Request != line.Stream/2+1 {
			t.Errorf("the log has %+v", line)
		}
	}
}

// pages are the requests for the page in a log; browsers ask for an icon too.
func pages(t *testing.T, path string) (lines []harness.LogLine) {
	text, _ := os.ReadFile(path)
	for _, line := range harness.ParseLog(t, text) {
		if line.Target == "/" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestHTTP2Off is https with http2 = false, and with a listener that names what it speaks.
func TestHTTP2Off(t *testing.T) {
	nettest.Need(t, "curl")
	backend := harness.ServeHTTP(t, func(http.ResponseWriter, *http.Request) {})
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	for name, args := range map[string][]string{
		"by option":   {harness.HTTPS(cert), "--http2=false"},
		"by listener": {harness.HTTPS(cert, "alpn=http/1.1")},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, append(args, harness.HTTPTo(backend))...)
			r := nettest.Run(t, nettest.Command{
				Path: "curl", Args: []string{"-sS", "--http2", "--cacert", pki.CAFile, "-w", "%{http_version}", "https://" + s.Addr() + "/"},
			})
			if r.Stdout != "1.1" {
				t.Errorf("got version %q, want 1.1; %s", r.Stdout, r.Stderr)
			}
		})
	}
}

// TestHTTP2Load is h2load with 50 connections of 100 streams, of which none may fail.
func TestHTTP2Load(t *testing.T) {
	nettest.Need(t, "h2load")
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter,
		_ *http.Request,
	) {
		io.WriteString(w, "page\n")
	})
	s, _ := harness.StartHTTPS(t, harness.HTTPTo(backend))
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	r := nettest.Run(t, nettest.Command{
		Path: "h2load", Args: []string{"-n", fmt.Sprint(n), "-c", "50", "-m", "100", "https://" + s.Addr() + "/"}, Timeout: 3 * harness.Patience,
	})
	want := fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", n)
	if !strings.Contains(r.Stdout, want) {
		t.Errorf("no %q in\n%s", want, r.Stdout)
	}
	if d := s.Document(); d.Engine.HTTP2.Streams != uint64(n) || len(d.Engine.HTTP2.Faults) != 0 {
		t.Errorf("got %+v", d.Engine.HTTP2)
	}
	s.AwaitIdle()
}

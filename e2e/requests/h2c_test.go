package requests

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// h2cTo is the option for backends of HTTP/2 without TLS.
func h2cTo(addr string) string { return "--http-to=h2c://" + addr }

// h2cEcho returns the address of Go's server, which answers with the content it gets.
func h2cEcho(t *testing.T) string {
	l := harness.ListenAt(t, "127.0.0.1:0")
	harness.ServeH2C(t, l, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			_, _ = io.WriteString(w, "page\n")
		}
		_, _ = io.Copy(w, r.Body)
	})
	return l.Addr().String()
}

// nghttpd returns the address of nghttp2's server, which does the same; empty if that is
// not installed.
func nghttpd(t *testing.T) string {
	path, err := exec.LookPath("nghttpd")
	if err != nil {
		if path = "/usr/sbin/nghttpd"; exec.Command(path, "--version").Run() != nil {
			return ""
		}
	}
	dir, addr := t.TempDir(), nettest.FreeAddr(t)
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr)
	nettest.Start(t, nettest.Command{
		Path: path, Args: []string{"--no-tls", "--address=" + host, "--htdocs=" + dir, "--echo-upload", port}, Timeout: harness.Patience,
	}, nettest.Accepts(addr))
	return addr
}

// TestH2CPrograms has curl ask servers that speak HTTP/2 without TLS, by both versions of HTTP
// and with content both ways. The access log says how.
func TestH2CPrograms(t *testing.T) {
	nettest.Need(t, "curl")
	servers := map[string]string{"Go": h2cEcho(t)}
	if addr := nghttpd(t); addr != "" {
		servers["nghttpd"] = addr
	}
	upload := filepath.Join(t.TempDir(), "upload")
	content := strings.Repeat("0123456789abcdef", 100_000)
	if err := os.WriteFile(upload, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")
	for name, addr := range servers {
		option, path := harness.AccessLog(t)
		s := harness.Start(t, option, harness.HTTPS(cert), h2cTo(addr), "--http-check=http")
		for _, version := range []string{"1.1", "2"} {
			t.Run(name+" by "+version, func(t *testing.T) {
				before := len(logged(t, path))
				answer := filepath.Join(t.TempDir(), "answer")
				run := func(want string, args ...string) {
					t.Helper()
					args = append([]string{"-sS", "--http" + version, "--cacert", pki.CAFile, "--output", answer}, args...)
					r := nettest.Run(t, nettest.Command{Path: "curl", Args: args, Timeout: harness.Patience})
					if got, err := os.ReadFile(answer); string(got) != want || r.ExitCode != 0 {
						t.Errorf("got %d bytes, %.100q, %v; want %.100q; %s", len(got), got, err, want, r.Stderr)
					}
				}
				url := "https://" + s.Addr() + "/"
				run("page\n", url, "--next", "-sS", "--cacert", pki.CAFile, "--output", "/dev/null", url)
				run(content, "--data-binary", "@"+upload, url)
				run(content, "--header", "Transfer-Encoding: chunked", "--data-binary", "@"+upload, url)
				nettest.Eventually(t, harness.Patience, func() bool { return len(logged(t, path)) >= before+4 },
					"4 lines")
				for _, line := range logged(t, path)[before:] {
					proto, stream := "HTTP/1.1", uint32(0)
					if version == "2" {
						proto, stream = "HTTP/2.0", 2*uint32(line.Request)-1
					}
					if line.Proto != proto || uint32(line.Stream) != stream || line.Status != 200 ||
						!strings.Contains(line.Backend, addr) {
						t.Errorf("the log has %+v", line)
					}
				}
			})
		}
	}
}

// logged returns the lines of a log.
func logged(t *testing.T, path string) []harness.LogLine {
	text, _ := os.ReadFile(path)
	return harness.ParseLog(t, text)
}

// TestH2CLoad is h2load with 20 connections of 50 streams, of which none may fail.
func TestH2CLoad(t *testing.T) {
	nettest.Need(t, "h2load")
	s, _ := harness.StartHTTPS(t, h2cTo(h2cEcho(t)))
	n := 30_000
	if testing.Short() {
		n = 5_000
	}
	r := nettest.Run(t, nettest.Command{
		Path: "h2load", Args: []string{"-n", fmt.Sprint(n), "-c", "20", "-m", "50", "https://" + s.Addr() + "/"}, Timeout: 3 * harness.Patience,
	})
	if want := fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", n); !strings.Contains(r.Stdout, want) {
		t.Errorf("no %q in\n%s", want, r.Stdout)
	}
	if d := s.Document(); d.Engine.HTTP2.BackendResets > 0 || len(d.Engine.HTTP2.BackendFaults) > 0 ||
		d.Engine.HTTP.Retried > 0 {
		t.Errorf("got %+v, %+v", d.Engine.HTTP2, d.Engine.HTTP)
	}
	s.AwaitIdle()
}

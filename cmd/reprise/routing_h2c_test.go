package main

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

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// h2cTo is the option for backends of HTTP/2 without TLS.
func h2cTo(addr string) string { return "--http-to=h2c://" + addr }

// serveH2C runs Go's own server, by HTTP/2 without TLS only, until the test ends.
func serveH2C(t *testing.T, listener net.Listener, handle http.HandlerFunc) {
	t.Helper()
	s := &http.Server{Handler: handle, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
}

func listenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// h2cEcho returns the address of Go's server, which answers with the content it gets.
func h2cEcho(t *testing.T) string {
	l := listenAt(t, "127.0.0.1:0")
	serveH2C(t, l, func(w http.ResponseWriter, r *http.Request) {
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
		Path: path, Args: []string{"--no-tls", "--address=" + host, "--htdocs=" + dir, "--echo-upload", port}, Timeout: patience,
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
		option, path := accessLog(t)
		s := start(t, option, https(cert), h2cTo(addr), "--http-check=http")
		for _, version := range []string{"1.1", "2"} {
			t.Run(name+" by "+version, func(t *testing.T) {
				before := len(logged(t, path))
				answer := filepath.Join(t.TempDir(), "answer")
				run := func(want string, args ...string) {
					t.Helper()
					args = append([]string{"-sS", "--http" + version, "--cacert", pki.CAFile, "--output", answer}, args...)
					r := nettest.Run(t, nettest.Command{Path: "curl", Args: args, Timeout: patience})
					if got, err := os.ReadFile(answer); string(got) != want || r.ExitCode != 0 {
						t.Errorf("got %d bytes, %.100q, %v; want %.100q; %s", len(got), got, err, want, r.Stderr)
					}
				}
				url := "https://" + s.addr() + "/"
				run("page\n", url, "--next", "-sS", "--cacert", pki.CAFile, "--output", "/dev/null", url)
				run(content, "--data-binary", "@"+upload, url)
				run(content, "--header", "Transfer-Encoding: chunked", "--data-binary", "@"+upload, url)
				nettest.Eventually(t, patience, func() bool { return len(logged(t, path)) >= before+4 }, "4 lines")
				for _, line := range logged(t, path)[before:] {
					proto, stream := "HTTP/1.1", uint32(0)
					if version == "2" {
						proto, stream = "HTTP/2.0", 2*uint32(line.Request)-1
					}
					if line.Proto != proto || uint32(line.Stream) != stream || line.Status != 200 || !strings.Contains(line.Backend, addr) {
						t.Errorf("the log has %+v", line)
					}
				}
			})
		}
	}
}

// logged returns the lines of a log.
func logged(t *testing.T, path string) []logLine {
	text, _ := os.ReadFile(path)
	return parseLog(t, text)
}

// TestH2CLoad is h2load with 20 connections of 50 streams, of which none may fail.
func TestH2CLoad(t *testing.T) {
	nettest.Need(t, "h2load")
	s, _ := startHTTPS(t, h2cTo(h2cEcho(t)))
	n := 30_000
	if testing.Short() {
		n = 5_000
	}
	r := nettest.Run(t, nettest.Command{
		Path: "h2load", Args: []string{"-n", fmt.Sprint(n), "-c", "20", "-m", "50", "https://" + s.addr() + "/"}, Timeout: 3 * patience,
	})
	if want := fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", n); !strings.Contains(r.Stdout, want) {
		t.Errorf("no %q in\n%s", want, r.Stdout)
	}
	if d := s.document(); d.Engine.HTTP2.BackendResets > 0 || len(d.Engine.HTTP2.BackendFaults) > 0 || d.Engine.HTTP.Retried > 0 {
		t.Errorf("got %+v, %+v", d.Engine.HTTP2, d.Engine.HTTP)
	}
	s.awaitIdle()
}

// TestDocumentedH2C runs the example as it is printed.
func TestDocumentedH2C(t *testing.T) {
	r := newReader(t)
	nettest.Need(t, "curl")
	r.claim()
	pages := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page by ", r.Proto) })}
	go pages.Serve(listenAt(t, "127.0.0.10:8080"))
	t.Cleanup(func() { pages.Close() })
	for _, addr := range []string{"127.0.0.11:50051", "127.0.0.12:50051"} {
		serveH2C(t, listenAt(t, addr), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.WriteHeader(200)
			fmt.Fprint(w, "call by ", r.Proto)
			w.(http.Flusher).Flush() // curl shows no trailers behind content of a known length
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		})
	}
	r.start("h2c/node.ini", "")
	for path, want := range map[string][]string{"/": {"page by HTTP/1.1"}, "/example.Greeter/Greet": {"call by HTTP/2.0", "grpc-status: 0"}} {
		got := nettest.Run(t, nettest.Command{
			Path: "curl", Args: []string{"-sS", "--http2", "--cacert", "foobar.crt", "--include", "--resolve", "localhost:8443:127.0.0.1", "https://localhost:8443" + path},
			Dir: r.dir, Timeout: patience,
		})
		for _, text := range want {
			if !strings.Contains(got.Stdout, text) {
				t.Errorf("%s: no %q in %s%s", path, text, got.Stdout, got.Stderr)
			}
		}
	}
}

package documented

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDocumentedHeaders runs the example as it is printed, with a client that shows a certificate
// and one that only claims to.
func TestDocumentedHeaders(t *testing.T) {
	r := newReader(t)
	nettest.Need(t, "curl")
	r.claim()
	seen := serveHeaders(t)
	if got := r.run("check", "headers/node.ini"); got.ExitCode != 0 {
		t.Fatalf("check: %s%s", got.Stdout, got.Stderr)
	}
	r.start("headers/node.ini", "")

	const fingerprint = `^[0-9a-f]{64}$`
	for _, test := range []struct {
		name        string
		args        []string
		subject     string
		fingerprint string
	}{
		{"with a certificate", []string{"--cert", "foobar.crt", "--key", "foobar.key"}, "CN=localhost", fingerprint},
		{"without", nil, "", `^$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{
				"--silent", "--show-error", "--cacert", "foobar.crt", "--include", "-H", "X-Client-DN: CN=root", "-H", "X_Client_DN: CN=root",
				"-H", "X-Client-Fingerprint: 0", "-H", "X-Real-IP: 192.0.2.1", "-H", "Connection: X-Client-DN", "https://localhost:8443/", "--resolve", "localhost:8443:127.0.0.1",
			}, test.args...)
			got := nettest.Run(t, nettest.Command{Path: "curl", Args: args, Dir: r.dir, Timeout: harness.Patience})
			if got.ExitCode != 0 || !strings.HasSuffix(got.Stdout, "page") {
				t.Fatalf("exit code %d: %s%s", got.ExitCode, got.Stdout, got.Stderr)
			}
			request := <-seen
			for name, want := range map[string]string{"X-Real-Ip": "127.0.0.1", "X-Client-Dn": test.subject, "X_client_dn": ""} {
				if got := strings.Join(request[name], "|"); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			for name, want := range map[string]string{
				"X-Client-Fingerprint": test.fingerprint, "X-Tls": `^TLSv1\.3 TLS_[A-Z0-9_]+ Initial$`, "X-Request-Id": "^[0-9a-f]{32}$",
			} {
				if got := strings.Join(request[name], "|"); !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("%s: got %q, want %s", name, got, want)
				}
			}
			response := strings.ToLower(got.Stdout)
			for line, want := range map[string]int{
				"x-powered-by:": 0, "server:": 1, "server: edge\r\n": 1, "strict-transport-security:": 1, "strict-transport-security: max-age=300\r\n": 1,
				"x-frame-options:": 1, "x-frame-options: deny\r\n": 1, "x-request-id:": 1, "x-request-id: " + request.Get("X-Request-ID") + "\r\n": 1,
			} {
				if got := strings.Count(response, line); got != want {
					t.Errorf("%q: there %d times, want %d, in\n%s", line, got, want, response)
				}
			}
		})
	}
}

// serveHeaders is the example's backend, which sends fields that the node removes; seen are
// requests.
func serveHeaders(t *testing.T) (seen chan http.Header) {
	seen = make(chan http.Header, 1)
	listener, err := net.Listen("tcp", "127.0.0.10:8080")
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Header().Set("X-Powered-By", "secret")
		w.Header().Set("Server", "secret")
		w.Header().Set("Strict-Transport-Security", "max-age=0")
		w.Header().Set("X-Frame-Options", "ALLOWALL")
		w.Header().Set("X-Request-ID", "wrong")
		io.WriteString(w, "page")
	})}
	go backend.Serve(listener)
	t.Cleanup(func() { backend.Close() })
	return seen
}

package engine

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A client that speaks HTTP to a port of HTTPS gets an HTTP answer, complete even if it has sent
// more than has been read.
func TestPlainHTTPToHTTPS(t *testing.T) {
	silent := nettest.Serve(t, nettest.Discard).Addr
	e, addr := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, silent)}, true)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000),
	} {
		c := dialRaw(t, addr)
		go func() { _, _ = io.WriteString(c, request) }()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%.4s: %v", request, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 400 || string(body) != plainHTTPText {
			t.Errorf("%.4s: got %s, %q, %v", request, r.Status, body, err)
		}
	}
	if got := e.Stats().TLS.Failures.Counts()["not_tls"]; got != 2 {
		t.Errorf("not_tls counted: got %d, want 2", got)
	}
}

package documented

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDocumentedH2C runs the example as it is printed.
func TestDocumentedH2C(t *testing.T) {
	r := newReader(t)
	nettest.Need(t, "curl")
	r.claim()
	pages := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request,
	) {
		fmt.Fprint(w, "page by ", r.Proto)
	})}
	go pages.Serve(harness.ListenAt(t, "127.0.0.10:8080"))
	t.Cleanup(func() { pages.Close() })
	for _, addr := range []string{"127.0.0.11:50051", "127.0.0.12:50051"} {
		harness.ServeH2C(t, harness.ListenAt(t, addr), func(w http.ResponseWriter, r *http.Request) {
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
			Dir: r.dir, Timeout: harness.Patience,
		})
		for _, text := range want {
			if !strings.Contains(got.Stdout, text) {
				t.Errorf("%s: no %q in %s%s", path, text, got.Stdout, got.Stderr)
			}
		}
	}
}

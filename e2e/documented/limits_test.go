package documented

import (
	"io"
	"net"
	"net/http"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDocumentedLimits runs the example as it is printed.
func TestDocumentedLimits(t *testing.T) {
	r := newReader(t)
	nettest.Need(t, "curl")
	r.claim()
	listener, err := net.Listen("tcp", "127.0.0.10:8080")
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request,
	) {
		io.WriteString(w, "page")
	})}
	go backend.Serve(listener)
	t.Cleanup(func() { backend.Close() })
	if got := r.run("check", "limits/node.ini"); got.ExitCode != 0 {
		t.Fatalf("check: %s%s", got.Stdout, got.Stderr)
	}
	r.start("limits/node.ini", "")
	for source, want := range map[string]bool{"127.0.0.1": true, "127.0.0.5": true, "127.0.0.99": true, "127.0.0.98": false} {
		got := nettest.Run(t, nettest.Command{
			Path: "curl", Dir: r.dir, Timeout: harness.Patience,
			Args: []string{
				"--silent", "--show-error", "--cacert", "foobar.crt", "--interface", source, "https://localhost:8443/", "--resolve", "localhost:8443:127.0.0.1",
			},
		})
		if (got.Stdout == "page") != want {
			t.Errorf("from %s: exit code %d: %s%s", source, got.ExitCode, got.Stdout, got.Stderr)
		}
	}
}

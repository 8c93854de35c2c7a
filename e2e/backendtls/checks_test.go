package backendtls

import (
	"fmt"
	"net/http"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/testpki"
)

// TestBackendTLSChecks: a health check of a backend with TLS is a handshake that verifies.
func TestBackendTLSChecks(t *testing.T) {
	pki, other := testpki.New(t), testpki.New(t)
	page := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page") }
	good := serveHTTPS(t, serverConfig(pki.Server(testpki.ECDSA, "backend.example")), page)
	bad := serveHTTPS(t, serverConfig(other.Server(testpki.ECDSA, "backend.example")), page)
	for _, check := range []string{"tcp", "tls", "http:/"} {
		t.Run(check, func(t *testing.T) {
			s, front := harness.StartHTTPS(t, "--http-to=https://"+good, "--http-to=https://"+bad, "--http-backend-name=backend.example", "--http-backend-ca="+pki.CAFile,
				"--http-check="+check, "--http-check-interval=20ms", "--http-check-fall=1", "--http-check-rise=1")
			s.Match(`.*backend is down.*` + bad + `.*certificate signed by unknown authority.*`)
			s.Await("both are known", func(d harness.Document) bool {
				n := d.Backends.Nodes
				return n[0].State == "up" && n[0].Checks > 0 && n[1].State == "down"
			})
			harness.WantPage(t, harness.HTTPClient(t, harness.ClientConfig(front), nil), "https://"+s.Addr(), "page")
		})
	}
}

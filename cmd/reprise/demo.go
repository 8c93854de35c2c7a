package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"reprise/config"
	"reprise/internal/testpki"
)

// demo serves a self-signed certificate in front of a built-in backend, and
// says what to try.
func demo(args []string, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "reprise-demo-")
	if err != nil {
		return runtimeError{err}
	}
	defer os.RemoveAll(dir)
	cert, err := testpki.SelfSigned(testpki.Template{Key: testpki.ECDSA, Names: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return runtimeError{err}
	}
	if cert, err = cert.Write(dir, "demo"); err != nil {
		return runtimeError{err}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return runtimeError{err}
	}
	backend := &http.Server{Handler: http.HandlerFunc(demoPage), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = backend.Serve(ln) }()
	defer backend.Close()

	c, err := config.Parse(append([]string{
		"--sslrouter", fmt.Sprintf("%s,%s,%s", demoAddress("127.0.0.1:8443"), cert.CertFile, cert.KeyFile),
		"--sslrouter-to", ln.Addr().String(),
		"--stats", demoAddress("127.0.0.1:5001"),
		"--drain-timeout", "1s",
	}, args...))
	if err != nil {
		return err
	}
	return runNode(c, stderr, func(n *node) {
		fmt.Fprintf(stdout, demoText, n.engine.Addresses()[0], n.stats.Addr(), filepath.Join(os.TempDir(), "reprise-session.pem"))
	})
}

const demoText = `
Reprise is serving https://%[1]s in front of a built-in backend. In another terminal:

  curl -k https://%[1]s/

  # A full handshake that keeps its session, then one that resumes it: New, then Reused.
  openssl s_client -connect %[1]s -sess_out %[3]s </dev/null 2>/dev/null | grep -E '^(New|Reused)'
  openssl s_client -connect %[1]s -sess_in  %[3]s </dev/null 2>/dev/null | grep -E '^(New|Reused)'

  # What it has counted: see "caches" and "outcomes".
  curl -s telnet://%[2]s </dev/null

Ctrl-C ends it.

`

// demoAddress returns the address, or one with a free port if it is taken.
func demoAddress(preferred string) string {
	ln, err := net.Listen("tcp", preferred)
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return preferred
}

func demoPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "Hello from the backend. It saw %s %s in clear; TLS ended at Reprise.\n", r.Method, r.URL)
}

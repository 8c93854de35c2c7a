package control

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A node is the built program at work, with its configuration in a directory of its own.
type node struct {
	*nettest.Process
	t    *testing.T
	dir  string // with a short path, since sockets are there
	file string
	tls  string // where it speaks https
	pki  *testpki.PKI
}

// startNode runs a node with an https listener for localhost in front of backends, and the options
// in lines.
func startNode(t *testing.T, backends []string, lines ...string) *node {
	t.Helper()
	return startNodeIn(t, testpki.New(t), nettest.FreeAddr(t), nil, backends, lines...)
}

// startNodeIn is startNode with certificates, an address and an environment of the caller's.
func startNodeIn(t *testing.T, pki *testpki.PKI, addr string, env, backends []string,
	lines ...string,
) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-control-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &node{t: t, dir: dir, file: filepath.Join(dir, "edge.ini"), tls: addr, pki: pki}
	cert := pki.Issue(testpki.Template{
		Names:    []string{"localhost", "127.0.0.1"},
		NotAfter: time.Now().Add(80 * 24 * time.Hour),
	})

	text := "[reprise]\nhttps = " + n.tls + "," + cert.CertFile + "," + cert.KeyFile + "\nhttps-session-context = test\n"
	for _, b := range backends {
		text += "http-to = http://" + b + "\n"
	}
	text += strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(n.file, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := nettest.Command{
		Path: harness.Program(t), Args: []string{n.file}, Env: env,
		Timeout: harness.Patience, Successors: true,
	}
	n.Process = nettest.Start(t, command, nettest.Prints(`msg=serving`))
	return n
}

// do runs a command, which must end with that status, and returns what it prints.
func (n *node) do(status int, args ...string) string {
	n.t.Helper()
	r := nettest.Run(n.t, nettest.Command{
		Path: harness.Program(n.t), Args: append(args, "--config", n.file),
		Timeout: harness.Patience,
	})
	if r.ExitCode != status {
		n.t.Fatalf("%v: exit status %d, want %d: %s%s", args, r.ExitCode, status, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// config is that of a client which remembers sessions.
func (n *node) config() *tls.Config {
	return &tls.Config{
		RootCAs: n.pki.CA.Pool(), ServerName: "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
}

// get makes a request on a connection of its own, by a client that may remember sessions.
func (n *node) get(c *tls.Config) string {
	n.t.Helper()
	client := http.Client{
		Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true},
		Timeout:   harness.Patience,
	}
	response, err := client.Get("https://" + n.tls + "/")
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(body)
}

// serveText serves a text by HTTP at a loopback address.
func serveText(t *testing.T, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request,
	) {
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// wantAll checks that text has all parts.
func wantAll(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// byUnix is a client of the admin server at a unix socket.
func byUnix(t *testing.T, path string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (
		net.Conn, error,
	) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: harness.Patience}
}

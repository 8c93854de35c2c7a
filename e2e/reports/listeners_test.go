package reports

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

func (n *node) clientConfig() *tls.Config {
	return &tls.Config{ServerName: "localhost", RootCAs: n.pki.CA.Pool()}
}

// A value that an option takes only behind = is an error that says so.
func TestValuesApart(t *testing.T) {
	for _, args := range [][]string{{"--hsts", "31536000"}, {"--http-keepalive", "30s"}} {
		got := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: append([]string{
			"check", "--http", "127.0.0.1:1", "--http-to", "http://127.0.0.1:2",
		}, args...)})
		if want := strings.Join(args, "="); got.ExitCode != 2 || !strings.Contains(got.Stderr, want) {
			t.Errorf("%q: exit status %d, want %q in:\n%s", args, got.ExitCode, want, got.Stderr)
		}
	}
}

// HTTP on the port of TLS is answered in HTTP, in words.
func TestPlainHTTPOnTheTLSPort(t *testing.T) {
	n := start(t, play(t, ok()).addr)
	response, body := n.askOn(t, dial(t, n.https), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, "https") {
		t.Errorf("got %s %q", response.Status, body)
	}
}

// A server name with the dot of the root is the name without it.
func TestServerNameWithDot(t *testing.T) {
	nettest.Need(t, "openssl")
	n := start(t, play(t, ok()).addr)
	got := nettest.Run(t, nettest.Command{
		Path: "openssl", Args: []string{"s_client", "-connect", n.https, "-servername", "localhost.", "-brief"},
	})
	if got.ExitCode != 0 || !strings.Contains(got.Stderr, "CONNECTION ESTABLISHED") {
		t.Errorf("exit status %d:\n%s", got.ExitCode, got.Stderr)
	}
}

// Of two certificates for a name, the one that is valid is served, whichever comes first.
func TestValidCertificateOfTwo(t *testing.T) {
	pki := testpki.New(t)
	valid := pki.Server(testpki.ECDSA, "localhost")
	expired := pki.Issue(testpki.Template{Names: []string{"localhost"}, NotAfter: time.Now().Add(-time.Hour)})
	addr := nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{
		Path: harness.Program(t), Timeout: harness.Patience,
		Args: []string{
			"--https2", "addr=" + addr + ",cert=" + expired.CertFile + ",key=" + expired.KeyFile +
				",cert=" + valid.CertFile + ",key=" + valid.KeyFile,
			"--http-to", play(t, ok()).addr,
		},
	}, nettest.Accepts(addr))
	n := &node{pki: pki, https: addr}
	if _, err := n.serverCertificate(t, "localhost"); err != nil {
		t.Error(err)
	}
}

// All addresses of IPv4 and all of IPv6, with one port, are two listeners.
func TestBothFamilies(t *testing.T) {
	_, port, _ := net.SplitHostPort(nettest.FreeAddr(t))
	n := start(t, play(t, ok()).addr, "--http", "0.0.0.0:"+port, "--http", "[::]:"+port)
	for _, host := range []string{"127.0.0.1", "::1"} {
		response, _ := n.askOn(t, dial(t, net.JoinHostPort(host, port)), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s", host, response.Status)
		}
	}
}

// A unix socket has the configured mode.
func TestModeOfUnixSockets(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "x.sock")
	start(t, play(t, ok()).addr, "--http", socket, "--chmod-socket=666")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

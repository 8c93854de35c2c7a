package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// patience is the time-out for events that must happen, on a machine that is busy with other
// things.
const patience = 2 * time.Minute

// TestMain runs the tests side by side: all they do is wait.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// program is what is tested.
func program(t *testing.T) string {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path
	}
	return nettest.Build(t, "reprise/cmd/reprise")
}

// buildPebble compiles the authority once for all tests.
var buildPebble = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "reprise-test", "pebble")
	cmd := exec.Command("go", "build", "-o", path, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	cmd.Dir = "pebble"
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pebble: %w\n%s", err, out)
	}
	return path, nil
})

// An authority is a pebble that validates every name at ports of this machine.
type authority struct {
	*nettest.Process
	directory string
	caFile    string // by which it is trusted itself
	admin     string
	client    *http.Client
}

// startAuthority runs one that validates at a node's ports, and whose certificates live for the
// given time.
func startAuthority(t *testing.T, httpAddr, tlsAddr string, life time.Duration) *authority {
	t.Helper()
	pebble, err := buildPebble()
	if err != nil {
		t.Fatal(err)
	}
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "127.0.0.1")
	addr, admin := nettest.FreeAddr(t), nettest.FreeAddr(t)
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	config := filepath.Join(t.TempDir(), "pebble.json")
	text := fmt.Sprintf(`{"pebble": {
		"listenAddress": %q, "managementListenAddress": %q, "certificate": %q, "privateKey": %q,
		"httpPort": %s, "tlsPort": %s, "keyAlgorithm": "ecdsa", "retryAfter": {"authz": 1, "order": 1},
		"profiles": {"default": {"description": "short", "validityPeriod": %d}}
	}}`, addr, admin, cert.CertFile, cert.KeyFile, port(httpAddr), port(tlsAddr), int(life/time.Second))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := nettest.Start(t, nettest.Command{
		Path: pebble, Args: []string{"-config", config, "-dnsserver", serveNames(t)}, Timeout: patience,
		Env: []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"},
	}, nettest.Accepts(addr), nettest.Accepts(admin))
	return &authority{
		Process: process, directory: "https://" + addr + "/dir", caFile: pki.CAFile, admin: admin,
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pki.CA.Pool()},
		}, Timeout: patience},
	}
}

// roots returns the pool of clients that trust the authority.
func (a *authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	r, err := a.client.Get("https://" + a.admin + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	root, err := io.ReadAll(r.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(root) {
		t.Fatalf("the authority's root: %v", err)
	}
	return pool
}

// serveNames answers that every name is at 127.0.0.1, by DNS over TCP.
func serveNames(t *testing.T) (addr string) {
	return nettest.Serve(t, func(conn net.Conn) {
		for {
			var length [2]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, question); err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(question) != nil || len(m.Questions) == 0 {
				return
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			answer, err := m.AppendPack(make([]byte, 2))
			if err != nil {
				return
			}
			binary.BigEndian.PutUint16(answer, uint16(len(answer)-2))
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}).Addr
}

// A node is one process whose certificates the authority issues.
type node struct {
	*nettest.Process
	tls, http string
}

// newNode chooses the addresses of a node that does not run yet.
func newNode(t *testing.T) *node {
	return &node{tls: nettest.FreeAddr(t), http: nettest.FreeAddr(t)}
}

// start runs it until the test ends.
func (n *node) start(t *testing.T, a *authority, storage, secret string, options ...string) {
	t.Helper()
	n.Process = nettest.Start(t, nettest.Command{Path: program(t), Args: append([]string{
		"--https=" + n.tls + ",acme", "--http-to-https=" + n.http, "--http-to=http://127.0.0.1:9", "--acme-directory", a.directory,
		"--acme-ca", a.caFile, "--acme-agree", "--acme-storage", storage, "--cluster-secret-file", secret, "--drain-timeout", "1s", "--loops", "2",
	}, options...), Timeout: patience}, nettest.Accepts(n.tls), nettest.Accepts(n.http))
}

// certificate returns what a client gets under a name, nil if it would not trust it.
func (n *node) certificate(name string, roots *x509.CertPool) *x509.Certificate {
	conn, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// awaitCertificate waits for a trusted certificate that differs from not.
func (n *node) awaitCertificate(t *testing.T, name string, roots *x509.CertPool,
	not *x509.Certificate,
) (cert *x509.Certificate) {
	t.Helper()
	nettest.Eventually(t, patience, func() bool {
		cert = n.certificate(name, roots)
		return cert != nil && (not == nil || !cert.Equal(not))
	}, "%s: no certificate that is new", name)
	return cert
}

// secretFile makes the secret of a fleet.
func secretFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

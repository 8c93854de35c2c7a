package operations

import (
	"crypto/tls"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// SIGHUP reads certificates again: new connections get the new one, existing ones go on, counters
// and sessions stay; a broken file does not replace its previous content.
func TestReload(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	pki := testpki.New(t)
	old, fresh := pki.Server(testpki.ECDSA, "localhost"), pki.Server(testpki.ECDSA, "localhost")
	dir := t.TempDir()
	cert, err := old.Write(dir, "live")
	if err != nil {
		t.Fatal(err)
	}
	secret := dir + "/secret"
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := nettest.FreeAddr(t)
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{
		"--sslrouter", addr + "," + cert.CertFile + "," + cert.KeyFile, "--sslrouter-to", echo.Addr,
		"--cluster-secret-file", secret, "--loops", "2",
	}}, nettest.Accepts(addr))

	cache := tls.NewLRUClientSessionCache(4)
	first := dialWith(t, addr, pki, cache)
	if !first.ConnectionState().PeerCertificates[0].Equal(old.TLS.Leaf) {
		t.Fatal("not the first certificate")
	}
	if _, err := fresh.Write(dir, "live"); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr(), "reloaded certificates") }, "not reloaded")
	talk(t, first)
	if c := dialWith(t, addr, pki, cache); !c.ConnectionState().DidResume {
		t.Error("a session from before the reload was not resumed")
	}
	cache = tls.NewLRUClientSessionCache(4)
	for range 8 { // on both loops
		if c := dialWith(t, addr, pki, cache); !c.ConnectionState().DidResume &&
			!c.ConnectionState().PeerCertificates[0].Equal(fresh.TLS.Leaf) {
			t.Error("not the new certificate")
		}
		cache = tls.NewLRUClientSessionCache(4)
	}
	if err := os.WriteFile(cert.CertFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr(), "holds no PEM certificate") }, "a broken file was not reported")
	dialWith(t, addr, pki, cache)
}

// dialWith connects a client that has sessions.
func dialWith(t *testing.T, addr string, pki *testpki.PKI, cache tls.ClientSessionCache) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{
		RootCAs: pki.CA.Pool(), ServerName: "localhost",
		ClientSessionCache: cache,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	talk(t, c)
	return c
}

// talk sends a byte and gets it back.
func talk(t *testing.T, c *tls.Conn) {
	t.Helper()
	if _, err := c.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

package acme

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// TestIssuedAndRenewed: a fleet of two gets one certificate, and another before the first expires;
// both serve it without a reload.
func TestIssuedAndRenewed(t *testing.T) {
	t.Parallel()
	storage, secret := filepath.Join(t.TempDir(), "acme"), secretFile(t)
	first, second := newNode(t), newNode(t)
	authority := startAuthority(t, first.http, first.tls, 12*time.Second)
	roots := authority.roots(t)
	first.start(t, authority, storage, secret, "--acme=www.example.test", "--acme-email=admin@example.test")
	second.start(t, authority, storage, secret, "--acme=www.example.test", "--acme-email=admin@example.test")
	issued := first.awaitCertificate(t, "www.example.test", roots, nil)
	second.awaitCertificate(t, "www.example.test", roots, nil)
	renewed := first.awaitCertificate(t, "www.example.test", roots, issued)
	second.awaitCertificate(t, "www.example.test", roots, issued)
	if !renewed.NotAfter.After(issued.NotAfter) {
		t.Errorf("renewed until %v, which is not after %v", renewed.NotAfter, issued.NotAfter)
	}
	for _, n := range []*node{first, second} {
		if log := n.Stderr(); strings.Contains(log, "reloaded") || !strings.Contains(log, "acme: a new certificate is served") {
			t.Errorf("how it came to be served:\n%s", log)
		}
	}
	if info, err := os.Stat(storage); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the storage: %v, %v", info, err)
	}

	// A stored certificate is served from the start, even without the authority.
	authority.Kill()
	third := newNode(t)
	third.start(t, authority, storage, secret, "--acme=www.example.test")
	if third.certificate("www.example.test", roots) == nil {
		t.Errorf("not served from the start:\n%s", third.Stderr())
	}
}

// TestAnotherNodeAnswers: the authority asks a node that has not ordered the certificate,
// nor knows its name.
func TestAnotherNodeAnswers(t *testing.T) {
	redis := func(t *testing.T) string {
		addr := nettest.FreeAddr(t)
		_, port, _ := strings.Cut(addr, ":")
		nettest.Need(t, "redis-server")
		nettest.Start(t, nettest.Command{Path: "redis-server", Args: []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}},
			nettest.Accepts(addr))
		return "redis://" + addr
	}
	directory := func(t *testing.T) string { return filepath.Join(t.TempDir(), "acme") }
	for _, tc := range []struct {
		name      string
		challenge string
		storage   func(*testing.T) string
	}{
		{"http-01", "http-01", directory},
		{"tls-alpn-01", "tls-alpn-01", directory},
		{"http-01 by Redis", "http-01", redis},
		{"tls-alpn-01 by the standard engine", "tls-alpn-01", directory},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storage, secret := tc.storage(t), secretFile(t)
			asked, orders := newNode(t), newNode(t)
			authority := startAuthority(t, asked.http, asked.tls, time.Hour)
			roots := authority.roots(t)
			options := []string{"--acme-challenge", tc.challenge}
			if strings.Contains(tc.name, "standard") {
				options = append(options, "--tls-engine=standard")
			}
			asked.start(t, authority, storage, secret, append(options, "--acme=asked.example.test")...)
			asked.awaitCertificate(t, "asked.example.test", roots, nil)
			if orders.start(t, authority, storage, secret, append(options, "--acme=ordered.example.test")...); asked.certificate("ordered.example.test",
				roots) != nil {
				t.Error("the node that is asked has the certificate")
			}
			orders.awaitCertificate(t, "ordered.example.test", roots, nil)
			if strings.Contains(asked.Stderr(), `was issued" name=ordered.example.test`) {
				t.Errorf("it was ordered by the node that was asked:\n%s", asked.Stderr())
			}
		})
	}
}

// TestNamesByReload: a name that is added to the configuration gets its certificate, one that is
// removed is no longer served, and the others go on.
func TestNamesByReload(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	authority := startAuthority(t, n.http, n.tls, time.Hour)
	roots := authority.roots(t)
	file := filepath.Join(t.TempDir(), "names.ini")
	configure := func(names string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("[reprise]\nacme = "+names+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("kept.example.test,removed.example.test")
	n.start(t, authority, filepath.Join(t.TempDir(), "acme"), secretFile(t), "--sni-nomatch-abort", file)
	kept := n.awaitCertificate(t, "kept.example.test", roots, nil)
	n.awaitCertificate(t, "removed.example.test", roots, nil)
	configure("kept.example.test,added.example.test")
	n.Signal(syscall.SIGHUP)
	n.awaitCertificate(t, "added.example.test", roots, nil)
	if got := n.certificate("kept.example.test", roots); got == nil || !got.Equal(kept) {
		t.Error("another certificate for the name that stayed")
	}
	if n.certificate("removed.example.test", roots) != nil {
		t.Error("the name that was removed is served")
	}
}

// TestDocumentedExample: the example gets its certificates, at other addresses and from
// another authority.
func TestDocumentedExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/examples/acme/edge.ini")
	if err != nil {
		t.Fatal(err)
	}
	n, dir := newNode(t), t.TempDir()
	replaced := strings.NewReplacer("127.0.0.1:8443", n.tls, "127.0.0.1:8080", n.http, "127.0.0.1:5001", "127.0.0.1:0", "cluster.secret", secretFile(t)).Replace(string(text))
	if err := os.WriteFile(filepath.Join(dir, "edge.ini"), []byte(replaced), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := startAuthority(t, n.http, n.tls, time.Hour)
	n.Process = nettest.Start(t, nettest.Command{
		Path: program(t), Args: []string{
			"edge.ini", "--acme-directory", authority.directory, "--acme-ca",
			authority.caFile,
		}, Dir: dir, Timeout: patience,
	}, nettest.Accepts(n.tls))
	roots := authority.roots(t)
	for _, name := range []string{"www.example.com", "example.com"} {
		n.awaitCertificate(t, name, roots, nil)
	}
}

package operations

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestReloadOfNames: one SIGHUP with a certificate added, one removed, one corrupt, one renewed,
// each in a directory of names. The corrupt one harms only itself, and its previous certificate is
// still served.
func TestReloadOfNames(t *testing.T) {
	testReloadOfNames(t, nil, func(p *nettest.Process) {
		p.Signal(syscall.SIGHUP)
		const summary = "added=1 renewed=1 removed=1 kept=3 refused=1"
		nettest.Eventually(t, 10*time.Second,
			func() bool { return strings.Contains(p.Stderr(), summary) }, "no line with "+summary)
	})
}

// TestWatchedNames: the same without a signal, because the files are watched.
func TestWatchedNames(t *testing.T) {
	testReloadOfNames(t, []string{"--watch"}, func(*nettest.Process) {})
}

func testReloadOfNames(t *testing.T, args []string, changed func(*nettest.Process)) {
	echo := nettest.Serve(t, nettest.Echo)
	pki := testpki.New(t)
	dir := t.TempDir()
	names := filepath.Join(dir, "names")
	if err := os.Mkdir(names, 0o700); err != nil {
		t.Fatal(err)
	}
	fallback := writePair(t, pki, dir, "fallback.example")
	kept, renewed := writePair(t, pki, names, "kept.example"), writePair(t, pki, names, "renewed.example")
	removed, corrupt := writePair(t, pki, names, "removed.example"), writePair(t, pki, names, "corrupt.example")
	addr, admin := nettest.FreeAddr(t), nettest.FreeAddr(t)
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: append(args, []string{
		"--sslrouter", addr + "," + fallback.CertFile + "," + fallback.KeyFile, "--sslrouter-to", echo.Addr, "--sni-dir", names, "--admin", admin,
	}...)}, nettest.Accepts(addr))
	for name, want := range map[string]*testpki.Cert{
		"kept.example": kept, "renewed.example": renewed, "removed.example": removed, "corrupt.example": corrupt, "added.example": fallback,
	} {
		if !serves(t, addr, name, want) {
			t.Errorf("before: not the certificate of %s", name)
		}
	}

	fresh, added := writePair(t, pki, names, "renewed.example"), writePair(t, pki, names, "added.example")
	for _, file := range []string{removed.CertFile, removed.KeyFile} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(corrupt.CertFile, corrupt.CertPEM[:len(corrupt.CertPEM)/2],
		0o600); err != nil {
		t.Fatal(err)
	}
	changed(p)
	after := map[string]*testpki.Cert{
		"kept.example": kept, "renewed.example": fresh, "removed.example": fallback, "corrupt.example": corrupt, "added.example": added,
	}
	nettest.Eventually(t, 10*time.Second, func() bool {
		for name, want := range after {
			if !serves(t, addr, name, want) {
				return false
			}
		}
		return true
	}, "not served by the new files")
	nettest.Eventually(t, 10*time.Second, func() bool {
		return strings.Contains(p.Stderr(), corrupt.CertFile+": block 1 (CERTIFICATE, line 1): no END line")
	}, "the corrupt file is not named")
	wantCertificateMetrics(t, admin, added, corrupt, removed)
}

// wantCertificateMetrics: the metrics have what is there now.
func wantCertificateMetrics(t *testing.T, admin string, added, corrupt, removed *testpki.Cert) {
	metrics := harness.Scrape(t, admin)
	for _, want := range []string{
		`reprise_certificate_not_after_timestamp_seconds{file="` + added.CertFile + `"`,
		`reprise_certificate_not_after_timestamp_seconds{file="` + corrupt.CertFile + `"`,
		"reprise_reload_last_ok 1",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if strings.Contains(metrics, removed.CertFile) {
		t.Error("the metrics have a certificate that is gone")
	}
}

// serves reports whether a name has that certificate now.
func serves(t *testing.T, addr, name string, want *testpki.Cert) bool {
	t.Helper()
	// #nosec: the certificate itself is compared
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Equal(want.TLS.Leaf)
}

// writePair makes files of a certificate for a name.
func writePair(t *testing.T, pki *testpki.PKI, in, base string) *testpki.Cert {
	t.Helper()
	cert, err := pki.Server(testpki.ECDSA, base).Write(in, base)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestReloadTellsWhatNeedsRestart: a changed option that a running node cannot take over
// is named, and a broken configuration changes nothing.
func TestReloadTellsWhatNeedsRestart(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	pki := testpki.New(t)
	dir := t.TempDir()
	cert, err := pki.Server(testpki.ECDSA, "localhost").Write(dir, "live")
	if err != nil {
		t.Fatal(err)
	}
	addr, admin := nettest.FreeAddr(t), nettest.FreeAddr(t)
	file := filepath.Join(dir, "edge.ini")
	configure := func(rest string) {
		t.Helper()
		text := "[reprise]\nsslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile + "\nsslrouter-to = " + echo.Addr + "\nadmin = " + admin + "\n" + rest
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{file}},
		nettest.Accepts(addr))
	configure("tcp-defer-accept = 77s\n")
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr(), "kept=1") }, "not reloaded")
	if log := p.Stderr(); !strings.Contains(log, "needs a restart") || !strings.Contains(log, "tcp-defer-accept: was ") ||
		!strings.Contains(log, "is 77s") {
		t.Errorf("not told that tcp-defer-accept has changed:\n%s", log)
	}
	configure("idle-timeuot = 77s\n")
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(p.Stderr(), "not reloaded") }, "a broken file was not reported")
	if log := p.Stderr(); !strings.Contains(log, "edge.ini:5: ") {
		t.Errorf("the line is not named:\n%s", log)
	}
	metrics := harness.Scrape(t, admin)
	if !strings.Contains(metrics, "reprise_reload_last_ok 0") || !strings.Contains(metrics, "reprise_reload_failed_total 1") {
		t.Error("the metrics do not tell that the last reload failed")
	}
}

// TestWatchedMount: Kubernetes replaces the files of a mounted secret by exchanging the
// link ..data, through which they are reached.
func TestWatchedMount(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	pki := testpki.New(t)
	mount := t.TempDir()
	issue := func(version string) *testpki.Cert {
		t.Helper()
		dir := filepath.Join(mount, version)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, err := pki.Server(testpki.ECDSA, "localhost").Write(dir, "tls")
		if err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(mount, "..data")
		if err := os.Symlink(version, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := issue("..2030_01")
	for _, file := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink("..data/"+file, filepath.Join(mount, file)); err != nil {
			t.Fatal(err)
		}
	}
	addr := nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{
		"--sslrouter", addr + "," + filepath.Join(mount, "tls.crt") + "," + filepath.Join(mount, "tls.key"), "--sslrouter-to", echo.Addr, "--watch",
	}}, nettest.Accepts(addr))
	served := func(want *testpki.Cert) bool {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Equal(want.TLS.Leaf)
	}
	if !served(first) {
		t.Error("not the first certificate")
	}
	second := issue("..2030_02")
	nettest.Eventually(t, 10*time.Second, func() bool { return served(second) }, "the new certificate is not served")
}

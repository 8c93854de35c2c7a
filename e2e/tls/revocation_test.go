package tls

import (
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A revokingServer asks for client certificates and checks them against a list.
type revokingServer struct {
	*harness.Server
	pki  *testpki.PKI
	file string // of the list
}

func startRevoking(t *testing.T, args ...string) *revokingServer {
	t.Helper()
	r := &revokingServer{pki: testpki.New(t), file: filepath.Join(t.TempDir(), "clients.crl")}
	r.publish(t, 24*time.Hour)
	r.Server = harness.Start(t, append(args,
		harness.Listen(r.pki.Server(testpki.ECDSA, "localhost"), "clientca=!"+r.pki.CAFile),
		harness.To(nettest.Serve(t, nettest.Echo).Addr), "--ssl-client-crl", r.file)...)
	return r
}

// publish puts a new list in the place of the file.
func (r *revokingServer) publish(t *testing.T, left time.Duration, revoked ...*testpki.Cert) {
	t.Helper()
	list, err := r.pki.CA.RevokeUntil(time.Now().Add(left), revoked...)
	if err == nil {
		err = os.WriteFile(r.file+".new", list, 0o600)
	}
	if err == nil {
		err = os.Rename(r.file+".new", r.file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reload returns the output of a reload.
func (r *revokingServer) reload(t *testing.T) string {
	t.Helper()
	const summary = "reloaded certificates"
	before, summaries := len(r.Stderr()), strings.Count(r.Stderr(), summary)
	r.Signal(syscall.SIGHUP)
	nettest.Eventually(t, harness.Patience,
		func() bool { return strings.Count(r.Stderr(), summary) > summaries }, "not reloaded")
	return r.Stderr()[before:]
}

// wantRefused checks that a client gets nothing and that this is counted.
func (r *revokingServer) wantRefused(t *testing.T, config *tls.Config, reason string) {
	t.Helper()
	before := r.Document().Engine.TLS.Failures[reason]
	if state, err := harness.TryVisit(r.Addr(), config); err == nil {
		t.Errorf("served, resumed is %v, want %s", state.DidResume, reason)
	}
	if n := r.Document().Engine.TLS.Failures[reason] - before; n != 1 {
		t.Errorf("failures %s: got %d, want 1", reason, n)
	}
}

// TestRevokedClient: a client whose certificate is revoked while the node runs is refused,
// with a session that it has and without, while another one goes on.
func TestRevokedClient(t *testing.T) {
	for _, engine := range []string{"own", "standard"} {
		t.Run(engine, func(t *testing.T) {
			r := startRevoking(t, "--tls-engine", engine)
			good, bad := r.pki.Client("good"), r.pki.Client("bad")
			harness.ForEachVersion(t, func(t *testing.T, version uint16) {
				r.publish(t, 24*time.Hour)
				r.reload(t)
				kept, _ := harness.OneSessionConfig(r.pki, version)
				kept.GetClientCertificate = harness.Sends(&good.TLS)
				lost, _ := harness.OneSessionConfig(r.pki, version)
				lost.GetClientCertificate = harness.Sends(&bad.TLS)
				harness.WantResumed(t, r.Addr(), kept, false)
				harness.WantResumed(t, r.Addr(), kept, true)
				harness.WantResumed(t, r.Addr(), lost, false)
				harness.WantResumed(t, r.Addr(), lost, true)

				r.publish(t, 24*time.Hour, bad)
				r.reload(t)
				before := r.Document()
				r.wantRefused(t, lost, "client_certificate_revoked")
				r.wantRefused(t, harness.With(lost, harness.NoResumption), "client_certificate_revoked")
				harness.WantResumed(t, r.Addr(), kept, false)
				r.WantOutcomes(before, map[string]uint64{"scope_client_auth": 1})
				harness.WantResumed(t, r.Addr(), kept, true)
			})
		})
	}
}

// TestExpiredCRL: once its list has expired, a client's revocation is unknown, so it is refused. A
// broken file changes nothing, and check, start and a reload give the same verdict.
func TestExpiredCRL(t *testing.T) {
	r := startRevoking(t)
	client := harness.With(harness.ClientConfig(r.pki),
		func(c *tls.Config) { c.Certificates = []tls.Certificate{r.pki.Client("client").TLS} })
	harness.Visit(t, r.Addr(), client)

	if err := os.WriteFile(r.file, []byte("-----BEGIN X509 CRL-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const broken = "clients.crl: block 1 (X509 CRL, line 1): no END line: the block is cut off"
	if said := r.reload(t); !strings.Contains(said, broken) || !strings.Contains(said, `"refused":1`) {
		t.Errorf("not told %q:\n%s", broken, said)
	}
	harness.Visit(t, r.Addr(), client)
	args := []string{
		harness.Listen(r.pki.Server(testpki.ECDSA, "localhost"), "clientca=!"+r.pki.CAFile), harness.To("127.0.0.1:9"), "--ssl-client-crl",
		r.file,
	}
	for _, command := range [][]string{append([]string{"check"}, args...), args} {
		if result := nettest.Run(t, nettest.Command{
			Path: harness.Program(t),
			Args: command,
		}); result.ExitCode != harness.ExitConfig ||
			!strings.Contains(result.Stderr, broken) {
			t.Errorf("%s: exit code %d, want %q in:\n%s", command[0], result.ExitCode, broken, result.Stderr)
		}
	}

	r.publish(t, -time.Minute)
	const expired = "has a revocation list of CN=Reprise test CA that expired on "
	if said := r.reload(t); !strings.Contains(said, expired) {
		t.Errorf("not told %q:\n%s", expired, said)
	}
	r.wantRefused(t, client, "no_revocation_list")
	if result := nettest.Run(t, nettest.Command{
		Path: harness.Program(t),
		Args: append([]string{"check"}, args...),
	}); result.ExitCode != 0 ||
		!strings.Contains(result.Stderr, expired) {
		t.Errorf("check: exit code %d, want %q in:\n%s", result.ExitCode, expired, result.Stderr)
	}
	if metrics := harness.Scrape(t, r.Admin); !strings.Contains(metrics, `reprise_client_crl_next_update_timestamp_seconds{file="`+r.file+`",issuer="CN=Reprise test CA"}`) {
		t.Error("the metrics do not have the list")
	}

	// The same list as other tools write it.
	nettest.Need(t, "openssl")
	r.publish(t, 24*time.Hour)
	if out, err := exec.Command("openssl", "crl", "-in", r.file, "-outform", "der", "-out", r.file).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	r.reload(t)
	harness.Visit(t, r.Addr(), client)
}

// authorities makes a file of client authorities, and returns what writes it anew.
func authorities(t *testing.T, file string, pki *testpki.PKI) (_ string, write func([]byte)) {
	t.Helper()
	write = func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pki.CA.CertPEM())
	return file, write
}

// TestLostClientCA: a file of client authorities that goes away, perhaps to be written anew, does
// not open its name to all clients.
func TestLostClientCA(t *testing.T) {
	pki := testpki.New(t)
	dir := t.TempDir()
	if _, err := pki.Server(testpki.ECDSA, "a.example").Write(dir, "a.example"); err != nil {
		t.Fatal(err)
	}
	caFile, write := authorities(t, filepath.Join(dir, "a.example.ca"), pki)
	cert := pki.Server(testpki.ECDSA, "localhost")
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &revokingServer{pki: pki, Server: harness.Start(t, "--https=127.0.0.1:0,"+cert.CertFile+","+cert.KeyFile, "--http-to=127.0.0.1:9", "--sni-dir", dir, "--cluster-secret-file",
		secret)}
	asked := func() (asked bool) {
		t.Helper()
		config := &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "a.example", MaxVersion: tls.VersionTLS12}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}
		harness.Connect(t, r.Addr(), config)
		return asked
	}
	if !asked() {
		t.Fatal("clients are not asked for a certificate")
	}
	if err := os.Remove(caFile); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		said := r.reload(t)
		if !asked() {
			t.Error("clients are not asked any more")
		}
		if !strings.Contains(said, "a client CA is gone") || !strings.Contains(said, caFile) {
			t.Errorf("not told:\n%s", said)
		}
	}
	write(pki.CA.CertPEM())
	if said := r.reload(t); !asked() || strings.Contains(said, "is gone") {
		t.Errorf("it is there again:\n%s", said)
	}
}

// TestUnknownName: a client that asks for a name without a certificate gets the alert.
func TestUnknownName(t *testing.T) {
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--sni-nomatch-abort")
	harness.Visit(t, s.Addr(), harness.ClientConfig(pki))
	for _, name := range []string{"elsewhere.example", ""} {
		// #nosec: it must not come that far
		_, err := harness.TryVisit(s.Addr(), &tls.Config{InsecureSkipVerify: true, ServerName: name})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := s.Document().Engine.TLS.Failures["unknown_name"]; n != 2 {
		t.Errorf("failures unknown_name: got %d, want 2", n)
	}
}

// TestBrokenClientCA: a file of client authorities that breaks harms only itself: its previous
// authorities stay in force, and a certificate that was renewed meanwhile is served.
func TestBrokenClientCA(t *testing.T) {
	pki := testpki.New(t)
	dir := t.TempDir()
	cert, err := pki.Server(testpki.ECDSA, "localhost").Write(dir, "live")
	if err != nil {
		t.Fatal(err)
	}
	caFile, write := authorities(t, filepath.Join(dir, "clients.pem"), pki)
	args := []string{harness.Listen(cert, "clientca=!"+caFile), harness.To(nettest.Serve(t, nettest.Echo).Addr)}
	r := &revokingServer{pki: pki, Server: harness.Start(t, args...)}
	stranger := harness.With(harness.ClientConfig(pki), harness.NoResumption)
	client := harness.With(stranger,
		func(c *tls.Config) { c.Certificates = []tls.Certificate{pki.Client("client").TLS} })
	r.wantRefused(t, stranger, "client_certificate")

	renewed, err := pki.Server(testpki.ECDSA, "localhost").Write(dir, "live")
	if err != nil {
		t.Fatal(err)
	}
	write(pki.CA.CertPEM()[:100])
	const broken = "clients.pem: block 1 (CERTIFICATE, line 1): no END line: the block is cut off"
	if said := r.reload(t); !strings.Contains(said, broken) || !strings.Contains(said, `"renewed":1`) {
		t.Errorf("not told %q:\n%s", broken, said)
	}
	if got := harness.Visit(t, r.Addr(), client).PeerCertificates[0]; !got.Equal(renewed.TLS.Leaf) {
		t.Error("not the certificate that was renewed")
	}
	r.wantRefused(t, stranger, "client_certificate")
	for _, command := range [][]string{append([]string{"check"}, args...), args} {
		if result := nettest.Run(t, nettest.Command{
			Path: harness.Program(t),
			Args: command,
		}); result.ExitCode != harness.ExitConfig ||
			!strings.Contains(result.Stderr, broken) {
			t.Errorf("%s: exit code %d, want %q in:\n%s", command[0], result.ExitCode, broken, result.Stderr)
		}
	}
}

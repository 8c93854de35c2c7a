package documented

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"

	"github.com/pires/go-proxyproto"
)

// hitchConf is as realistic as free ports allow: both frontends, the backend and the directory are
// filled in.
const hitchConf = `# TLS for the cache behind it
frontend = {
	host = "127.0.0.1"
	port = "%s"
}
frontend = "[127.0.0.1]:%s+second.pem"
backend = "[127.0.0.1]:%s"   # reads PROXY headers
pem-file = "first.pem"
pem-dir = "%s"
pem-dir-glob = "*.pem"
workers = 2
backlog = 100
alpn-protos = "h2,http/1.1"
tls-protos = TLSv1.2 TLSv1.3
write-proxy-v2 = on
client-verify = optional
client-verify-ca = "ca.pem"
user = "root"
group = "root"
quiet = on
`

// A hitchAnswer is the content of a PROXY header.
type hitchAnswer struct{ Source, ALPN string }

// TestHitchUsersSeeTheSame: a file of hitch's, given to reprise unchanged, has the same effect as
// in hitch.
func TestHitchUsersSeeTheSame(t *testing.T) {
	nettest.Need(t, "hitch")
	dir, pki := t.TempDir(), testpki.New(t)
	certs := filepath.Join(dir, "certs")
	writeHitchFiles(t, dir, pki)
	backend := nettest.Serve(t, tellProxyHeader)
	_, backendPort, _ := net.SplitHostPort(backend.Addr)
	run := func(file, program string, args ...string) (frontends [2]string) {
		first, second := nettest.FreePort(t), nettest.FreePort(t)
		conf := fmt.Sprintf(hitchConf, fmt.Sprint(first), fmt.Sprint(second), backendPort, certs)
		writeIn(t, filepath.Join(dir, file), []byte(conf))
		frontends = [2]string{fmt.Sprintf("127.0.0.1:%d", first), fmt.Sprintf("127.0.0.1:%d", second)}
		nettest.Start(t, nettest.Command{
			Path: program, Args: append(args, file), Dir: dir,
			Timeout: harness.Patience,
		}, nettest.Accepts(frontends[0]), nettest.Accepts(frontends[1]))
		return frontends
	}
	theirs, ours := run("hitch.conf", "hitch", "--config"), run("hitch-ours.conf", harness.Program(t))

	client := pki.Client("client")
	for _, test := range []struct {
		name     string
		frontend int
		server   string
		alpn     []string
		cert     bool
	}{
		{"the first frontend", 0, "first.example", nil, false},
		{"a name of pem-dir", 0, "www.a.example", []string{"h2"}, false},
		{"a wildcard", 0, "x.b.example", []string{"http/1.1"}, false},
		{"a wildcard has no second label", 0, "x.y.b.example", nil, false},
		{"an unknown name", 0, "nowhere.example", []string{"http/1.1", "h2"}, false},
		{"not matched by the glob", 0, "c.example", nil, false},
		{"no name", 0, "", nil, false},
		{"the second frontend", 1, "second.example", []string{"h2", "http/1.1"}, false},
		{"the second frontend, no name", 1, "", nil, false},
		{"the other frontend's name", 0, "second.example", nil, false},
		{"a client certificate", 0, "first.example", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				config := &tls.Config{
					InsecureSkipVerify: true, ServerName: test.server, NextProtos: test.alpn, MinVersion: version,
					MaxVersion: version,
				}
				if test.cert {
					config.Certificates = []tls.Certificate{client.TLS}
				}
				want := probeHitch(t, theirs[test.frontend], config)
				if got := probeHitch(t, ours[test.frontend], config); !slices.Equal(got, want) {
					t.Errorf("%s: got\n%q, hitch has\n%q", tls.VersionName(version), got, want)
				}
			}
		})
	}

	testCheckOfHitch(t, dir, backend.Addr)
}

// writeHitchFiles writes the certificates that hitchConf names.
func writeHitchFiles(t *testing.T, dir string, pki *testpki.PKI) {
	for file, names := range map[string][]string{
		"first.pem": {"first.example", "127.0.0.1"}, "second.pem": {"second.example"},
		"certs/a.pem": {"a.example", "www.a.example"}, "certs/b.pem": {"*.b.example"}, "certs/c.txt": {"c.example"},
	} {
		cert := pki.Server(testpki.ECDSA, names...)
		chain := slices.Concat(cert.KeyPEM, cert.CertPEM, pki.CA.CertPEM())
		writeIn(t, filepath.Join(dir, file), chain)
	}
	writeIn(t, filepath.Join(dir, "ca.pem"), pki.CA.CertPEM())
}

// testCheckOfHitch: check explains the file, and the differences from hitch.
func testCheckOfHitch(t *testing.T, dir, backend string) {
	check := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{"check", "hitch-ours.conf"}, Dir: dir})
	if check.ExitCode != harness.ExitOK || strings.Contains(check.Stdout, "PRIVATE") {
		t.Fatalf("check: exit code %d\n%s%s", check.ExitCode, check.Stdout, check.Stderr)
	}
	for _, want := range []string{"http-processes = 2", "sslrouter-send-proxy = v2", "sslrouter-alpn = h2,http/1.1", "clientca=ca.pem", "sslrouter-to = " + backend} {
		if !strings.Contains(harness.Settings(check.Stdout), want) {
			t.Errorf("check: want %s in:\n%s", want, harness.Settings(check.Stdout))
		}
	}
	// Each is a difference from hitch.
	want := []string{":18: user: no effect", ":19: group: no effect", ":6: frontend: certificates from outside of it are offered by name here too"}
	if lines := strings.SplitAfter(check.Stderr, "\n"); len(lines)-1 != len(want) {
		t.Errorf("check warns:\n%swant %q", check.Stderr, want)
	}
	for _, w := range want {
		if !strings.Contains(check.Stderr, w) {
			t.Errorf("check does not warn %q:\n%s", w, check.Stderr)
		}
	}
}

func writeIn(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tellProxyHeader is a backend that sends back the content of its PROXY header.
func tellProxyHeader(conn net.Conn) {
	r := bufio.NewReader(conn)
	header, err := proxyproto.Read(r)
	if err != nil {
		return
	}
	if _, err := r.ReadString('\n'); err != nil {
		return
	}
	var told hitchAnswer
	told.Source = header.SourceAddr.String()
	tlvs, _ := header.TLVs()
	for _, tlv := range tlvs {
		if tlv.Type == proxyproto.PP2_TYPE_ALPN {
			told.ALPN = string(tlv.Value)
		}
	}
	_ = json.NewEncoder(conn).Encode(told)
}

// probeHitch makes one request and returns the result, or that the handshake failed.
func probeHitch(t *testing.T, addr string, config *tls.Config) []string {
	t.Helper()
	var authorities int
	config = config.Clone()
	certs := config.Certificates
	config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		authorities = len(r.AcceptableCAs)
		if len(certs) == 0 {
			return new(tls.Certificate), nil
		}
		return &certs[0], nil
	}
	config.Certificates = nil
	raw := harness.DialRaw(t, addr)
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		return []string{"no handshake"}
	}
	if _, err := conn.Write([]byte("ask\n")); err != nil {
		return []string{"no answer"}
	}
	var told hitchAnswer
	if err := json.NewDecoder(conn).Decode(&told); err != nil {
		return []string{"no answer"}
	}
	state := conn.ConnectionState()
	seen := []string{
		"certificate " + state.PeerCertificates[0].Subject.CommonName, "ALPN " + state.NegotiatedProtocol, "header's ALPN " + told.ALPN,
		fmt.Sprintf("chain of %d", len(state.PeerCertificates)), fmt.Sprintf("%d authorities", authorities),
	}
	if told.Source != raw.LocalAddr().String() {
		seen = append(seen, "the header tells "+told.Source+" of "+raw.LocalAddr().String())
	}
	return seen
}

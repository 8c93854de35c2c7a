package tls

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A pemCase is the content of the files of one name.
type pemCase struct {
	name      string
	cert, key []byte
	want      string // the message about it; "" for none
	served    bool   // nevertheless
}

// pemCases are those of which check, start and reload must say the same.
func pemCases(t *testing.T, pki *testpki.PKI) []pemCase {
	t.Helper()
	leaf, other := pki.Server(testpki.ECDSA, "a.example"), pki.Server(testpki.ECDSA, "b.example")
	ca := pki.CA.CertPEM()
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	bom := []byte("\xef\xbb\xbf")
	junk := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("0junk")})
	badBase64 := bytes.Replace(ca, []byte("\nM"), []byte("\n~"), 1)
	made := func(template testpki.Template) *testpki.Cert {
		template.Names = []string{"a.example"}
		return pki.Issue(template)
	}
	expired, ending := made(testpki.Template{NotAfter: time.Now().Add(-time.Hour)}),
		made(testpki.Template{NotAfter: time.Now().Add(time.Hour)})
	list := []pemCase{
		{"chain joined without a line break", join(bytes.TrimSpace(leaf.CertPEM), ca), leaf.KeyPEM, "must have a line of its own: add a line break", false},
		{"chain cut off", join(leaf.CertPEM, ca[:len(ca)/2]), leaf.KeyPEM, "block 2 (CERTIFICATE, line 12): no END line", false},
		{"bad base64", join(leaf.CertPEM, badBase64), leaf.KeyPEM, "is not base64: copy the block again", false},
		{"no X.509 in a block", join(leaf.CertPEM, junk), leaf.KeyPEM, "block 2 (CERTIFICATE, line 12): malformed certificate", false},
		{"half a certificate", leaf.CertPEM[:len(leaf.CertPEM)/2], leaf.KeyPEM, "block 1 (CERTIFICATE, line 1): no END line", false},
		{"empty", nil, leaf.KeyPEM, "is empty", false},
		{"authority first", join(ca, leaf.CertPEM), leaf.KeyPEM, "the 2nd certificate is the key's: put it first", false},
		{"key of another", leaf.CertPEM, pki.Server(testpki.ECDSA, "a.example").KeyPEM, "name the pair that was made together", false},
		{"byte order mark before each", join(bom, leaf.CertPEM), join(bom, leaf.KeyPEM), "", true},
		{"expired", expired.CertPEM, expired.KeyPEM, " expired on ", true},
		{"near its end", ending.CertPEM, ending.KeyPEM, " expires on ", true},
		{"another name", other.CertPEM, other.KeyPEM, "is not a certificate for a.example", true},
	}
	for kind, args := range map[string][]string{
		"an RSA key of 512 bits does not work": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"},
		"a key on P-224 does not work":         {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"},
		"RSA-PSS keys do not work":             {"-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024"},
		"Ed448 keys do not work":               {"-algorithm", "ED448"},
	} {
		list = append(list, opensslPair(t, kind, args))
	}
	return list
}

func opensslPair(t *testing.T, want string, args []string) pemCase {
	t.Helper()
	nettest.Need(t, "openssl")
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	for _, args := range [][]string{
		append([]string{"genpkey", "-out", key}, args...),
		{"req", "-new", "-x509", "-key", key, "-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example", "-days", "3650", "-out", cert},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	c := pemCase{name: want, want: want}
	var err error
	if c.cert, err = os.ReadFile(cert); err == nil {
		c.key, err = os.ReadFile(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSameVerdicts: check, start and a reload give the same verdict on a file. A file that a start
// refuses changes nothing at a reload, and one that it warns of is served by both.
func TestSameVerdicts(t *testing.T) {
	pki := testpki.New(t)
	good, listener := pki.Server(testpki.ECDSA, "a.example"), pki.Server(testpki.ECDSA, "localhost")
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert, key := write("c.pem", good.CertPEM), write("k.pem", good.KeyPEM)
	addr := nettest.FreeAddr(t)
	configuration := func(addr string) []byte {
		return []byte("[reprise]\nsslrouter = " + addr + "," + listener.CertFile + "," + listener.KeyFile +
			"\nsslrouter-to = 127.0.0.1:9\nsni = a.example " + cert + "," + key + "\n")
	}
	file := write("edge.ini", configuration(addr))
	other := write("other.ini", configuration("127.0.0.1:0"))
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{file}},
		nettest.Accepts(addr))
	for _, tc := range pemCases(t, pki) {
		t.Run(tc.name, func(t *testing.T) {
			write("c.pem", good.CertPEM)
			write("k.pem", good.KeyPEM)
			reloadOf(t, p)
			write("c.pem", tc.cert)
			write("k.pem", tc.key)
			wantVerdicts(t, other, tc.served, tc.want)
			said := reloadOf(t, p)
			if !strings.Contains(said, tc.want) {
				t.Errorf("reload: want %q in:\n%s", tc.want, said)
			}
			want := good.TLS.Leaf.Raw
			if tc.served {
				block, _ := pem.Decode(bytes.TrimPrefix(tc.cert, []byte("\xef\xbb\xbf")))
				want = block.Bytes
			}
			nettest.Eventually(t, harness.Patience,
				func() bool { return bytes.Equal(servedAt(t, addr), want) },
				"reload: not the certificate that is to be served, after:\n%s", said)
		})
	}
}

// wantVerdicts: check and start say the same of a file.
func wantVerdicts(t *testing.T, file string, served bool, want string) {
	check := harness.Run(t, "check", file)
	if served != (check.ExitCode == 0) || !strings.Contains(check.Stderr, want) {
		t.Errorf("check: exit code %d, want %q in:\n%s", check.ExitCode, want, check.Stderr)
	}
	if want == "" && strings.Contains(check.Stderr, "sni = ") {
		t.Errorf("check: want nothing, got:\n%s", check.Stderr)
	}
	if !served {
		r := harness.Run(t, file)
		if r.ExitCode != harness.ExitConfig || !strings.Contains(r.Stderr, want) {
			t.Errorf("start: exit code %d, want %q in:\n%s", r.ExitCode, want, r.Stderr)
		}
		return
	}
	command := nettest.Command{Path: harness.Program(t), Args: []string{file}}
	started := nettest.Start(t, command, nettest.Prints("msg=serving"))
	if !strings.Contains(started.Stderr(), want) {
		t.Errorf("start: want %q in:\n%s", want, started.Stderr())
	}
	started.Stop()
}

// reloadOf has a process reload, and returns its log lines.
func reloadOf(t *testing.T, p *nettest.Process) (said string) {
	t.Helper()
	before, summaries := len(p.Stderr()), strings.Count(p.Stderr(), "reloaded certificates")
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, harness.Patience,
		func() bool { return strings.Count(p.Stderr(), "reloaded certificates") > summaries }, "not reloaded")
	return p.Stderr()[before:]
}

// servedAt is the certificate for a.example there.
func servedAt(t *testing.T, addr string) []byte {
	t.Helper()
	// #nosec: the certificate itself is compared
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw
}

// TestFirstExpiredOfTwo: of two certificates for one name and kind of key a valid one is served, at
// start and after a change at a reload; one that is never served is reported.
func TestFirstExpiredOfTwo(t *testing.T) {
	pki := testpki.New(t)
	names := []string{"a.example"}
	expired, good := pki.Issue(testpki.Template{
		Names:    names,
		NotAfter: time.Now().Add(-time.Hour),
	}), pki.Issue(testpki.Template{Names: names})
	listener := pki.Server(testpki.ECDSA, "localhost")
	dir := t.TempDir()
	first, err := expired.Write(dir, "first")
	if err != nil {
		t.Fatal(err)
	}
	second, err := good.Write(dir, "second")
	if err != nil {
		t.Fatal(err)
	}
	addr := nettest.FreeAddr(t)
	p := nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: []string{
		"--sslrouter", addr + "," + listener.CertFile + "," + listener.KeyFile, "--sslrouter-to", "127.0.0.1:9",
		"--sni", "a.example " + first.CertFile + "," + first.KeyFile, "--sni", "a.example " + second.CertFile + "," + second.KeyFile,
	}}, nettest.Accepts(addr))
	serves := func(want *testpki.Cert) bool {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "a.example"})
		if err != nil {
			return false // expired
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Equal(want.TLS.Leaf)
	}
	if !serves(good) || !strings.Contains(p.Stderr(), first.CertFile+" expired on ") {
		t.Errorf("not the valid one, or not told:\n%s", p.Stderr())
	}
	fresh := pki.Issue(testpki.Template{Names: names})
	if _, err := fresh.Write(dir, "first"); err != nil {
		t.Fatal(err)
	}
	if _, err := expired.Write(dir, "second"); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	nettest.Eventually(t, harness.Patience, func() bool { return serves(fresh) }, "not the one that is valid now")
	p.Match(regexp.QuoteMeta(second.CertFile + " is never served"))
}

// TestHitchDirectory: other files in a directory of hitch's are skipped where hitch skips them, and
// an error where it reports one.
func TestHitchDirectory(t *testing.T) {
	pki := testpki.New(t)
	dir, certs := t.TempDir(), t.TempDir()
	cert, err := pki.Server(testpki.ECDSA, "a.example").Write(certs, "a")
	if err != nil {
		t.Fatal(err)
	}
	// as Kubernetes mounts secrets
	if err := os.Symlink(t.TempDir(), filepath.Join(certs, "..data")); err != nil {
		t.Fatal(err)
	}
	addr := nettest.FreeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	configuration := func(name, port string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		text := "frontend = \"[" + host + "]:" + port + "\"\nbackend = \"[127.0.0.1]:9\"\npem-dir = \"" + certs + "\"\npem-dir-glob = \"*.pem\"\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	p := nettest.Start(t, nettest.Command{
		Path: harness.Program(t),
		Args: []string{configuration("hitch.conf", port)},
	}, nettest.Accepts(addr))
	other := configuration("other.conf", "0")
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"half.pem":  {cert.CertPEM[:100], "half.pem: block 1 (CERTIFICATE, line 1): no END line"},
		"empty.pem": {nil, "empty.pem is empty"},
	} {
		file := filepath.Join(certs, name)
		if err := os.WriteFile(file, tc.data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"check", other}, {other}} {
			if r := nettest.Run(t, nettest.Command{
				Path: harness.Program(t),
				Args: args,
			}); r.ExitCode != harness.ExitConfig || !strings.Contains(r.Stderr, tc.want) {
				t.Errorf("%s: exit code %d, want %q in:\n%s", args[0], r.ExitCode, tc.want, r.Stderr)
			}
		}
		p.Signal(syscall.SIGHUP)
		nettest.Eventually(t, harness.Patience,
			func() bool { return strings.Contains(p.Stderr(), tc.want) }, "reload: not told %q", tc.want)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

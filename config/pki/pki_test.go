package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/testpki"
)

// files are what the tests' tables are made of.
type files struct {
	leaf, other *testpki.Cert
	ca          []byte
}

// inFiles makes the files' contents, and works in an empty directory.
func inFiles(t *testing.T) *files {
	t.Helper()
	t.Chdir(t.TempDir())
	ca, err := testpki.NewCA("authority")
	if err != nil {
		t.Fatal(err)
	}
	f := &files{ca: ca.CertPEM()}
	for _, made := range []struct {
		to       **testpki.Cert
		template testpki.Template
	}{
		{&f.leaf, testpki.Template{Names: []string{"a.example"}}},
		{&f.other, testpki.Template{Names: []string{"b.example"}, Key: testpki.RSA}},
	} {
		if *made.to, err = ca.Issue(made.template); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func write(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	if err := os.WriteFile(name, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func block1(label string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: data})
}

// TestReadPairAccepts: files that other servers accept, and what editors make of them.
func TestReadPairAccepts(t *testing.T) {
	f := inFiles(t)
	text := []byte("subject=CN = a.example\n  Signature: -----\n")
	crlf := func(p []byte) []byte { return bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")) }
	for _, tc := range []struct {
		name  string
		cert  []byte
		key   []byte
		chain int
	}{
		{"plain", f.leaf.CertPEM, f.leaf.KeyPEM, 1},
		{"chain", slices.Concat(f.leaf.CertPEM, f.ca), f.leaf.KeyPEM, 2},
		{"text around", slices.Concat(text, f.leaf.CertPEM, text, f.ca, text), slices.Concat(text, f.leaf.KeyPEM), 2},
		{"byte order mark", slices.Concat(bom, f.leaf.CertPEM, f.ca), slices.Concat(bom, f.leaf.KeyPEM), 2},
		{"CR LF", crlf(slices.Concat(f.leaf.CertPEM, f.ca)), crlf(f.leaf.KeyPEM), 2},
		{"no line break at the end", bytes.TrimSpace(f.leaf.CertPEM), bytes.TrimSpace(f.leaf.KeyPEM), 1},
		{"blanks at line ends", bytes.ReplaceAll(f.leaf.CertPEM, []byte("\n"), []byte(" \t\n")), f.leaf.KeyPEM, 1},
		{"empty lines", bytes.ReplaceAll(f.leaf.CertPEM, []byte("\n"), []byte("\n\n")), f.leaf.KeyPEM, 1},
		{"both in both", slices.Concat(f.leaf.KeyPEM, f.leaf.CertPEM), slices.Concat(f.leaf.CertPEM, f.leaf.KeyPEM), 1},
		{
			"parameters", slices.Concat(f.leaf.CertPEM, block1("DH PARAMETERS", []byte("x"))),
			slices.Concat(block1("EC PARAMETERS", []byte("x")), f.leaf.KeyPEM), 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pair, err := ReadPair(write(t, "c", tc.cert), write(t, "k", tc.key))
			if err != nil {
				t.Fatal(err)
			}
			if len(pair.Certificate.Certificate) != tc.chain || !pair.Leaf.Equal(f.leaf.TLS.Leaf) {
				t.Errorf("%d certificates, the first for %v", len(pair.Certificate.Certificate), pair.Leaf.DNSNames)
			}
			if tc.chain == 2 && !bytes.Equal(pair.Certificate.Certificate[1], decode(t, f.ca)) {
				t.Error("the 2nd is not the authority's")
			}
		})
	}
}

func decode(t *testing.T, p []byte) []byte {
	t.Helper()
	b, _ := pem.Decode(p)
	if b == nil {
		t.Fatal("no PEM")
	}
	return b.Bytes
}

// TestReadPairRefuses: blocks that a lenient reader would skip, and clients would miss.
func TestReadPairRefuses(t *testing.T) {
	f := inFiles(t)
	cut := func(p []byte, lines int) []byte {
		all := bytes.SplitAfter(p, []byte("\n"))
		return bytes.Join(all[:len(all)-lines], nil)
	}
	glued := slices.Concat(bytes.TrimSpace(f.leaf.CertPEM), f.ca)
	badBase64 := bytes.Replace(f.ca, []byte("\nMI"), []byte("\nM*"), 1)
	short := slices.Concat(f.leaf.CertPEM, bytes.Replace(f.ca, []byte("\nMI"), []byte("\nMII"), 1))
	lines := bytes.Count(f.leaf.CertPEM, []byte("\n"))
	at := func(n int) string { return "line " + string(rune('0'+n/10)) + string(rune('0'+n%10)) }
	for _, tc := range []struct {
		name      string
		cert, key []byte
		want      string
	}{
		{"joined without a line break", glued, f.leaf.KeyPEM, `c: ` + at(lines) + `: BEGIN must have a line of its own`},
		{"indented", bytes.ReplaceAll(f.leaf.CertPEM, []byte("-----BEGIN"), []byte("  -----BEGIN")), f.leaf.KeyPEM, `c: line 1: BEGIN must have a line of its own`},
		{"dashes missing", bytes.Replace(f.leaf.CertPEM, []byte("CERTIFICATE-----"), []byte("CERTIFICATE----"), 1), f.leaf.KeyPEM, `c: line 1: BEGIN must have a line of its own`},
		{"cut off", slices.Concat(f.leaf.CertPEM, cut(f.ca, 2)), f.leaf.KeyPEM, `c: block 2 (CERTIFICATE, ` + at(lines+1) + `): no END line`},
		{"cut off in between", slices.Concat(cut(f.leaf.CertPEM, 2), f.ca), f.leaf.KeyPEM, `c: block 1 (CERTIFICATE, line 1): no END line before the BEGIN`},
		{"end only", cut(f.ca, 0)[bytes.IndexByte(f.ca, '\n')+1:], f.leaf.KeyPEM, `END CERTIFICATE without BEGIN`},
		{"other end", bytes.Replace(f.leaf.CertPEM, []byte("END CERTIFICATE"), []byte("END FOO"), 1), f.leaf.KeyPEM, `c: block 1 (CERTIFICATE, line 1): ends in ` + at(lines) + ` as END FOO`},
		{"bad base64", slices.Concat(f.leaf.CertPEM, badBase64), f.leaf.KeyPEM, `c: block 2 (CERTIFICATE, ` + at(lines+1) + `): ` + at(lines+2) + ` is not base64`},
		{"a letter too much", short, f.leaf.KeyPEM, `c: block 2 (CERTIFICATE, ` + at(lines+1) + `): its base64 is not whole`},
		{"no certificate in the block", slices.Concat(f.leaf.CertPEM, block1("CERTIFICATE", []byte("0junk"))), f.leaf.KeyPEM, `c: block 2 (CERTIFICATE, ` + at(lines+1) + `): malformed`},
		{"empty block", []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), f.leaf.KeyPEM, `its base64 is not whole`},
		{"unknown block", slices.Concat(f.leaf.CertPEM, block1("CERTIFICATE REQUEST", []byte("x"))), f.leaf.KeyPEM, `not known here: remove it`},
		{"DER", decode(t, f.ca), f.leaf.KeyPEM, `c is DER, not PEM`},
		{"authority first", slices.Concat(f.ca, f.leaf.CertPEM), f.leaf.KeyPEM, `c: the 2nd certificate is the key's: put it first`},
		{"the key of another", f.leaf.CertPEM, f.other.KeyPEM, `k is not the key of c: name the pair that was made together`},
		{"two keys", f.leaf.CertPEM, slices.Concat(f.leaf.KeyPEM, f.other.KeyPEM), `k: block 2 (PRIVATE KEY, `},
		{"broken key", f.leaf.CertPEM, block1("PRIVATE KEY", []byte("0junk")), `k: block 1 (PRIVATE KEY, line 1): `},
		{"encrypted", f.leaf.CertPEM, block1("ENCRYPTED PRIVATE KEY", []byte("x")), `k is encrypted`},
		{"encrypted as in RFC 1421", f.leaf.CertPEM, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), `k is encrypted`},
		{"OpenSSH", f.leaf.CertPEM, block1("OPENSSH PRIVATE KEY", []byte("x")), `a kind of key that does not work: use ECDSA`},
		{"no certificate", []byte("text\n"), f.leaf.KeyPEM, `c holds no PEM certificate`},
		{"no key", f.leaf.CertPEM, f.leaf.CertPEM, `k holds no PEM private key`},
		{"empty", []byte(" \n"), f.leaf.KeyPEM, `c is empty`},
		{"too long", bytes.Repeat([]byte("a\n"), maxFileSize), f.leaf.KeyPEM, `cannot read c: more than`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadPair(write(t, "c", tc.cert), write(t, "k", tc.key))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// TestAuthoritiesAreAll: a byte order mark or a missing line break must not hide an authority.
func TestAuthoritiesAreAll(t *testing.T) {
	f := inFiles(t)
	all, err := ReadCertificates(write(t, "ca", bom, f.ca, f.leaf.CertPEM))
	if err != nil || len(all) != 2 {
		t.Errorf("%d certificates, %v", len(all), err)
	}
	if _, err := ReadCertificates(write(t, "ca", bytes.TrimSpace(f.ca), f.leaf.CertPEM)); err == nil {
		t.Error("the second authority is lost in silence")
	}
}

// TestKindsOfKeys: keys of OpenSSL that cannot sign in a handshake are refused.
func TestKindsOfKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		name string
		args []string // of openssl genpkey
		want string   // "" if it works
	}{
		{"P-256", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, ""},
		{"P-384", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, ""},
		{"P-521", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, ""},
		{"Ed25519", []string{"-algorithm", "ED25519"}, ""},
		{"RSA 2048", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, ""},
		{"RSA 512", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"}, "RSA key of 512 bits does not work"},
		{"P-224", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"}, "P-224 does not work"},
		{"secp256k1", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, "elliptic curve"},
		{"RSA-PSS", []string{"-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"}, "RSA-PSS keys do not work"},
		{"Ed448", []string{"-algorithm", "ED448"}, "Ed448 keys do not work"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			openssl(t, append([]string{"genpkey", "-out", "key"}, tc.args...)...)
			openssl(t, "req", "-new", "-x509", "-key", "key", "-subj", "/CN=a", "-addext", "subjectAltName=DNS:a.example", "-days", "3650", "-out", "cert")
			switch _, err := ReadPair("cert", "key"); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func openssl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestWarnings: pairs that work but were hardly meant.
func TestWarnings(t *testing.T) {
	f := inFiles(t)
	now := time.Now()
	pair := func(parts ...[]byte) *Pair {
		p, err := ReadPair(write(t, "c", parts...), write(t, "k", f.leaf.KeyPEM))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	end := f.leaf.TLS.Leaf.NotAfter
	for _, tc := range []struct {
		name string
		pair *Pair
		for_ string
		at   time.Time
		want string
	}{
		{"all well", pair(f.leaf.CertPEM, f.ca), "a.example", now, ""},
		{"no name asked for", pair(f.leaf.CertPEM), "", now, ""},
		{"another name", pair(f.leaf.CertPEM), "b.example", now, "c is not a certificate for b.example"},
		{"a wildcard that it does not cover", pair(f.leaf.CertPEM), "*.a.example", now, "c is not a certificate for *.a.example"},
		{"expired", pair(f.leaf.CertPEM), "", end.Add(time.Second), "c expired on "},
		{"not yet", pair(f.leaf.CertPEM), "", f.leaf.TLS.Leaf.NotBefore.Add(-time.Second), "c is not valid before "},
		{"soon", pair(f.leaf.CertPEM), "", end.Add(-30 * time.Minute), "c expires on " + date(end) + ", in 30 minutes"},
		{"wrong chain", pair(f.leaf.CertPEM, f.other.CertPEM), "", now, "c is out of order: the 2nd certificate did not issue the 1st"},
		{"itself again", pair(f.leaf.CertPEM, f.leaf.CertPEM), "", now, "c holds its own certificate again as the 2nd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := strings.Join(tc.pair.Warnings("c", tc.for_, tc.at), "\n")
			if tc.want == "" && lines != "" || !strings.HasPrefix(lines, tc.want) {
				t.Errorf("%q, want %q", lines, tc.want)
			}
		})
	}
}

// TestExpirySoon: fourteen days before the end, or a tenth of a short life.
func TestExpirySoon(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		life, left time.Duration
		told       bool
	}{
		{365 * day, 15 * day, false},
		{365 * day, 13 * day, true},
		{6 * day, 15 * time.Hour, false},
		{6 * day, 14 * time.Hour, true},
		{90 * day, 10 * day, false},
		{90 * day, 8 * day, true},
	} {
		c := &x509.Certificate{NotBefore: now.Add(tc.left - tc.life), NotAfter: now.Add(tc.left)}
		if line := Expiry(c, now); (line != "") != tc.told {
			t.Errorf("life %v, left %v: %q", tc.life, tc.left, line)
		}
	}
}

// FuzzBlocks: each BEGIN line of any file is a block or an error, and without an error the lenient
// reader of the standard library finds the same.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte("-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN B-----\nx: y\n\nAAAA\n-----END B-----\n"))
	f.Add([]byte("-----BEGIN A-----\nAAAA\n-----END A----------BEGIN B-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := parse(data)
		if err != nil {
			return
		}
		if n := bytes.Count(data, []byte(beginMark)); n != len(blocks) {
			t.Errorf("%d blocks of %d", len(blocks), n)
		}
		for _, b := range blocks {
			if len(b.data) == 0 || b.line < 1 {
				t.Errorf("%+v", b)
			}
		}
	})
}

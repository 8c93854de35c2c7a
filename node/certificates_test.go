package node

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"reprise/config"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// TestValidFirst: an expired certificate does not stand before a valid one of its name,
// and the order of names, of which the first is the fallback, stays.
func TestValidFirst(t *testing.T) {
	now := time.Now()
	cert := func(name, id string, left time.Duration) tlsconn.Certificate {
		return tlsconn.Certificate{Name: name, TLS: tls.Certificate{
			OCSPStaple: []byte(id), Leaf: &x509.Certificate{
				NotBefore: now.Add(-time.Hour),
				NotAfter:  now.Add(left),
			},
		}}
	}
	for _, tc := range []struct {
		certs []tlsconn.Certificate
		want  string
	}{
		{[]tlsconn.Certificate{cert("a", "a1", 1), cert("a", "a2", 1)}, "a1 a2"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("b", "b1", 1), cert("a", "a2", 1), cert("a", "a3", 1)}, "a2 b1 a3 a1"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("b", "b1", -1)}, "a1 b1"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("a", "a2", -1), cert("a", "a3", 1)}, "a3 a2 a1"},
	} {
		var got []string
		for _, c := range validFirst(tc.certs, now) {
			got = append(got, string(c.TLS.OCSPStaple))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%v, want %s", got, tc.want)
		}
	}
}

// TestReadTLS: certificates of one name share its client policy, and a file that breaks
// later neither takes a name out of use nor makes its policy laxer.
func TestReadTLS(t *testing.T) {
	t.Chdir(t.TempDir())
	pki := testpki.New(t)
	for _, kind := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
		if _, err := pki.Server(kind, "a.example").Write(".", kind.String()); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca", pki.CA.CertPEM())
	strict := config.Policy{ClientCA: "ca", ClientCARequired: true}
	certificate := func(name string, kind testpki.KeyType, p config.Policy) config.Certificate {
		file := kind.String()
		return config.Certificate{Name: name, CertFile: file + ".crt", KeyFile: file + ".key", Policy: p}
	}
	listener := func(p config.Policy) *config.TLS {
		return &config.TLS{Certs: []config.Certificate{
			certificate("", testpki.ECDSA, config.Policy{}),
			certificate("a.example", testpki.ECDSA, p), certificate("a.example", testpki.RSA, p),
		}}
	}
	lax := readListener(t, listener(config.Policy{}), nil, 0)
	files := readListener(t, listener(strict), nil, 0)
	if requiredLen(files) != 2 {
		t.Errorf("%d of 2 certificates ask for one of the client", requiredLen(files))
	}
	write("RSA.crt", []byte("-----BEGIN CERTIFICATE-----"))
	now := readListener(t, listener(strict), files, 1)
	if len(now.offers) != 3 || requiredLen(now) != 2 {
		t.Errorf("%d certificates, %d ask", len(now.offers), requiredLen(now))
	}
	now = readListener(t, listener(strict), lax, 1)
	if len(now.offers) != 3 || requiredLen(now) != 2 {
		t.Errorf("a broken certificate keeps the policy of before: %d certificates, %d ask", len(now.offers), requiredLen(now))
	}
	write("ca", nil)
	now = readListener(t, listener(strict), files, 2)
	if len(now.offers) != 3 || requiredLen(now) != 2 {
		t.Errorf("%d certificates, %d ask", len(now.offers), requiredLen(now))
	}
	own := listener(config.Policy{})
	own.Policy = strict
	asks := &tlsFiles{policy: *files.offers[1].read.Policy, offers: lax.offers}
	if now := readListener(t, own, asks, 2); now.policy.ClientAuth != tlsconn.RequireClientCert ||
		len(now.policy.ClientCAs) != 1 {
		t.Errorf("a broken authority of the listener changes what it asks for: %+v", now.policy)
	}
	testLaxer(t, files, lax)
	if _, _, err := readTLS(listener(strict), newSources(nil, nil), nil, nil); err == nil {
		t.Error("started without the authority")
	}
}

// testLaxer compares what names ask for.
func testLaxer(t *testing.T, files, lax *tlsFiles) {
	if names := laxer(files, lax); len(names) != 1 || names[0] != "a.example" {
		t.Errorf("%q ask for less", names)
	}
	if names := laxer(files, &tlsFiles{offers: files.offers[:1]}); len(names) != 1 {
		t.Errorf("%q ask for less, and the name is gone", names)
	}
	if names := laxer(lax, files); len(names) > 0 {
		t.Errorf("%q ask for less", names)
	}
}

// requiredLen is how many names require a certificate of the client.
func requiredLen(f *tlsFiles) (n int) {
	for _, o := range f.offers {
		if o.Name != "" && o.read.Policy != nil && o.read.Policy.ClientAuth == tlsconn.RequireClientCert &&
			len(o.read.Policy.ClientCAs) == 1 {
			n++
		}
	}
	return n
}

// readListener reads what a listener has, of which some is refused.
func readListener(t *testing.T, l *config.TLS, old *tlsFiles, refused int) *tlsFiles {
	t.Helper()
	files, errs, err := readTLS(l, newSources(nil, nil), old, nil)
	if err != nil || len(errs) != refused {
		t.Fatalf("%v, refused %v", err, errs)
	}
	if _, err := files.certificates(); err != nil {
		t.Fatal(err)
	}
	return files
}

// TestListenersShareFiles: listeners that name the same files offer the same, even if a tool
// replaces them meanwhile, and an error in a file is reported once.
func TestListenersShareFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	pki := testpki.New(t)
	renew := func() {
		t.Helper()
		if _, err := pki.Server(testpki.ECDSA, "a.example").Write(".", "a"); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	tls := &config.TLS{Certs: []config.Certificate{{Name: "a.example", CertFile: "a.crt", KeyFile: "a.key"}}}
	from := newSources(nil, nil)
	first, _, err := readTLS(tls, from, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	renew()
	second, _, err := readTLS(tls, from, nil, nil)
	if err != nil || !second.offers[0].read.TLS.Leaf.Equal(first.offers[0].read.TLS.Leaf) {
		t.Errorf("the second listener offers another certificate, %v", err)
	}
	if third, _, err := readTLS(tls, newSources(nil, nil), nil, nil); err != nil ||
		third.offers[0].read.TLS.Leaf.Equal(first.offers[0].read.TLS.Leaf) {
		t.Errorf("the next reload offers the old certificate, %v", err)
	}

	if err := os.Remove("a.key"); err != nil {
		t.Fatal(err)
	}
	c := &config.Config{Listeners: []config.Listener{{TLS: tls}, {TLS: tls}}}
	n := &Node{offered: offered{first, first}}
	fresh, refused, err := n.readAgain(c, []int{0, 1}, newSources(nil, nil), nil)
	if err != nil || len(refused) != 1 || len(fresh) != 2 {
		t.Errorf("got %d listeners, refused %v, %v", len(fresh), refused, err)
	}
}

package testpki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

func TestServerCertificates(t *testing.T) {
	pki := testpki.New(t)
	for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA, testpki.Ed25519} {
		t.Run(key.String(), func(t *testing.T) {
			cert := pki.Server(key, "example.test", "*.apps.example.test", "127.0.0.1")
			verify := func(name string, want bool) {
				t.Helper()
				_, err := cert.TLS.Leaf.Verify(x509.VerifyOptions{Roots: pki.CA.Pool(), DNSName: name})
				if (err == nil) != want {
					t.Errorf("verify for %q: got %v, want accepted %t", name, err, want)
				}
			}
			verify("example.test", true)
			verify("a.apps.example.test", true)
			verify("127.0.0.1", true)
			verify("other.test", false)
			verify("a.b.apps.example.test", false)

			for _, files := range [][2]string{{cert.CertFile, cert.KeyFile}, {cert.PEMFile, cert.PEMFile}} {
				loaded, err := tls.LoadX509KeyPair(files[0], files[1])
				if err != nil {
					t.Fatal(err)
				}
				if !loaded.Leaf.Equal(cert.TLS.Leaf) {
					t.Errorf("%s holds another certificate than the one in memory", files[0])
				}
			}
		})
	}
}

func TestCertificatesDoNotShareKeys(t *testing.T) {
	pki := testpki.New(t)
	a, b := pki.Server(testpki.ECDSA, "a.test"), pki.Server(testpki.ECDSA, "b.test")
	if _, err := tls.LoadX509KeyPair(a.CertFile, b.KeyFile); err == nil {
		t.Error("the key of one ECDSA certificate fits another")
	}
}

func TestExpired(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Issue(testpki.Template{Names: []string{"a.test"}, NotAfter: time.Now().Add(-time.Minute)})
	_, err := cert.TLS.Leaf.Verify(x509.VerifyOptions{Roots: pki.CA.Pool(), DNSName: "a.test"})
	if e, ok := err.(x509.CertificateInvalidError); !ok || e.Reason != x509.Expired {
		t.Errorf("got %v, want expired", err)
	}
}

func TestClientCertificateIsOnlyForClients(t *testing.T) {
	pki := testpki.New(t)
	leaf := pki.Client("alice").TLS.Leaf
	for usage, want := range map[x509.ExtKeyUsage]bool{
		x509.ExtKeyUsageClientAuth: true,
		x509.ExtKeyUsageServerAuth: false,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:     pki.CA.Pool(),
			KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if (err == nil) != want {
			t.Errorf("usage %d: got %v, want accepted %t", usage, err, want)
		}
	}
	if leaf.Subject.CommonName != "alice" {
		t.Errorf("got common name %q, want alice", leaf.Subject.CommonName)
	}
}

func TestSelfSignedIsItsOwnAuthority(t *testing.T) {
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert.CertPEM)
	if _, err := cert.TLS.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
}

func TestCRL(t *testing.T) {
	pki := testpki.New(t)
	good, bad := pki.Client("good"), pki.Client("bad")
	for _, tc := range []struct {
		name    string
		revoked []*testpki.Cert
	}{{"empty", nil}, {"one", []*testpki.Cert{bad}}, {"two", []*testpki.Cert{bad, good}}} {
		t.Run(tc.name, func(t *testing.T) {
			data, err := os.ReadFile(pki.CRLFile(tc.revoked...))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(data)
			if block == nil || block.Type != "X509 CRL" {
				t.Fatalf("not a PEM revocation list: %q", data)
			}
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := len(list.RevokedCertificateEntries), len(tc.revoked); got != want {
				t.Fatalf("got %d entries, want %d", got, want)
			}
			for i, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(tc.revoked[i].TLS.Leaf.SerialNumber) != 0 {
					t.Errorf("entry %d: got serial %v, want %v", i, entry.SerialNumber, tc.revoked[i].TLS.Leaf.SerialNumber)
				}
			}
			caPEM, _ := pem.Decode(pki.CA.CertPEM())
			ca, err := x509.ParseCertificate(caPEM.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(ca); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOpenSSLAgrees verifies the certificates with the library that most clients use.
func TestOpenSSLAgrees(t *testing.T) {
	nettest.Need(t, "openssl")
	pki := testpki.New(t)
	good, bad := pki.Client("good"), pki.Client("bad")
	crl := pki.CRLFile(bad)
	for _, tc := range []struct {
		name string
		args []string
		want bool
	}{
		{"server", []string{"-purpose", "sslserver", "-verify_hostname", "a.test", pki.Server(testpki.RSA, "a.test").CertFile}, true},
		{"client is no server", []string{"-purpose", "sslserver", good.CertFile}, false},
		{"not revoked", []string{"-crl_check", "-CRLfile", crl, good.CertFile}, true},
		{"revoked", []string{"-crl_check", "-CRLfile", crl, bad.CertFile}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"verify", "-x509_strict", "-CAfile", pki.CAFile}, tc.args...)
			got := nettest.Run(t, nettest.Command{Path: "openssl", Args: args})
			if (got.ExitCode == 0) != tc.want {
				t.Errorf("got %+v, want accepted %t", got, tc.want)
			}
		})
	}
}

func TestUnknownKeyType(t *testing.T) {
	if _, err := testpki.SelfSigned(testpki.Template{Key: 99}); err == nil {
		t.Error("a certificate without a key")
	}
}

package uwsgi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/backend/uwsgi"
	"reprise/internal/nettest"
)

// certify returns a certificate that is its own issuer.
func certify(t testing.TB, subject pkix.RDNSequence, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), RawSubject: raw}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// rdn returns attributes, each "OID=value", that form one part of a name.
func rdn(attributes ...string) pkix.RelativeDistinguishedNameSET {
	var set pkix.RelativeDistinguishedNameSET
	for _, a := range attributes {
		oid, value, _ := strings.Cut(a, "=")
		var id asn1.ObjectIdentifier
		for number := range strings.SplitSeq(oid, ".") {
			var n int
			fmt.Sscan(number, &n)
			id = append(id, n)
		}
		set = append(set, pkix.AttributeTypeAndValue{Type: id, Value: value})
	}
	return set
}

func withClient(cert *x509.Certificate, exportPEM bool) *uwsgi.Vars {
	v := plain()
	v.TLS = &uwsgi.TLS{Client: uwsgi.NewClient(cert, exportPEM)}
	return v
}

func TestClientVariables(t *testing.T) {
	cert := certify(t, pkix.RDNSequence{rdn("2.5.4.3=client1"), rdn("2.5.4.10=Acme")}, 10)
	vars := variables(t, parse(t, "GET / HTTP/1.1", "Host: a"), withClient(cert, true))
	want := []variable{
		{"HTTPS", "on"},
		{"HTTPS_CLIENT_CERTIFICATE", string(cert.Raw)},
		{"HTTPS_DN", "/CN=client1/O=Acme"},
		{"HTTPS_CC", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))},
		{"SSL_CLIENT_VERIFY", "SUCCESS"},
		{"SSL_CLIENT_S_DN", "O=Acme,CN=client1"},
		{"SSL_CLIENT_I_DN", "O=Acme,CN=client1"},
		{"SSL_CLIENT_M_SERIAL", "0A"},
		{"SSL_CLIENT_FINGERPRINT", fmt.Sprintf("%x", sha256.Sum256(cert.Raw))},
	}
	from := slices.Index(vars, want[0])
	if from < 0 || len(vars) < from+len(want) || !slices.Equal(vars[from:from+len(want)], want) {
		t.Errorf("got %v, want %v in it", vars, want)
	}
	lookUp(t, vars, "SSL_CLIENT_VERIFY")

	vars = variables(t, parse(t, "GET / HTTP/1.1", "Host: a"), withClient(cert, false))
	if value, found := lookUp(t, vars, "HTTPS_CC"); found {
		t.Errorf("HTTPS_CC without exportPEM: %q", value)
	}
}

// Names are written as by OpenSSL, whatever they contain.
func TestNames(t *testing.T) {
	nettest.Need(t, "openssl")
	tests := []struct {
		name    string
		subject pkix.RDNSequence
		oneLine string // what OpenSSL says if empty
	}{
		{"usual", pkix.RDNSequence{rdn("2.5.4.6=DE"), rdn("2.5.4.10=Acme Inc."), rdn("2.5.4.11=Ops"), rdn("2.5.4.3=client1")}, ""},
		{"other order", pkix.RDNSequence{rdn("2.5.4.3=client1"), rdn("2.5.4.6=DE")}, ""},
		{"directory", pkix.RDNSequence{rdn("0.9.2342.19200300.100.1.25=com"), rdn("0.9.2342.19200300.100.1.25=acme"), rdn("0.9.2342.19200300.100.1.1=u1")}, ""},
		{"all names", pkix.RDNSequence{
			rdn("2.5.4.4=a"), rdn("2.5.4.5=b"), rdn("2.5.4.7=c"), rdn("2.5.4.8=d"), rdn("2.5.4.9=e"), rdn("2.5.4.12=f"),
			rdn("2.5.4.17=g"), rdn("2.5.4.42=h"), rdn("1.2.840.113549.1.9.1=a@example.test"),
		}, ""},
		{"several attributes in one part", pkix.RDNSequence{rdn("2.5.4.3=client1", "2.5.4.11=Ops"), rdn("2.5.4.10=Acme")}, ""},
		{"umlaut", pkix.RDNSequence{rdn("2.5.4.3=Jürgen")}, ""},
		{"special characters", pkix.RDNSequence{rdn(`2.5.4.3=a,b+c"d;e<f>g=h`), rdn("2.5.4.10= x "), rdn("2.5.4.11=#x"), rdn("2.5.4.7= ")}, ""},
		{"line end", pkix.RDNSequence{rdn("2.5.4.3=a\r\nb\x7f")}, ""},
		{"slash", pkix.RDNSequence{rdn("2.5.4.3=a/O=Acme")}, ""},
		{"backslash", pkix.RDNSequence{rdn(`2.5.4.3=a\x2F`)}, `/CN=a\x5Cx2F`},
		{"unknown attribute", pkix.RDNSequence{rdn("1.2.3.4=abc"), rdn("2.5.4.3=a")}, "/1.2.3.4=#1303616263/CN=a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := certify(t, tt.subject, 1)
			file := filepath.Join(t.TempDir(), "cert.pem")
			if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
				0o600); err != nil {
				t.Fatal(err)
			}
			openssl := func(form string) string {
				out := nettest.Run(t, nettest.Command{Path: "openssl", Args: []string{"x509", "-in", file, "-noout", "-subject", "-nameopt", form}})
				return strings.TrimSuffix(strings.TrimPrefix(out.Stdout, "subject="), "\n")
			}
			if tt.oneLine == "" {
				tt.oneLine = openssl("compat")
			}
			vars := variables(t, parse(t, "GET / HTTP/1.1", "Host: a"), withClient(cert, false))
			if got, _ := lookUp(t, vars, "HTTPS_DN"); got != tt.oneLine {
				t.Errorf("HTTPS_DN: got %q, want %q", got, tt.oneLine)
			}
			want := openssl("RFC2253,-esc_msb")
			if got, _ := lookUp(t, vars, "SSL_CLIENT_S_DN"); got != want {
				t.Errorf("SSL_CLIENT_S_DN: got %q, want %q", got, want)
			}
		})
	}
}

// A certificate that fills a packet by itself causes the request to be refused, not a malformed
// packet.
func TestLargeCertificate(t *testing.T) {
	cert := certify(t, pkix.RDNSequence{rdn("2.5.4.3=" + strings.Repeat("x", 70000))}, 1)
	if p, err := uwsgi.AppendRequest(nil, parse(t, "GET / HTTP/1.1", "Host: a"), withClient(cert, true)); err == nil ||
		len(p) > 0 {
		t.Errorf("got %d bytes, %v, want an error", len(p), err)
	}
}

package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/testpki"
)

// TestReadCRLs: only complete revocation lists of an authority are accepted.
func TestReadCRLs(t *testing.T) {
	t.Chdir(t.TempDir())
	ca, err := testpki.NewCA("authority")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := testpki.NewCA("authority")
	if err != nil {
		t.Fatal(err)
	}
	other, err := testpki.NewCA("another")
	if err != nil {
		t.Fatal(err)
	}
	list := revoke(t, ca)
	der, _ := pem.Decode(list)
	published := []byte{
		0x30, 0x0f, 0xa0, 0x0d, 0xa0, 0x0b, 0x86, 0x09, 'h', 't', 't', 'p', ':', '/',
		'/', 'a', '/',
	}
	for _, tc := range []struct {
		name string
		data []byte
		n    int
		want string
	}{
		{"PEM", list, 1, ""},
		{"DER", der.Bytes, 1, ""},
		{"two", slices.Concat(list, revoke(t, other)), 2, ""},
		{"byte order mark", slices.Concat(bom, list), 1, ""},
		{"where it is published", listWith(t, ca, []pkix.Extension{critical(oidIssued, published...)}), 1, ""},
		{"only certificates of users", listWith(t, ca, []pkix.Extension{critical(oidIssued, 0x30, 3, 0x81, 1, 0xff)}), 0, "covers only some kinds"},
		{"delta", listWith(t, ca, []pkix.Extension{critical(oidDelta, 2, 1, 1)}), 0, "a delta list"},
		{"unknown and critical", listWith(t, ca, []pkix.Extension{critical(asn1.ObjectIdentifier{1, 2, 3}, 5, 0)}), 0, "a critical extension that is not known (1.2.3)"},
		{"indirect", listWith(t, ca, nil, critical(asn1.ObjectIdentifier{2, 5, 29, 29}, 0x30, 0)), 0, "an indirect list"},
		{"signed by another", slices.Concat(list, revoke(t, twin)), 0, "): not signed by the client CA CN=authority"},
		{"a certificate", ca.CertPEM(), 0, "crl: block 1 (CERTIFICATE, line 1): not a revocation list"},
		{"cut off", list[:len(list)/2], 0, "crl: block 1 (X509 CRL, line 1): no END line"},
		{"junk", block1("X509 CRL", []byte("0junk")), 0, "crl: block 1 (X509 CRL, line 1): malformed"},
		{"more behind", append(slices.Clone(der.Bytes), 0), 0, "crl: something stands behind the list"},
		{"DER of a certificate", ca.Cert().TLS.Certificate[0], 0, "crl: "},
		{"empty", nil, 0, "crl is empty"},
		{"text", []byte("text\n"), 0, "crl holds no revocation list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lists, err := ReadCRLs(write(t, "crl", tc.data), []*x509.Certificate{ca.Cert().TLS.Leaf})
			if tc.want == "" && (err != nil || len(lists) != tc.n) || tc.want != "" &&
				(err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%d lists, %v, want %d, %q", len(lists), err, tc.n, tc.want)
			}
		})
	}
}

func critical(id asn1.ObjectIdentifier, value ...byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: true, Value: value}
}

// listWith returns a list that has extensions, and an entry with more.
func listWith(t *testing.T, ca *testpki.CA, extensions []pkix.Extension,
	entries ...pkix.Extension,
) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		ExtraExtensions: extensions,
		RevokedCertificateEntries: []x509.RevocationListEntry{{
			SerialNumber:   big.NewInt(1),
			RevocationTime: time.Now(), ExtraExtensions: entries,
		}},
	}, ca.Cert().TLS.Leaf, ca.Cert().TLS.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return block1("X509 CRL", der)
}

// revoke returns a list by an authority, of its own certificate.
func revoke(t *testing.T, ca *testpki.CA) []byte {
	t.Helper()
	list, err := ca.Revoke(ca.Cert())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestCRLExpiry: the warning comes before the list expires, because clients are refused then.
func TestCRLExpiry(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		life, left time.Duration
		want       string
	}{
		{30 * day, 4 * day, ""},
		{30 * day, 3*day - time.Hour, "expires on 2030-01-03 23:00:00, in 2 days: clients that it certified are refused then"},
		{7 * day, day, ""},
		{7 * day, -time.Minute, "expired on 2029-12-31 23:59:00: clients that it certified are refused"},
	} {
		list := &x509.RevocationList{ThisUpdate: now.Add(tc.left - tc.life), NextUpdate: now.Add(tc.left)}
		if line := CRLExpiry(list, now); (line == "") != (tc.want == "") ||
			!strings.HasSuffix(line, tc.want) {
			t.Errorf("life %v, left %v: %q, want %q", tc.life, tc.left, line, tc.want)
		}
	}
	if line := CRLExpiry(new(x509.RevocationList), now); line != "" {
		t.Errorf("one without an end: %q", line)
	}
}

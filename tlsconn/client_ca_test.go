package tlsconn_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"reprise/internal/testpki"
)

func clientCAs(t testing.TB, pki *testpki.PKI) []*x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(pki.CA.CertPEM())
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{ca}
}

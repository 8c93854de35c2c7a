package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func TestOneNameHasOnePolicy(t *testing.T) {
	cert := tls.Certificate{Leaf: new(x509.Certificate), PrivateKey: struct{}{}}
	if _, err := NewCertificates([]Certificate{
		{Name: "a.test", TLS: cert},
		{Name: "A.test", TLS: cert, Policy: new(Policy)},
	}); err == nil {
		t.Error("two policies for one name: accepted")
	}
}

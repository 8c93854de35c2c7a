package config

import (
	"bytes"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"reprise/internal/testpki"
)

// inPKI makes a directory with certificates for a.example and its subdomains, with secrets, and
// with broken files, and works there for the rest of the test.
func inPKI(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	issue := func(template testpki.Template) *testpki.Cert {
		template.Names = []string{"a.example", "*.a.example"}
		cert, err := testpki.SelfSigned(template)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	ecdsa, rsa := issue(testpki.Template{}), issue(testpki.Template{Key: testpki.RSA})
	expired := issue(testpki.Template{NotAfter: time.Now().Add(-time.Hour)})
	sealed := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("sealed")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("broken")})
	for file, data := range map[string][]byte{
		"cert.pem": ecdsa.CertPEM, "key.pem": ecdsa.KeyPEM, "ca.pem": ecdsa.CertPEM,
		"rsa.pem": rsa.CertPEM, "rsa-key.pem": rsa.KeyPEM,
		"expired.pem": expired.CertPEM, "expired-key.pem": expired.KeyPEM,
		"encrypted-key.pem": sealed, "broken.pem": broken, "empty.pem": nil, "text.pem": []byte("not PEM\n"),
		"secret": bytes.Repeat([]byte("0123456789abcdef"), 4), "secret2": []byte("fedcba9876543210\n"),
		"short": []byte("0123456789abcde\n"), "constant": bytes.Repeat([]byte("a"), 32), "long": bytes.Repeat([]byte("ab"), 4<<10),
	} {
		writeFile(t, file, data)
	}
}

func writeFile(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

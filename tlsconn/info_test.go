package tlsconn

import (
	"crypto/tls"
	"os/exec"
	"strings"
	"testing"
)

// TestCipherNames: every suite that can be negotiated has the name that OpenSSL
// gives it.
func TestCipherNames(t *testing.T) {
	for _, suite := range tls.CipherSuites() {
		name := (&Info{CipherSuite: suite.ID}).Cipher()
		out, err := exec.Command("openssl", "ciphers", "-stdname", "ALL:COMPLEMENTOFALL").Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			// "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA - ECDHE-RSA-AES128-SHA TLSv1 ..."
			fields := strings.Fields(line)
			if len(fields) > 2 && fields[0] == suite.Name && fields[2] != name {
				t.Errorf("%s: got %s, want %s", suite.Name, name, fields[2])
			}
		}
	}
}

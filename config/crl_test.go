package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/testpki"
)

// TestClientCRL: a file of revocation lists that cannot serve its purpose is an error or a warning.
// On a node that serves, a broken one is not an error.
func TestClientCRL(t *testing.T) {
	inPKI(t)
	ca, err := testpki.NewCA("authority")
	if err != nil {
		t.Fatal(err)
	}
	other, err := testpki.NewCA("another")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "ca.pem", ca.CertPEM())
	writeFile(t, "both.pem", slices.Concat(ca.CertPEM(), other.CertPEM()))
	writeFile(t, "good.crl", emptyList(t, ca, 24*time.Hour))
	writeFile(t, "old.crl", emptyList(t, ca, -time.Minute))
	writeFile(t, "broken.crl", emptyList(t, ca, time.Hour)[:100])
	const listener = "sslrouter2 = addr=:8444,cert=cert.pem,key=key.pem,context=a,clientca="
	for _, tc := range []struct {
		name, ini, err, warning string
	}{
		{"good", listener + "ca.pem\nssl-client-crl = good.crl", "", ""},
		{"without client CA", "ssl-client-crl = good.crl", "", "no effect without CLIENTCA"},
		{"of a name", "https = :8445,cert.pem,key.pem\nhttp-to = 127.0.0.1:1\nsni = a.example cert.pem,key.pem,,ca.pem\nssl-client-crl = good.crl", "", ""},
		{"expired", listener + "ca.pem\nssl-client-crl = old.crl", "", "old.crl has a revocation list of CN=authority that expired on "},
		{"a CA without", listener + "both.pem\nssl-client-crl = good.crl", "", "there is no revocation list of CN=another: clients that it certified are refused"},
		{"broken", listener + "ca.pem\nssl-client-crl = broken.crl", "broken.crl: block 1 (X509 CRL, line 1): no END line", ""},
		{"missing", listener + "ca.pem\nssl-client-crl = missing.crl", "cannot read missing.crl", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			writeFile(t, "edge.ini", []byte("[reprise]\nhttps = :8446,cert.pem,key.pem\nhttp-to = 127.0.0.1:1\nsslrouter-to = 127.0.0.1:9000\ncluster-secret-file = secret\n"+tc.ini+"\n"))
			c, err := Parse([]string{"edge.ini"})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.HasPrefix(err.Error(), "edge.ini:7: ssl-client-crl = ") {
					t.Errorf("got %v, want %s", err, tc.err)
				}
				if c, err = Reread([]string{"edge.ini"}); err != nil || len(c.Unusable) != 1 ||
					!strings.Contains(c.Unusable[0].Err.Error(), tc.err) {
					t.Errorf("to a node that serves: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			about := slices.DeleteFunc(slices.Clone(c.Warnings),
				func(w string) bool { return !strings.Contains(w, "ssl-client-crl") })
			if len(about) > 1 || (len(about) == 1) != (tc.warning != "") || tc.warning != "" &&
				!strings.Contains(about[0], tc.warning) {
				t.Errorf("got the warnings %q, want %q", about, tc.warning)
			}
			if dirs := c.ReloadDirs(); !slices.Equal(dirs, []string{"."}) {
				t.Errorf("watched: %q", dirs)
			}
		})
	}
}

// emptyList is a revocation list for that long.
func emptyList(t *testing.T, ca *testpki.CA, left time.Duration) []byte {
	t.Helper()
	data, err := ca.RevokeUntil(time.Now().Add(left))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

package config

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
)

const goodACME = "[reprise]\nhttps = :8443,acme\nhttp-to-https = :8080\nhttp-to = 127.0.0.1:9000\ncluster-secret-file = secret\n" +
	"acme-agree\nacme-storage = certs\nacme = a.example,B.example\n"

func TestACME(t *testing.T) {
	inPKI(t)
	c := mustParse(t, goodACME+"acme = c.example\nacme = a.example\nacme-email = admin@a.example\nacme-ca = ca.pem\nacme-directory = https://ca.a.example/dir\n")
	want := ACME{
		Names: []string{"a.example", "b.example", "c.example"}, Directory: "https://ca.a.example/dir", Email: "admin@a.example",
		Storage: "certs", CAFile: "ca.pem",
	}
	if !reflect.DeepEqual(c.ACME, want) {
		t.Errorf("got %+v, want %+v", c.ACME, want)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("got the warnings %q", c.Warnings)
	}
	var names []string
	for _, cert := range c.Listeners[0].TLS.Certs {
		if cert.ACME && cert.CertFile == "" {
			names = append(names, cert.Name)
		}
	}
	if !reflect.DeepEqual(names, want.Names) {
		t.Errorf("the listener offers %q, want %q", names, want.Names)
	}
	if c = mustParse(t, good+"acme-agree\nacme-storage = redis://u:geheim@h:1\ncluster-secret-file = secret\nacme = a.example\n"); c.ACME.Directory != letsEncrypt || !c.ACME.NoHTTP || c.ACME.NoTLSALPN {
		t.Errorf("without a listener for HTTP: got %+v", c.ACME)
	}
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil || strings.Contains(printed.String(), "geheim") ||
		!strings.Contains(printed.String(), "acme-storage = redis://u:***@h:1") {
		t.Errorf("printed, %v:\n%s", err, &printed)
	}
	if c = mustParse(t, good); !reflect.DeepEqual(c.ACME, ACME{}) {
		t.Errorf("without acme: got %+v", c.ACME)
	}
	if err := os.Mkdir("certs", 0o755); err != nil {
		t.Fatal(err)
	}
	if c = mustParse(t, goodACME); len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "others can look into certs") {
		t.Errorf("got the warnings %q", c.Warnings)
	}
}

func TestWrongACME(t *testing.T) {
	inPKI(t)
	const listener = "https = :8444,acme\nhttp-to = 127.0.0.1:9000\n"
	without := func(line string) string {
		return strings.Replace(strings.TrimPrefix(goodACME, "[reprise]\n"), line+"\n", "", 1)
	}
	for _, tc := range []struct{ name, ini, want string }{
		{"no names", listener, "no certificate: add acme = NAME,... or write CERT,KEY"},
		{"not agreed", without("acme-agree"), "write acme-agree = true if you agree"},
		{"no storage", without("acme-storage = certs"), "nowhere to keep certificates: add acme-storage = DIR"},
		{"no secret", without("cluster-secret-file = secret"), "tickets need a secret that does not"},
		{"wildcard", "acme = *.a.example", "name each host"},
		{"address", "acme = 192.0.2.1", "clients send no SNI for an IP address"},
		{"directory without TLS", "acme-directory = http://ca.example/dir", "write one such as https://"},
		{"another kind of store", without("acme-storage = certs") + "acme-storage = memcached://h", "not a store for certificates"},
		{"a store without a secret", "sslrouter = :8445,cert.pem,key.pem\nsslrouter-to = 127.0.0.1:1\nacme-agree\nacme = a.example\nacme-storage = redis://h:1", "keys in a store need a secret"},
		{"no listener for the challenge", without("http-to-https = :8080") + "acme-challenge = http-01", "add http-to-https = :80"},
		{"another challenge", "acme-challenge = dns-01", "bad choice: write any or http-01 or tls-alpn-01"},
		{"no authority in the file", without("") + "acme-ca = text.pem", "text.pem holds no PEM certificate"},
		{"a file for a directory", without("acme-storage = certs") + "acme-storage = cert.pem", "cert.pem is not a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			writeFile(t, "edge.ini", []byte("[reprise]\n"+tc.ini+"\n"))
			if _, err := Parse([]string{"edge.ini"}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

package config

import (
	"reflect"
	"regexp"
	"slices"
	"testing"

	"reprise/internal/testpki"
)

// A named pool has the options of its family, unless it states others.
func TestBackendTLSOfPools(t *testing.T) {
	inPKI(t)
	c := mustParse(t, `[reprise]
http = :1
http-to = https://a:1
http-backend-ca = ca.pem
http-backend-name = a.example
http-pool = api to=HTTPS://[::1]:2
http-pool = api backend-name=::1
http-pool = api backend-cert=cert.pem
http-pool = api backend-key=key.pem
http-use-pool = api path=/api
http-pool = test to=https://unix:/run/a,weight=2
http-pool = test backend-verify=no
http-pool = test backend-ca=none.pem
http-use-pool = test path=/test
rawrouter = :2
rawrouter-to = tls://b:1
`)
	var got []BackendTLS
	for _, p := range c.allPools() {
		if p.hasTLS() {
			got = append(got, p.TLS)
		}
	}
	want := []BackendTLS{
		{}, // of rawrouter
		{CA: "ca.pem", Name: "a.example"},
		{CA: "ca.pem", Name: "::1", CertFile: "cert.pem", KeyFile: "key.pem"},
		{CA: "none.pem", Name: "a.example", Unverified: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if b := c.NamedPools[1].Backends[0]; b.Protocol != HTTP || !b.TLS || b.Weight != 2 {
		t.Errorf("got %+v, want one that speaks HTTP by TLS", b)
	}
	if dirs := c.ReloadDirs(); !slices.Equal(dirs, []string{"."}) {
		t.Errorf("changes are looked for in %q, want the directory of the files", dirs)
	}
}

func TestBackendTLSWarnings(t *testing.T) {
	inPKI(t)
	ca, err := testpki.NewCA("authority")
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue(testpki.Template{Names: []string{"a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "server.pem", server.CertPEM)
	writeFile(t, "server-key.pem", server.KeyPEM)
	const site = "[reprise]\nhttp = :1\nhttp-to = https://a:1\n"
	for _, test := range []struct {
		name, ini string
		want      []string
	}{
		{"verified", site + "http-backend-ca = ca.pem", nil},
		{"by the system", site, nil},
		{"not verified", site + "http-backend-verify = false\nhttp-backend-ca = ca.pem", []string{
			`http-backend-verify = "false": any server that answers is taken for the backend, and may read and change all that goes there: ` +
				`write http-backend-ca = FILE instead`,
			`http-backend-ca = "ca.pem": no effect without http-backend-verify`,
		}},
		{"one pool is not verified", site + "http-pool = api to=https://b:1\nhttp-pool = api backend-verify=false\nhttp-use-pool = api path=/a", []string{
			`http-pool = "api backend-verify=false": any server that answers is taken for the backend, and may read and change all that goes there: ` +
				`write http-backend-ca = FILE instead`,
		}},
		{"no TLS", "[reprise]\nhttp = :1\nhttp-to = http://a:1\nhttp-backend-ca = none.pem\nhttp-backend-verify = 0\nhttp-backend-name = a", []string{
			`http-backend-ca = "none.pem": no effect without https:// backends`,
			`http-backend-name = "a": no effect without https:// backends`,
			`http-backend-verify = "0": no effect without https:// backends`,
		}},
		{"no TLS behind a raw router", good + "sslrouter-backend-cert = a", []string{
			`sslrouter-backend-cert = "a": no effect without tls:// backends`,
		}},
		{"a client certificate that has expired", site + "http-backend-cert = expired.pem\nhttp-backend-key = expired-key.pem", []string{
			`http-backend-cert = "expired.pem": expired.pem expired on DATE`,
		}},
		{"a server's certificate", site + "http-backend-cert = server.pem\nhttp-backend-key = server-key.pem", []string{
			`http-backend-cert = "server.pem": server.pem is not for clients: many backends will refuse it`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, test.ini)
			normalize(c)
			for i, w := range c.Warnings {
				c.Warnings[i] = dates.ReplaceAllString(w, "DATE")
			}
			if !slices.Equal(c.Warnings, test.want) {
				t.Errorf("got  %q\nwant %q", c.Warnings, test.want)
			}
		})
	}
}

func TestWrongBackendTLS(t *testing.T) {
	inPKI(t)
	const site = "[reprise]\nhttp = :1\nhttp-to = https://a:1\n"
	testWrong(t, []wrong{
		{
			name: "missing authorities", ini: site + "http-backend-ca = none.pem",
			want: `edge.ini:4: http-backend-ca = "none.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "no authorities", ini: site + "http-backend-ca = text.pem",
			want: `edge.ini:4: http-backend-ca = "text.pem": text.pem holds no PEM certificate`,
		},
		{
			name: "authorities of two pools, reported once", ini: site + "http-backend-ca = none.pem\nhttp-pool = api to=https://b:1\nhttp-use-pool = api path=/a",
			want: `edge.ini:4: http-backend-ca = "none.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "certificate without key", ini: site + "http-backend-cert = cert.pem",
			want: `edge.ini:4: http-backend-cert = "cert.pem": no key: add http-backend-key = FILE`,
		},
		{
			name: "key without certificate", ini: site + "http-backend-key = key.pem",
			want: `edge.ini:4: http-backend-key = "key.pem": no certificate: add http-backend-cert = FILE`,
		},
		{
			name: "another certificate's key", ini: site + "http-backend-cert = cert.pem\nhttp-backend-key = rsa-key.pem",
			want: `edge.ini:4: http-backend-cert = "cert.pem": rsa-key.pem is not the key of cert.pem: name the pair that was made together`,
		},
		{
			name: "key of a named pool", ini: site + "http-pool = api to=https://b:1\nhttp-pool = api backend-cert=cert.pem\n" +
				"http-pool = api backend-key=encrypted-key.pem\nhttp-use-pool = api path=/a",
			want: `edge.ini:5: http-pool = "api backend-cert=cert.pem": encrypted-key.pem is encrypted: write the key without a passphrase, with openssl pkey -in encrypted-key.pem`,
		},
		{
			name: "a wildcard as name", ini: site + "http-backend-name = *.example.com",
			want: `edge.ini:4: http-backend-name = "*.example.com": bad name: write one that a certificate for *.example.com would be good for, such as a.example.com`,
		},
		{
			name: "a port in a name", ini: site + "http-backend-name = a.example:443",
			want: `edge.ini:4: http-backend-name = "a.example:443": bad name "a.example:443": write one such as www.example.com, *.example.com or xn--bcher-kva.example`,
		},
		{
			name: "neither yes nor no", ini: site + "http-backend-verify = peer",
			want: `edge.ini:4: http-backend-verify = "peer": not a boolean: write true or false`,
		},
		{
			name: "a socket without a name", ini: "[reprise]\nhttp = :1\nhttp-to = https://unix:/run/a",
			want: `edge.ini:3: http-to = "https://unix:/run/a": https://unix:/run/a has no name to verify: add http-backend-name = NAME`,
		},
		{
			name: "uwsgi by TLS", ini: "[reprise]\nhttp = :1\nhttp-to = tls://a:1",
			want: `edge.ini:3: http-to = "tls://a:1": bad scheme "tls": write uwsgi://ADDR, http://ADDR, https://ADDR, h2c://ADDR, or ADDR for the uwsgi protocol`,
		},
		{
			name: "HTTP in an sslrouter", ini: good + "sslrouter-to = https://a:1",
			want: `edge.ini:4: sslrouter-to = "https://a:1": bad scheme "https": write tcp://ADDR or ADDR, or tls://ADDR; sslrouter does not read what it relays`,
		},
	})
}

// A node that serves goes on when a file for its backends has become unusable, and reports it.
func TestRereadBackendTLS(t *testing.T) {
	inPKI(t)
	writeFile(t, "edge.ini", []byte("[reprise]\nhttp = :1\nhttp-to = https://a:1\nhttp-backend-ca = broken.pem\nhttp-backend-cert = cert.pem\nhttp-backend-key = rsa-key.pem\n"))
	c, err := Reread([]string{"edge.ini"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range c.Unusable {
		got = append(got, u.CertFile)
	}
	if want := []string{"broken.pem", "cert.pem"}; !slices.Equal(got, want) {
		t.Errorf("unusable are %q, want %q", got, want)
	}
}

var dates = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

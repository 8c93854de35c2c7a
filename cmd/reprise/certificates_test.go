package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestCertificateByName: who asks for a name gets its certificate, and who asks
// for none, or for another, the listener's.
func TestCertificateByName(t *testing.T) {
	pki := testpki.New(t)
	sni := func(name string, names ...string) string {
		cert := pki.Server(testpki.ECDSA, names...)
		return fmt.Sprintf("--sni=%s %s,%s", name, cert.CertFile, cert.KeyFile)
	}
	s := start(t, listen(pki.Server(testpki.ECDSA, "fallback.example")), to(nettest.Serve(t, nettest.Echo).Addr),
		sni("www.example.com", "www.example.com"), sni("*.example.com", "*.example.com"), sni("example.org", "example.org"))
	for _, test := range []struct{ ask, want string }{
		{"www.example.com", "www.example.com"},
		{"WWW.Example.COM", "www.example.com"},
		{"mail.example.com", "*.example.com"},
		{"example.org", "example.org"},
		{"example.com", "fallback.example"},     // a wildcard stands for one label
		{"a.b.example.com", "fallback.example"}, // no more, no less
		{"unknown.example", "fallback.example"},
		{"", "fallback.example"},
	} {
		t.Run(test.ask, func(t *testing.T) {
			forEachVersion(t, func(t *testing.T, version uint16) {
				config := &tls.Config{ServerName: test.ask, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
				if got := visit(t, s.addr(), config).PeerCertificates[0].DNSNames; !slices.Equal(got, []string{test.want}) {
					t.Errorf("got the certificate of %v, want %s", got, test.want)
				}
			})
		})
	}
}

// TestKeysSideBySide: one name has certificates with keys of both kinds, and
// the client's abilities decide.
func TestKeysSideBySide(t *testing.T) {
	pki := testpki.New(t)
	both := func(name string) (fields []string) {
		for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
			cert := pki.Server(key, name)
			fields = append(fields, cert.CertFile, cert.KeyFile)
		}
		return fields
	}
	own, named := both("localhost"), both("named.example")
	s := start(t, to(nettest.Serve(t, answerLine).Addr),
		fmt.Sprintf("--sslrouter2=addr=127.0.0.1:0,cert=%s,key=%s,cert=%s,key=%s", own[0], own[1], own[2], own[3]),
		fmt.Sprintf("--sni=named.example %s,%s", named[0], named[1]), fmt.Sprintf("--sni=named.example %s,%s", named[2], named[3]))

	for _, name := range []string{"localhost", "named.example"} {
		for _, test := range []struct {
			name   string
			suites []uint16 // of TLS 1.2
			want   string
		}{
			{"both", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, "ECDSA"},
			{"ECDSA", []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, "ECDSA"},
			{"RSA", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, "RSA"},
		} {
			t.Run(name+"/TLS 1.2 with "+test.name, func(t *testing.T) {
				conn := connect(t, s.addr(), with(clientConfig(pki), func(c *tls.Config) {
					c.ServerName, c.CipherSuites, c.MaxVersion = name, test.suites, tls.VersionTLS12
				}))
				if got := keyType(conn.ConnectionState().PeerCertificates[0]); got != test.want {
					t.Errorf("got a certificate with an %s key, want %s", got, test.want)
				}
			})
		}
		for algorithm, want := range map[string]string{"ECDSA+SHA256": "ECDSA", "RSA-PSS+SHA256": "RSA-PSS", "ECDSA+SHA256:RSA-PSS+SHA256": "ECDSA"} {
			t.Run(name+"/TLS 1.3 with "+algorithm, func(t *testing.T) {
				nettest.Need(t, "openssl")
				r := nettest.Run(t, nettest.Command{
					Path:  "openssl",
					Args:  []string{"s_client", "-connect", s.addr(), "-servername", name, "-tls1_3", "-sigalgs", algorithm, "-ign_eof"},
					Stdin: strings.NewReader("ping\n"),
				})
				if !strings.Contains(r.Stdout, "Peer signature type: "+want+"\n") {
					t.Errorf("exit code %d, want signature type %s in:\n%s%s", r.ExitCode, want, r.Stdout, r.Stderr)
				}
			})
		}
	}
}

func keyType(cert *x509.Certificate) string {
	switch cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	}
	return fmt.Sprintf("%T", cert.PublicKey)
}

// TestPolicyByName: a name may ask for more than its listener does.
func TestPolicyByName(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "staff.example")
	s := start(t, https(cert), httpTo(serveName(t)),
		fmt.Sprintf("--sni=staff.example %s,%s,,!%s", cert.CertFile, cert.KeyFile, pki.CAFile))
	client := pki.Client("somebody").TLS
	forEachVersion(t, func(t *testing.T, version uint16) {
		config, w := walletConfig(pki, version)
		ask := func(config *tls.Config) (resumed bool, status int) {
			return askAs(t, s.addr(), config, requestFor(config.ServerName))
		}
		wantResumed := func(config *tls.Config, want bool) {
			t.Helper()
			if resumed, status := ask(config); resumed != want || status != http.StatusOK {
				t.Errorf("%s: got %d, resumed is %v, want %v", config.ServerName, status, resumed, want)
			}
		}
		wantResumed(config, false)
		staff := with(config, func(c *tls.Config) { c.ServerName = "staff.example" })
		if _, status := ask(staff); status != 0 {
			t.Error("served without a certificate")
		}
		staff.Certificates = []tls.Certificate{client}
		wantResumed(staff, false)
		wantResumed(staff, true)
		// Nor does what was made with one open more than its own door.
		wantResumed(offering(config, w.session), false)
	})
}

// TestALPN: the listener's protocols are negotiated, or the client is told.
func TestALPN(t *testing.T) {
	pki := testpki.New(t)
	s := start(t, listen(pki.Server(testpki.ECDSA, "localhost"), "alpn=h2;http/1.1"), to(nettest.Serve(t, nettest.Echo).Addr))
	for _, test := range []struct {
		offer []string
		want  string
	}{{[]string{"http/1.1", "h2"}, "h2"}, {[]string{"http/1.1"}, "http/1.1"}, {nil, ""}} {
		config := with(clientConfig(pki), func(c *tls.Config) { c.NextProtos = test.offer })
		if got := visit(t, s.addr(), config).NegotiatedProtocol; got != test.want {
			t.Errorf("offered %v: got %q, want %q", test.offer, got, test.want)
		}
	}
	if _, err := tryVisit(s.addr(), with(clientConfig(pki), func(c *tls.Config) { c.NextProtos = []string{"gopher"} })); err == nil {
		t.Error("served a protocol that is not configured")
	}
	if got := s.document().Engine.TLS.Failures["no_common_alpn"]; got != 1 {
		t.Errorf("failures no_common_alpn: got %d, want 1", got)
	}
}

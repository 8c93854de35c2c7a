package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

func TestHandshake(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA, testpki.Ed25519} {
				t.Run(fmt.Sprintf("%s/%v", version.name, key), func(t *testing.T) {
					s := e.server(t, func(c *tlsconn.Config) { c.Certificates = certificates(t, key) })
					client := clientConfig()
					client.MaxVersion = version.id
					for i, want := range []tlsconn.Outcome{
						tlsconn.NewClient, tlsconn.ResumedLocal,
						tlsconn.ResumedLocal,
					} {
						p := newPair(t, s, client).doHandshake()
						info := p.conn.Info()
						if info.Outcome != want || info.Resumed() != (want == tlsconn.ResumedLocal) {
							t.Errorf("connection %d: got %v, want %v", i, info.Outcome, want)
						}
						state := p.client.ConnectionState()
						if state.DidResume != info.Resumed() {
							t.Errorf("connection %d: the client resumed: %t, the server: %t", i, state.DidResume, info.Resumed())
						}
						if info.Version != version.id || info.CipherSuite != state.CipherSuite ||
							info.ServerName != client.ServerName {
							t.Errorf("connection %d: got %+v", i, info)
						}
						p.exchange(bytes.Repeat([]byte("request "), 9000), bytes.Repeat([]byte("response "), 9000))
					}
				})
			}
		}
	})
}

func TestStatsAddUp(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := e.server(t)
		for _, version := range versions {
			client := clientConfig()
			client.MaxVersion = version.id
			for range 3 {
				newPair(t, s, client).doHandshake()
			}
		}
		failed := newPair(t, s, nil)
		failed.link.toServer = []byte("GET / HTTP/1.1\r\n\r\n")
		failed.link.drive()

		got := s.Counts()
		handshakes, outcomes := got.Handshakes.Counts(), got.Outcomes.Counts()
		for what, want := range map[string]uint64{"tls12_full": 1, "tls12_resumed": 2, "tls13_full": 1, "tls13_resumed": 2} {
			if handshakes[what] != want {
				t.Errorf("handshakes %s: got %d, want %d", what, handshakes[what], want)
			}
		}
		for outcome, want := range map[tlsconn.Outcome]uint64{
			tlsconn.NewClient:    2,
			tlsconn.ResumedLocal: 4,
		} {
			if outcomes[outcome.String()] != want {
				t.Errorf("outcome %v: got %d, want %d", outcome, outcomes[outcome.String()], want)
			}
		}
		if got := got.Failures.Load(tlsconn.ReasonNotTLS); got != 1 {
			t.Errorf("failures for %v: got %d, want 1", tlsconn.ReasonNotTLS, got)
		}
	})
}

func TestCertificateSelection(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pair := func(name string, names ...string) []tlsconn.Certificate {
			return []tlsconn.Certificate{
				{Name: name, TLS: certificate(t, testpki.ECDSA, names...)},
				{Name: name, TLS: certificate(t, testpki.RSA, names...)},
			}
		}
		var list []tlsconn.Certificate
		list = append(list, pair("", "default.test")...)
		list = append(list, pair("www.example.test", "www.example.test")...)
		list = append(list, pair("*.example.test", "*.example.test")...)
		list = append(list, pair("Alias.Test.", "other.test")...)
		certs, err := tlsconn.NewCertificates(list)
		if err != nil {
			t.Fatal(err)
		}
		s := e.server(t, func(c *tlsconn.Config) { c.Certificates = certs })
		for _, test := range []struct{ sni, want string }{
			{"www.example.test", "www.example.test"},
			{"WWW.Example.Test", "www.example.test"},
			{"a.example.test", "*.example.test"},
			{"a.b.example.test", "default.test"}, // a wildcard is one label
			{"example.test", "default.test"},
			{"unknown.test", "default.test"},
			{"", "default.test"},
			{"alias.test", "other.test"}, // the name it is configured for counts, not those inside
		} {
			for _, algorithm := range []x509.PublicKeyAlgorithm{x509.ECDSA, x509.RSA} {
				t.Run(fmt.Sprintf("%s/%v", test.sni, algorithm), func(t *testing.T) {
					client := clientConfig()
					client.ServerName = test.sni
					client.MaxVersion = tls.VersionTLS12 // where the cipher suite names the key type
					client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
					if algorithm == x509.RSA {
						client.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
					}
					p := newPair(t, s, client).doHandshake()
					leaf := p.client.ConnectionState().PeerCertificates[0]
					if leaf.Subject.CommonName != test.want || leaf.PublicKeyAlgorithm != algorithm {
						t.Errorf("got %v for %s, want %v for %s", leaf.PublicKeyAlgorithm, leaf.Subject.CommonName, algorithm, test.want)
					}
				})
			}
		}
	})
}

func TestWithoutDefaultTheFirstCertificateIsIt(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{
			{Name: "b.test", TLS: certificate(t, testpki.ECDSA, "b.test")},
			{Name: "a.test", TLS: certificate(t, testpki.ECDSA, "a.test")},
		})
		if err != nil {
			t.Fatal(err)
		}
		p := newPair(t, e.server(t, func(c *tlsconn.Config) { c.Certificates = certs }),
			nil).doHandshake()
		if got := p.client.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "b.test" {
			t.Errorf("got %s, want b.test", got)
		}
	})
}

func TestALPN(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := e.server(t, func(c *tlsconn.Config) { c.ALPN = []string{"h2", "http/1.1"} })
		for _, test := range []struct {
			offered []string
			want    string
		}{
			{[]string{"http/1.1", "h2"}, "h2"}, // the server's preference
			{[]string{"http/1.1"}, "http/1.1"},
			{nil, ""},
		} {
			client := clientConfig()
			client.NextProtos = test.offered
			if got := newPair(t, s, client).doHandshake().conn.Info().ALPN; got != test.want {
				t.Errorf("offered %v: got %q, want %q", test.offered, got, test.want)
			}
		}
	})
}

func TestClientCertificates(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki, stranger := testpki.New(t), testpki.New(t)
		valid, unknown := pki.Client("alice").TLS, stranger.Client("mallory").TLS
		expired := pki.Issue(testpki.Template{
			CommonName: "bob", Client: true,
			NotAfter: time.Now().Add(-time.Hour),
		}).TLS
		for _, test := range []struct {
			name string
			auth tlsconn.ClientAuth
			cert *tls.Certificate
			want tlsconn.Reason // ReasonOther: accepted
		}{
			{"optional, none", tlsconn.OptionalClientCert, nil, tlsconn.ReasonOther},
			{"optional, valid", tlsconn.OptionalClientCert, &valid, tlsconn.ReasonOther},
			{"optional, of an unknown CA", tlsconn.OptionalClientCert, &unknown, tlsconn.ReasonClientCert},
			{"optional, expired", tlsconn.OptionalClientCert, &expired, tlsconn.ReasonClientCert},
			{"required, none", tlsconn.RequireClientCert, nil, tlsconn.ReasonClientCert},
			{"required, valid", tlsconn.RequireClientCert, &valid, tlsconn.ReasonOther},
			{"required, of an unknown CA", tlsconn.RequireClientCert, &unknown, tlsconn.ReasonClientCert},
			{"not asked for", tlsconn.NoClientCert, &valid, tlsconn.ReasonOther},
		} {
			for _, version := range versions {
				t.Run(test.name+"/"+version.name, func(t *testing.T) {
					s := e.server(t, func(c *tlsconn.Config) {
						c.ClientAuth = test.auth
						c.ClientCAs = []*x509.Certificate{pki.CA.Cert().TLS.Leaf}
					})
					client := clientConfig()
					client.MaxVersion = version.id
					if test.cert != nil {
						client.GetClientCertificate = func(*tls.CertificateRequestInfo) (
							*tls.Certificate, error,
						) {
							return test.cert, nil
						}
					}
					if test.want == tlsconn.ReasonOther {
						for _, want := range []tlsconn.Outcome{tlsconn.NewClient, tlsconn.ResumedLocal} {
							if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != want {
								t.Errorf("got %v, want %v", got, want)
							}
						}
						return
					}
					wantFailure(t, newPair(t, s, client), test.want)
				})
			}
		}
	})
}

func TestNewServerRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, edit := range map[string]func(*tlsconn.Config){
			"no certificates":             func(c *tlsconn.Config) { c.Certificates = nil },
			"empty certificates":          func(c *tlsconn.Config) { c.Certificates = new(tlsconn.Certificates) },
			"no clock":                    func(c *tlsconn.Config) { c.Now = nil },
			"client certificates, no CA":  func(c *tlsconn.Config) { c.ClientAuth = tlsconn.RequireClientCert },
			"sessions without keys":       func(c *tlsconn.Config) { c.Handles = nil },
			"less than no tickets":        func(c *tlsconn.Config) { c.Tickets = -1 },
			"a name's policy without CA":  func(c *tlsconn.Config) { c.Certificates = policyWithoutCA(t) },
			"sessions without a lifetime": func(c *tlsconn.Config) { c.Lifetime = 0 },
		} {
			c := testConfig(t)
			edit(&c)
			if _, err := e.new(c); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	})
}

// policyWithoutCA is a name that requests client certificates without a CA to verify them.
func policyWithoutCA(t *testing.T) *tlsconn.Certificates {
	t.Helper()
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{
		Name: "in.example.test", TLS: certificate(t, testpki.ECDSA, "in.example.test"),
		Policy: &tlsconn.Policy{ClientAuth: tlsconn.OptionalClientCert},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func TestNewCertificatesRefuses(t *testing.T) {
	if _, err := tlsconn.NewCertificates(nil); err == nil {
		t.Error("a list of no certificates: accepted")
	}
	if _, err := tlsconn.NewCertificates([]tlsconn.Certificate{{Name: "a.test"}}); err == nil {
		t.Error("a certificate without leaf and key: accepted")
	}
}

func TestSessionsOff(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := e.server(t, func(c *tlsconn.Config) { c.Sessions = nil })
		client := clientConfig()
		for range 2 {
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.NewClient {
				t.Errorf("got %v, want %v", got, tlsconn.NewClient)
			}
		}
	})
}

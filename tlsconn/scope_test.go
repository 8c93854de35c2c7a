package tlsconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

// A session offered where another scope holds is a full handshake, never an
// error and never a resumption. It is long because it is a table.
func TestScope(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki, otherPKI := testpki.New(t), testpki.New(t)
		cas := func(p ...*testpki.PKI) (list []*x509.Certificate) {
			for _, p := range p {
				list = append(list, p.CA.Cert().TLS.Leaf)
			}
			return list
		}
		alice := pki.Client("alice").TLS
		names := func(client *tls.Config) { client.ServerName = "other.example.test" }
		for _, test := range []struct {
			name    string
			made    func(*tlsconn.Config) // where the session is made
			offered func(*tlsconn.Config) // where it is offered
			client  func(*tls.Config)     // how the client comes back
			want    tlsconn.Outcome
		}{
			{"same", nil, nil, nil, tlsconn.ResumedLocal},
			{"name in another case", nil, nil, func(c *tls.Config) { c.ServerName = "WWW.EXAMPLE.TEST" }, tlsconn.ResumedLocal},
			{"other name", nil, nil, names, tlsconn.MissScopeName},
			{"no name", nil, nil, func(c *tls.Config) { c.ServerName = "" }, tlsconn.MissScopeName},
			{"other context", nil, func(c *tlsconn.Config) { c.Context = "shop" }, nil, tlsconn.MissScopeContext},
			{"other context and name", nil, func(c *tlsconn.Config) { c.Context = "shop" }, names, tlsconn.MissScopeContext},
			{"other cipher suites", nil, func(c *tlsconn.Config) {
				c.CipherSuites = []uint16{
					tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
					tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
				}
			}, nil, tlsconn.MissScopePolicy},
			{"client certificates now optional", nil, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.OptionalClientCert, cas(pki)
			}, nil, tlsconn.MissScopeClient},
			{"client certificates now required", nil, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki)
			}, nil, tlsconn.MissScopeClient},
			{"optional made required", func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.OptionalClientCert, cas(pki)
			}, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki)
			}, nil, tlsconn.MissScopeClient},
			{"client certificates no longer asked for", func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki)
			}, nil, nil, tlsconn.MissScopeClient},
			{"another CA too", func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki)
			}, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki, otherPKI)
			}, nil, tlsconn.MissScopeClient},
			{"same CAs in another order", func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(pki, otherPKI)
			}, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert, cas(otherPKI, pki)
			}, nil, tlsconn.ResumedLocal},
		} {
			for _, version := range versions {
				t.Run(test.name+"/"+version.name, func(t *testing.T) {
					s, sessions, clock := e.sessionServer(t, edits(test.made)...)
					client, _ := clientOf(version.id)
					client.Certificates = []tls.Certificate{alice}
					newPair(t, s, client).doHandshake()

					there := e.server(t, append(edits(test.offered),
						func(c *tlsconn.Config) { c.Sessions, c.Now = sessions, clock.Now })...)
					if test.client != nil {
						test.client(client)
					}
					p := newPair(t, there, client).doHandshake()
					if got := p.conn.Info().Outcome; got != test.want {
						t.Errorf("got %v, want %v", got, test.want)
					}
					if got := p.client.ConnectionState().DidResume; got != test.want.Resumed() {
						t.Errorf("the client resumed: got %t", got)
					}
				})
			}
		}
	})
}

func edits(edit func(*tlsconn.Config)) []func(*tlsconn.Config) {
	if edit == nil {
		return nil
	}
	return []func(*tlsconn.Config){edit}
}

// Where client certificates are required, coming back with a session from
// elsewhere and without a certificate is a failure, not a way in.
func TestScopeProtectsClientCertificates(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki := testpki.New(t)
		for _, version := range versions {
			s, sessions, clock := e.sessionServer(t)
			client, _ := clientOf(version.id)
			newPair(t, s, client).doHandshake()
			guarded := e.server(t, func(c *tlsconn.Config) {
				c.Sessions, c.Now = sessions, clock.Now
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert,
					[]*x509.Certificate{pki.CA.Cert().TLS.Leaf}
			})
			wantFailure(t, newPair(t, guarded, client), tlsconn.ReasonClientCert)
		}
	})
}

// A session for a name with one policy opens no name with another, within one
// server too. It is long because it is a table.
func TestPolicyOfAName(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki := testpki.New(t)
		guard := &tlsconn.Policy{
			ClientAuth: tlsconn.RequireClientCert,
			ClientCAs:  []*x509.Certificate{pki.CA.Cert().TLS.Leaf},
		}
		cert := certificate(t, testpki.ECDSA, "*.example.test")
		for _, test := range []struct {
			name string
			list []tlsconn.Certificate
			sni  string
			want tlsconn.Reason // ReasonOther: accepted without a client certificate
		}{
			{
				"its own",
				[]tlsconn.Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}},
				"in.example.test",
				tlsconn.ReasonClientCert,
			},
			{
				"its own, in another case",
				[]tlsconn.Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}},
				"IN.example.test",
				tlsconn.ReasonClientCert,
			},
			{
				"none",
				[]tlsconn.Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}},
				"www.example.test",
				tlsconn.ReasonOther,
			},
			{
				"the wildcard's",
				[]tlsconn.Certificate{{TLS: cert}, {Name: "*.example.test", TLS: cert, Policy: guard}},
				"www.example.test",
				tlsconn.ReasonClientCert,
			},
			{"none, beside a wildcard's", []tlsconn.Certificate{
				{Name: "www.example.test", TLS: cert}, {Name: "*.example.test", TLS: cert, Policy: guard},
			}, "www.example.test", tlsconn.ReasonOther},
			{
				"the default's, no name",
				[]tlsconn.Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}},
				"",
				tlsconn.ReasonClientCert,
			},
			{
				"the default's, unknown name",
				[]tlsconn.Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}},
				"x.test",
				tlsconn.ReasonClientCert,
			},
			{
				"none, beside the default's",
				[]tlsconn.Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}},
				"www.example.test",
				tlsconn.ReasonOther,
			},
		} {
			for _, version := range versions {
				t.Run(test.name+"/"+version.name, func(t *testing.T) {
					certs, err := tlsconn.NewCertificates(test.list)
					if err != nil {
						t.Fatal(err)
					}
					s, sessions, clock := e.sessionServer(t)
					client, _ := clientOf(version.id)
					client.ServerName = test.sni
					newPair(t, s, client).doHandshake() // a session made without a client certificate
					there := e.server(t, func(c *tlsconn.Config) {
						c.Certificates, c.Sessions, c.Now = certs, sessions, clock.Now
					})
					p := newPair(t, there, client)
					if test.want == tlsconn.ReasonOther {
						p.doHandshake()
						return
					}
					wantFailure(t, p, test.want)
				})
			}
		}
	})
}

package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"reprise/internal/testpki"
)

// A session offered where another scope holds is a full handshake, never an
// error and never a resumption.
func TestScope(t *testing.T) {
	pki, otherPKI := testpki.New(t), testpki.New(t)
	cas := func(p ...*testpki.PKI) (list []*x509.Certificate) {
		for _, p := range p {
			list = append(list, caCertificate(t, p))
		}
		return list
	}
	alice := pki.Client("alice").TLS
	names := func(client *tls.Config) { client.ServerName = "other.example.test" }
	for _, test := range []struct {
		name    string
		made    func(*Config)     // where the session is made
		offered func(*Config)     // where it is offered
		client  func(*tls.Config) // how the client comes back
		want    Outcome
	}{
		{"same", nil, nil, nil, ResumedLocal},
		{"name in another case", nil, nil, func(c *tls.Config) { c.ServerName = "WWW.EXAMPLE.TEST" }, ResumedLocal},
		{"other name", nil, nil, names, MissScopeName},
		{"no name", nil, nil, func(c *tls.Config) { c.ServerName = "" }, MissScopeName},
		{"other context", nil, func(c *Config) { c.Context = "shop" }, nil, MissScopeContext},
		{"other context and name", nil, func(c *Config) { c.Context = "shop" }, names, MissScopeContext},
		{"other cipher suites", nil, func(c *Config) {
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		}, nil, MissScopePolicy},
		{"client certificates now optional", nil, func(c *Config) {
			c.ClientAuth, c.ClientCAs = OptionalClientCert, cas(pki)
		}, nil, MissScopeClient},
		{"client certificates now required", nil, func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki)
		}, nil, MissScopeClient},
		{"optional made required", func(c *Config) {
			c.ClientAuth, c.ClientCAs = OptionalClientCert, cas(pki)
		}, func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki)
		}, nil, MissScopeClient},
		{"client certificates no longer asked for", func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki)
		}, nil, nil, MissScopeClient},
		{"another CA too", func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki)
		}, func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki, otherPKI)
		}, nil, MissScopeClient},
		{"same CAs in another order", func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(pki, otherPKI)
		}, func(c *Config) {
			c.ClientAuth, c.ClientCAs = RequireClientCert, cas(otherPKI, pki)
		}, nil, ResumedLocal},
	} {
		for _, version := range versions {
			t.Run(test.name+"/"+version.name, func(t *testing.T) {
				s, sessions, clock := sessionServer(t, edits(test.made)...)
				client, _ := clientOf(version.id)
				client.Certificates = []tls.Certificate{alice}
				newPair(t, s, client).doHandshake()

				there := testServer(t, append(edits(test.offered), func(c *Config) { c.Sessions, c.Now = sessions, clock.Now })...)
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
}

func edits(edit func(*Config)) []func(*Config) {
	if edit == nil {
		return nil
	}
	return []func(*Config){edit}
}

// Where client certificates are required, coming back with a session from
// elsewhere and without a certificate is a failure, not a way in.
func TestScopeIsNoWayAroundClientCertificates(t *testing.T) {
	pki := testpki.New(t)
	for _, version := range versions {
		s, sessions, clock := sessionServer(t)
		client, _ := clientOf(version.id)
		newPair(t, s, client).doHandshake()
		guarded := testServer(t, func(c *Config) {
			c.Sessions, c.Now = sessions, clock.Now
			c.ClientAuth, c.ClientCAs = RequireClientCert, []*x509.Certificate{caCertificate(t, pki)}
		})
		wantFailure(t, newPair(t, guarded, client), ReasonClientCert)
	}
}

// A session for a name with one policy opens no name with another, within one
// server too.
func TestPolicyOfAName(t *testing.T) {
	pki := testpki.New(t)
	guard := &Policy{ClientAuth: RequireClientCert, ClientCAs: []*x509.Certificate{caCertificate(t, pki)}}
	cert := certificate(t, testpki.ECDSA, "*.example.test")
	for _, test := range []struct {
		name string
		list []Certificate
		sni  string
		want Reason // ReasonOther: accepted without a client certificate
	}{
		{"its own", []Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}}, "in.example.test", ReasonClientCert},
		{"its own, in another case", []Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}}, "IN.example.test", ReasonClientCert},
		{"none", []Certificate{{TLS: cert}, {Name: "in.example.test", TLS: cert, Policy: guard}}, "www.example.test", ReasonOther},
		{"the wildcard's", []Certificate{{TLS: cert}, {Name: "*.example.test", TLS: cert, Policy: guard}}, "www.example.test", ReasonClientCert},
		{"none, beside a wildcard's", []Certificate{
			{Name: "www.example.test", TLS: cert}, {Name: "*.example.test", TLS: cert, Policy: guard},
		}, "www.example.test", ReasonOther},
		{"the default's, no name", []Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}}, "", ReasonClientCert},
		{"the default's, unknown name", []Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}}, "x.test", ReasonClientCert},
		{"none, beside the default's", []Certificate{{TLS: cert, Policy: guard}, {Name: "www.example.test", TLS: cert}}, "www.example.test", ReasonOther},
	} {
		for _, version := range versions {
			t.Run(test.name+"/"+version.name, func(t *testing.T) {
				certs, err := NewCertificates(test.list)
				if err != nil {
					t.Fatal(err)
				}
				s, sessions, clock := sessionServer(t)
				client, _ := clientOf(version.id)
				client.ServerName = test.sni
				newPair(t, s, client).doHandshake() // a session from where nobody asks
				there := testServer(t, func(c *Config) {
					c.Certificates, c.Sessions, c.Now = certs, sessions, clock.Now
				})
				p := newPair(t, there, client)
				if test.want == ReasonOther {
					p.doHandshake()
					return
				}
				wantFailure(t, p, test.want)
			})
		}
	}
}

func TestOneNameHasOnePolicy(t *testing.T) {
	cert := certificate(t, testpki.ECDSA, "www.example.test")
	if _, err := NewCertificates([]Certificate{{Name: "a.test", TLS: cert}, {Name: "A.test", TLS: cert, Policy: new(Policy)}}); err == nil {
		t.Error("two policies for one name: accepted")
	}
}

func TestScopeRoundTrip(t *testing.T) {
	c := testConfig(t)
	made := scopeFor(serverScope(&c, &c.Policy), "www.example.test")
	wire := made.append(nil)
	if len(wire) != scopeLen {
		t.Fatalf("got %d bytes, want %d", len(wire), scopeLen)
	}
	got, ok := parseScope([][]byte{[]byte("of somebody else"), wire})
	if !ok || got != made {
		t.Errorf("got %x, %t, want %x", got, ok, made)
	}
	for name, extra := range map[string][][]byte{
		"nothing": nil, "truncated": {wire[:scopeLen-1]}, "longer": {append(wire[:scopeLen:scopeLen], 0)}, "other marker": {flip(wire, 0)},
	} {
		if _, ok := parseScope(extra); ok {
			t.Errorf("%s: taken for a scope", name)
		}
	}
}

// The hash decides alone: that two hints of two bytes agree means nothing.
func TestScopeDiffersWhereHintsAgree(t *testing.T) {
	c := testConfig(t)
	made := scopeFor(serverScope(&c, &c.Policy), "www.example.test")
	other := made
	other.all[15] ^= 1
	if _, differs := made.differs(&other); !differs {
		t.Error("taken for equal")
	}
}

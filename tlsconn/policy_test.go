package tlsconn_test

import (
	"crypto/x509"
	"fmt"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// guardedConfig returns a change to a Config that gives it names with different
// policies, and the authority that signs what they ask for.
func guardedConfig(t *testing.T) (pki *testpki.PKI, change func(*tlsconn.Config)) {
	pki = testpki.New(t)
	cas := []*x509.Certificate{pki.CA.Cert().TLS.Leaf}
	required := &tlsconn.Policy{ClientAuth: tlsconn.RequireClientCert, ClientCAs: cas}
	twin := &tlsconn.Policy{ClientAuth: tlsconn.RequireClientCert, ClientCAs: cas}
	optional := &tlsconn.Policy{ClientAuth: tlsconn.OptionalClientCert, ClientCAs: cas}
	cert := pki.Server(testpki.ECDSA, "a.example").TLS
	return pki, func(c *tlsconn.Config) {
		certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{
			{TLS: cert},
			{Name: "www.example", TLS: cert},
			{Name: "Secure.Example.", TLS: cert, Policy: required},
			{Name: "twin.example", TLS: cert, Policy: twin},
			{Name: "*.wild.example", TLS: cert, Policy: optional},
			{Name: "plain.wild.example", TLS: cert},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = certs
	}
}

// What a handshake met decides which names a request may be for, and each name is
// read in a request as it is in a handshake.
func TestClientPolicies(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki, change := guardedConfig(t)
		s := e.server(t, change)
		met := func(name string) tlsconn.ClientPolicy {
			client := clientConfig()
			client.ServerName, client.InsecureSkipVerify = name, true
			client.Certificates = append(client.Certificates, pki.Client("alice").TLS)
			info := newPair(t, s, client).doHandshake().conn.Info()
			if s.ClientPolicies().Renewed(info.ClientPolicy, info.ServerName) {
				t.Errorf("%q: a handshake did not meet its own policy", name)
			}
			return info.ClientPolicy
		}
		const none, required, optional = "www.example", "secure.example", "a.wild.example"
		kinds := map[string]tlsconn.ClientPolicy{
			none: met(none), required: met(required),
			optional: met(optional),
		}
		for _, test := range []struct{ name, want string }{
			{"", none},
			{"www.example", none},
			{"unknown.example", none},
			{"secure.example", required},
			{"SECURE.EXAMPLE.", required},
			{"twin.example", required},
			{"b.wild.example", optional},
			{"B.WILD.EXAMPLE.", optional},
			{"plain.wild.example", none},
			{"wild.example", none},
			{"b.c.wild.example", none},
			{"[::1]", none},
			{"127.0.0.1", none},
		} {
			for kind, policy := range kinds {
				if got := s.ClientPolicies().Admits(policy, []byte(test.name)); got != (kind == test.want) {
					t.Errorf("%q after a handshake for %s: got %v", test.name, kind, got)
				}
			}
			if test.name != "" && test.name[0] != '[' && test.name[len(test.name)-1] != '.' {
				if got := met(test.name); got != kinds[test.want] {
					t.Errorf("%q: the handshake met another policy than %s", test.name, test.want)
				}
			}
		}
		for _, name := range []string{".", "..", "secure.example..", "secure..example", ".secure.example", ".wild.example"} {
			for kind, policy := range kinds {
				if s.ClientPolicies().Admits(policy, []byte(name)) {
					t.Errorf("%q after a handshake for %s is admitted", name, kind)
				}
			}
		}
		if s.ClientPolicies().Admits(tlsconn.ClientPolicy{}, nil) {
			t.Error("no handshake at all is good enough")
		}
	})
}

// A policy is defined by its requirements, not by its server; if they change in a renewal, old
// connections have not met it.
func TestClientPoliciesRenewed(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki, change := guardedConfig(t)
		_, other := guardedConfig(t)
		client := clientConfig()
		client.ServerName, client.InsecureSkipVerify = "secure.example", true
		client.Certificates = append(client.Certificates, pki.Client("alice").TLS)
		info := newPair(t, e.server(t, change), client).doHandshake().conn.Info()
		for name, test := range map[string]struct {
			change func(*tlsconn.Config)
			want   bool
		}{"same": {change, false}, "other CAs": {other, true}, "no policy": {func(*tlsconn.Config) {}, true}} {
			p := e.server(t, test.change).ClientPolicies()
			if got := p.Renewed(info.ClientPolicy, info.ServerName); got != test.want {
				t.Errorf("%s: renewed is %v", name, got)
			}
			if got := p.Admits(info.ClientPolicy, []byte("secure.example")); got == test.want {
				t.Errorf("%s: admitted is %v", name, got)
			}
		}
	})
}

// The check is on the way of every request.
func TestClientPoliciesAllocateNothing(t *testing.T) {
	_, change := guardedConfig(t)
	for i, e := range engines {
		s := e.server(t, change)
		p, name := s.ClientPolicies(), []byte("A.Wild.Example.")
		if got := testing.AllocsPerRun(100, func() { p.Admits(tlsconn.ClientPolicy{}, name) }); got > 0 {
			t.Errorf("engine %d: %v allocations", i, got)
		}
	}
}

func BenchmarkAdmits(b *testing.B) {
	for _, names := range []int{1, 3} {
		b.Run(fmt.Sprintf("policies=%d", names), func(b *testing.B) {
			b.ReportAllocs()
			pki := testpki.New(b)
			cert := pki.Server(testpki.ECDSA, "a.example").TLS
			list := []tlsconn.Certificate{{TLS: cert}}
			for i := range names - 1 {
				list = append(list, tlsconn.Certificate{
					Name: fmt.Sprint("n", i, ".example"), TLS: cert,
					Policy: &tlsconn.Policy{
						ClientAuth: tlsconn.ClientAuth(1 + i), ClientCAs: []*x509.Certificate{cert.Leaf},
					},
				})
			}
			certs, err := tlsconn.NewCertificates(list)
			if err != nil {
				b.Fatal(err)
			}
			p, name := tlsconn.NewClientPolicies(&tlsconn.Config{Certificates: certs}), []byte("www.shop.example")
			for b.Loop() {
				p.Admits(tlsconn.ClientPolicy{}, name)
			}
		})
	}
}

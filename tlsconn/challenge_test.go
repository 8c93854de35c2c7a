package tlsconn_test

import (
	"crypto/tls"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// challenges has one for a name.
type challenges struct {
	name string
	cert *tls.Certificate
}

func (c challenges) Challenge(name string) *tls.Certificate {
	if name != c.name {
		return nil
	}
	return c.cert
}

// TestChallenge: only a certificate authority that checks who controls a name gets the certificate
// for that, whatever else the name requires of clients.
func TestChallenge(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki := testpki.New(t)
		shown := certificate(t, testpki.ECDSA, "asked.test")
		strict := func(c *tlsconn.Config) {
			c.Challenges = challenges{"asked.test", &shown}
			c.Strict, c.ClientAuth, c.ClientCAs = tlsconn.OnlyKnown, tlsconn.RequireClientCert, clientCAs(t,
				pki)
			c.ALPN = []string{"http/1.1"}
		}
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				s, sessions, _ := e.sessionServer(t, strict)
				client, cache := clientOf(version.id)
				client.ServerName, client.NextProtos = "asked.test", []string{tlsconn.ChallengeProtocol}
				for range 2 { // it makes no session either
					p := newPair(t, s, client)
					if err := p.client.Handshake(); err != nil {
						t.Fatal(err)
					}
					p.link.drive()
					if info := p.conn.Info(); p.conn.State() != tlsconn.Connected ||
						info.ALPN != tlsconn.ChallengeProtocol || info.Resumed() {
						t.Errorf("got %v, %v, %+v", p.conn.State(), p.conn.Err(), info)
					}
					if got := p.client.ConnectionState().PeerCertificates[0]; !got.Equal(shown.Leaf) {
						t.Errorf("got the certificate of %v", got.DNSNames)
					}
				}
				if len(sessions.sessions) > 0 || cache.session != nil {
					t.Errorf("%d sessions", len(sessions.sessions))
				}
				client.ServerName = "other.test"
				if err := newPair(t, s, client).client.Handshake(); err == nil {
					t.Error("a name without a challenge was answered")
				}
				for _, protocols := range [][]string{{"http/1.1"}, {tlsconn.ChallengeProtocol, "http/1.1"}} {
					client.ServerName, client.NextProtos = "asked.test", protocols
					p := newPair(t, s, client)
					if err := p.client.Handshake(); err == nil {
						t.Errorf("%q: another client got the certificate, or the name is known", protocols)
					}
				}
			})
		}
	})
}

package tlsconn

import (
	"crypto/tls"

	"reprise/tlsconn/wire"
)

// ChallengeProtocol is the application protocol by which a certificate authority checks who
// controls a name (RFC 8737, Section 6.1). A connection that has agreed on it is closed when its
// handshake is over.
const ChallengeProtocol = "acme-tls/1"

// Challenges has the certificates that answer authorities.
type Challenges interface {
	// Challenge returns the certificate, with its Leaf, that an authority expects under a server
	// name now; nil if none does. It is called on loops and must not block.
	Challenge(serverName string) *tls.Certificate
}

// challenge answers an authority, whose hello offers only that protocol. It returns false for any
// other hello. Such a handshake asks for no client certificate and makes no session.
func (c *conn) challenge(ch *wire.ClientHello) bool {
	s, hs := c.server, c.hs
	if s.config.Challenges == nil || !ch.HasALPN || len(ch.ALPN) != 1+len(ChallengeProtocol) ||
		!ch.HasProtocol(ChallengeProtocol) {
		return false
	}
	cert := s.config.Challenges.Challenge(c.info.ServerName)
	if cert == nil {
		return false
	}
	id, err := newIdentity(&Certificate{TLS: *cert})
	if err != nil {
		return false
	}
	hs.challenge = true
	hs.host = &host{policy: s.bare, identities: []*identity{id}}
	c.info.ALPN, c.info.ClientPolicy = ChallengeProtocol, s.bare.client
	return true
}

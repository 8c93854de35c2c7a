package tlsconn

import (
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/wire"
)

// onClientHello begins the handshake: it agrees on what both versions need. It may run again for
// the same hello: after a look-up elsewhere, and after a full handshake had to wait.
func onClientHello(c *conn, msg []byte, last bool) cause {
	s, hs, ch := c.server, c.hs, &c.server.hello
	if !last {
		return causeExcessData // the server sends next
	}
	if fault := ch.Parse(msg); fault != wire.None {
		return wireCauses[fault]
	}
	c.nameServer(ch) // first, for the log of a handshake that fails
	version, why := s.chooseVersion(ch)
	switch {
	case why != ok:
		return why
	case hs.retried && version != version13:
		return causeSecondHello
	}
	c.info.Version = version
	if c.challenge(ch) {
		return c.agreed(ch)
	}
	if !s.config.Strict.Admits(c.info.ServerName, s.known) {
		return causeUnknownName
	}
	hs.host = s.hostFor(c.info.ServerName)
	c.info.ClientPolicy = hs.host.policy.client
	if c.info.ALPN, why = s.chooseALPN(ch); why != ok {
		return why
	}
	return c.agreed(ch)
}

// agreed continues in the way of the version.
func (c *conn) agreed(ch *wire.ClientHello) cause {
	if c.info.Version == version13 {
		return c.hello13(ch)
	}
	return c.hello12(ch)
}

// chooseVersion returns the highest version in common.
func (s *server) chooseVersion(ch *wire.ClientHello) (uint16, cause) {
	if ch.Version <= versionSSL3 {
		return 0, causeNoVersion // RFC 8446, Appendix D.5
	}
	newest := s.config.MaxVersion
	for _, v := range [...]uint16{version13, version12} {
		if v > newest || v < s.config.MinVersion || !ch.Offers(v) {
			continue
		}
		if ch.Fallback && v < newest {
			return 0, causeFallback // RFC 7507, Section 3
		}
		return v, ok
	}
	if ch.Fallback {
		return 0, causeFallback // from an older one
	}
	return 0, causeNoVersion
}

// nameServer records the name the client asks for. A trailing dot has no meaning, and no
// certificate has one.
func (c *conn) nameServer(ch *wire.ClientHello) {
	name := ch.ServerName
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
		if c.info.ServerName == "" { // not again after the hello was parked
			c.server.counts.TrailingDot.Inc()
		}
	}
	if c.info.ServerName != string(name) {
		c.info.ServerName = string(name)
	}
}

// chooseALPN returns the application protocol (RFC 7301, Section 3.2).
func (s *server) chooseALPN(ch *wire.ClientHello) (string, cause) {
	if !ch.HasALPN || len(s.config.ALPN) == 0 {
		return "", ok
	}
	for _, protocol := range s.config.ALPN {
		if ch.HasProtocol(protocol) {
			return protocol, ok
		}
	}
	return "", causeNoALPN
}

// chooseSuite returns the first of list that the client offers and that fits; a client that puts
// ChaCha20 first has no AES in hardware and gets ChaCha20.
func chooseSuite(list []*primitive.Suite, ch *wire.ClientHello,
	fits func(*primitive.Suite) bool,
) *primitive.Suite {
	chaCha := prefersChaCha(ch.Suites)
	var first *primitive.Suite
	for _, suite := range list {
		if !ch.HasSuite(suite.ID) || !fits(suite) {
			continue
		}
		if !chaCha || suite.AEAD == primitive.ChaCha20Poly1305 {
			return suite
		}
		if first == nil {
			first = suite
		}
	}
	return first
}

// prefersChaCha reports whether the first known suite in a client's list is one with ChaCha20.
func prefersChaCha(suites []byte) bool {
	for ; len(suites) >= 2; suites = suites[2:] {
		if suite := primitive.SuiteByID(uint16(suites[0])<<8 | uint16(suites[1])); suite != nil {
			return suite.AEAD == primitive.ChaCha20Poly1305
		}
	}
	return false
}

// chooseScheme returns the first of our schemes that the client supports.
func chooseScheme(schemes []primitive.Scheme, ch *wire.ClientHello) (primitive.Scheme, bool) {
	for _, scheme := range schemes {
		if ch.HasScheme(uint16(scheme)) {
			return scheme, true
		}
	}
	return 0, false
}

package tlsconn

import (
	"crypto/rand"
	"crypto/subtle"
	"time"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/wire"
)

// hello12 answers a ClientHello of TLS 1.2 (RFC 5246, Section 7.4.1.2).
func (c *conn) hello12(ch *wire.ClientHello) cause {
	hs := c.hs
	if fault := ch.Check12(); fault != wire.None {
		return wireCauses[fault]
	}
	if len(ch.RenegotiationInfo) > 0 {
		return causeRenegotiationInfo // RFC 5746, Section 3.6
	}
	found, why := c.findSession12(ch)
	switch {
	case why != ok:
		return why
	case c.state != ExpectHandshakeBytes:
		hs.hello = append([]byte(nil), ch.Raw...)
		return ok
	}
	copy(hs.clientRandom[:], ch.Random)
	_, _ = rand.Read(hs.serverRandom[:]) // ends the program rather than fail
	if c.server.config.MaxVersion >= version13 {
		copy(hs.serverRandom[wire.RandomLen-len(wire.Downgrade12):], wire.Downgrade12)
	}
	if found {
		return c.resume12(ch)
	}
	return c.full12(ch)
}

// findSession12 looks for the session that the client names by a ticket (RFC 5077) or, without one,
// by session ID, and may park.
func (c *conn) findSession12(ch *wire.ClientHello) (found bool, why cause) {
	s, hs := c.server, c.hs
	identity := ch.Ticket
	c.info.ByID = len(identity) == 0
	if c.info.ByID {
		identity = ch.SessionID
	}
	if hs.full || s.config.Sessions == nil || hs.challenge || len(identity) == 0 {
		return false, ok
	}
	if c.info.ByID && !s.sealer.Made(identity) {
		// Clients send session IDs that name no session: for middleboxes (RFC 8446, Appendix D.4)
		// and to detect whether a ticket was accepted (RFC 5077, Section 3.4).
		return false, ok
	}
	if !c.find(identity) {
		return false, ok
	}
	st := &hs.attempt.state
	switch {
	case st.version != version12, !ch.HasSuite(st.suite.ID), !st.ems && ch.EMS:
		c.decline() // the last one by RFC 7627, Section 5.3
		return false, ok
	case st.ems && !ch.EMS:
		return false, causeMixedEMS
	}
	hs.attempt.use()
	return true, ok
}

// resume12 sends the server's side of an abbreviated handshake (RFC 5246, Section 7.3). The client
// gets its handle again with its remaining life, or a new one if that is for single use.
func (c *conn) resume12(ch *wire.ClientHello) cause {
	s, hs := c.server, c.hs
	st := &hs.attempt.state
	hs.ems = st.ems
	copy(hs.master[:], st.secret[:])
	c.begin(st.suite)
	c.hash(ch.Raw)
	hs.ticket = ch.HasTicket
	hs.saveSession = hs.ticket && s.config.SingleUse
	hello := wire.ServerHello{
		Random: hs.serverRandom[:], SessionID: ch.SessionID, Suite: st.suite.ID, ALPN: c.info.ALPN,
		EMS:    st.ems,
		Ticket: hs.ticket, RenegotiateInfo: ch.HasRenegotiationInfo || ch.EmptyRenegotiation,
	}
	s.flight = hello.Append12(s.flight[:0])
	if hs.ticket {
		name := Handle{Owner: hs.attempt.owner, Key: hs.attempt.key}
		if hs.saveSession {
			hs.sessionKey = NewKey()
			name = Handle{Owner: s.config.Owner, Key: hs.sessionKey}
		}
		_, left := c.newSession()
		c.appendTicket12(name, left)
	}
	c.hashFlight(0)
	c.flush()
	c.deriveKeys12()
	c.finish12()
	c.expect = expectCCS12
	return ok
}

// full12 sends the server's first flight of a full handshake up to its signature.
func (c *conn) full12(ch *wire.ClientHello) cause {
	s, hs := c.server, c.hs
	suite, why := c.chooseSuite12(ch)
	if why != ok {
		return why
	}
	group, why := s.chooseGroup12(ch)
	if why != ok {
		return why
	}
	if !c.admitted(ch) {
		return ok
	}
	hs.ems = ch.EMS
	c.info.Group = uint16(group)
	c.info.ByID = false
	if hs.host.policy.clientAuth != NoClientCert {
		hs.request = true
		hs.messages = make([]byte, 0, 4<<10)
	}
	c.begin(suite)
	c.hash(ch.Raw)
	hello := wire.ServerHello{
		Random: hs.serverRandom[:], Suite: suite.ID, ALPN: c.info.ALPN, EMS: ch.EMS,
		ServerName:      ch.HasServerName,
		RenegotiateInfo: ch.HasRenegotiationInfo || ch.EmptyRenegotiation,
		PointFormats:    ch.HasPointFormats,
	}
	if s.config.Sessions != nil && !hs.challenge {
		// The session's name goes into a ticket or, for clients without tickets, is the session ID.
		hs.saveSession, hs.sessionKey = true, NewKey()
		hs.ticket, hello.Ticket = ch.HasTicket, ch.HasTicket
		if !hs.ticket {
			s.small = s.sealer.Append(s.small[:0],
				Handle{Owner: s.config.Owner, Key: hs.sessionKey})
			hello.SessionID = s.small
		}
	}
	s.flight = hello.Append12(s.flight[:0])
	s.flight = append(s.flight, hs.identity.message12...)
	c.hashFlight(0)
	var public [97]byte // the longest, of P-384
	share, err := hs.ephemeral.Generate(public[:0], group)
	if err != nil {
		return causeSigning
	}
	hs.params = wire.AppendServerParams(nil, uint16(group), share)
	return c.sign(hs.clientRandom[:], hs.serverRandom[:], hs.params)
}

// chooseSuite12 finds a certificate and a suite for its kind of key.
func (c *conn) chooseSuite12(ch *wire.ClientHello) (*primitive.Suite, cause) {
	hs, why := c.hs, causeNoIssuer
	var suite *primitive.Suite
	hs.identity = hs.host.choose(ch, func(id *identity) (fits bool) {
		hs.scheme, fits = chooseScheme(id.schemes12, ch)
		if !fits || id.curve != 0 && ch.HasGroups && !ch.HasGroup(id.curve) {
			// Without signature_algorithms a client accepts only SHA-1. In TLS 1.2 its groups are
			// also the curves of certificates (RFC 8422, Section 5.1).
			if why != causeNoSuite {
				why = causeNoScheme
			}
			return false
		}
		why = causeNoSuite
		suite = chooseSuite(hs.host.policy.suites12, ch,
			func(s *primitive.Suite) bool { return s.ECDSA == id.ecdsa })
		return suite != nil
	})
	if hs.identity == nil {
		return nil, why
	}
	return suite, ok
}

// chooseGroup12 returns a group without ML-KEM. A client that names none supports P-256 (RFC 8422,
// Section 4).
func (s *server) chooseGroup12(ch *wire.ClientHello) (primitive.Group, cause) {
	for _, g := range s.groups {
		if g != primitive.X25519MLKEM768 && (ch.HasGroup(uint16(g)) || !ch.HasGroups &&
			g == primitive.P256) {
			return g, ok
		}
	}
	return 0, causeNoGroup
}

// signed12 ends the server's first flight.
func (c *conn) signed12(signature []byte) cause {
	s, hs := c.server, c.hs
	start := len(s.flight)
	s.flight = wire.AppendServerKeyExchange(s.flight, hs.params, uint16(hs.scheme), signature)
	c.expect = expectKeyExchange12
	if hs.request {
		s.flight = append(s.flight, hs.host.policy.request12...)
		c.expect = expectCertificate12
	}
	s.flight = wire.AppendServerHelloDone(s.flight)
	c.hashFlight(start)
	c.flush()
	hs.params = nil
	return ok
}

// onClientKeyExchange12 makes the keys (RFC 5246, Section 8.1; RFC 7627, Section 4).
func onClientKeyExchange12(c *conn, msg []byte, _ bool) cause {
	s, hs := c.server, c.hs
	share, fault := wire.ParseClientKeyExchange(msg)
	if fault != wire.None {
		return wireCauses[fault]
	}
	premaster, err := hs.ephemeral.Agree(s.secret[:0], share)
	if err != nil {
		return causeBadShare
	}
	c.hash(msg)
	if hs.ems {
		s.kdf.ExtendedMaster(hs.suite.Hash, &hs.master, premaster, c.sum())
	} else {
		s.kdf.Master(hs.suite.Hash, &hs.master, premaster, hs.clientRandom[:], hs.serverRandom[:])
	}
	hs.ephemeral.Clear()
	c.deriveKeys12()
	c.expect = expectCCS12
	if hs.client.chain != nil {
		c.expect = expectVerify12
	}
	return ok
}

// deriveKeys12 makes both ways' keys, which take effect with each side's
// ChangeCipherSpec (RFC 5246, Section 6.3).
func (c *conn) deriveKeys12() {
	s, hs := c.server, c.hs
	n := 2 * (hs.suite.AEAD.KeyLen() + record.IVLen(hs.suite))
	s.kdf.KeyBlock(hs.suite.Hash, hs.keyBlock[:n], hs.master[:], hs.serverRandom[:],
		hs.clientRandom[:])
	c.keepExporter12()
}

// keys12 returns the keys of the client's way or of the server's.
func (hs *handshake) keys12(server int) (key, iv []byte) {
	k, v := hs.suite.AEAD.KeyLen(), record.IVLen(hs.suite)
	return hs.keyBlock[server*k:][:k], hs.keyBlock[2*k+server*v:][:v]
}

// onChangeCipherSpec puts the client's keys in use (RFC 5246, Section 7.1). It must not come within
// a message, or unprotected data would be taken for protected.
func (c *conn) onChangeCipherSpec(p []byte) {
	hs := c.hs
	switch {
	case c.expect != expectCCS12, len(hs.message) > 0, len(p) != 1 || p[0] != 1:
		c.fail(causeUnexpected)
	default:
		key, iv := hs.keys12(0)
		c.rd.Set(hs.suite, key, iv)
		c.expect = expectFinished12
	}
}

// onFinished12 checks the client's proof that it has the keys (RFC 5246, Section 7.4.9).
func onFinished12(c *conn, msg []byte, last bool) cause {
	s, hs := c.server, c.hs
	verify, fault := wire.ParseFinished(msg, wire.Finished12Len)
	if fault != wire.None {
		return wireCauses[fault]
	}
	want := (*[wire.Finished12Len]byte)(s.verify[:])
	s.kdf.Finished12(hs.suite.Hash, want, hs.master[:], true, c.sum())
	if subtle.ConstantTimeCompare(want[:], verify) != 1 {
		return causeBadFinished
	}
	if !last {
		return causeExcessData
	}
	c.hash(msg)
	if hs.client.chain != nil {
		return c.verifyClient()
	}
	return c.complete12()
}

// complete12 ends the handshake; a full one ends after the server's last flight.
func (c *conn) complete12() cause {
	s, hs := c.server, c.hs
	if why := c.settle(); why != ok {
		return why
	}
	session, left := c.newSession()
	if hs.saveSession && left > 0 {
		st := c.stateToSave()
		copy(st.secret[:], hs.master[:])
		c.save(hs.sessionKey, &st, session)
		clear(st.secret[:])
	}
	if !hs.attempt.used {
		if hs.ticket {
			start := len(s.flight)
			c.appendTicket12(Handle{Owner: s.config.Owner, Key: hs.sessionKey}, left)
			c.hashFlight(start)
			c.flush()
		}
		c.finish12()
	}
	c.connected()
	return ok
}

// appendTicket12 appends the message with the session's handle (RFC 5077, Section 3.3), with its
// true lifetime: JSSE discards a ticket without one.
func (c *conn) appendTicket12(name Handle, left time.Duration) {
	s := c.server
	s.small = s.sealer.Append(s.small[:0], name)
	s.flight = wire.AppendNewSessionTicket12(s.flight, seconds(left), s.small)
}

// finish12 puts the server's keys in use and sends its Finished.
func (c *conn) finish12() {
	s, hs := c.server, c.hs
	c.sendCCS()
	key, iv := hs.keys12(1)
	c.wr.Set(hs.suite, key, iv)
	verify := (*[wire.Finished12Len]byte)(s.verify[:])
	s.kdf.Finished12(hs.suite.Hash, verify, hs.master[:], false, c.sum())
	start := len(s.flight)
	s.flight = wire.AppendFinished(s.flight, verify[:])
	c.hashFlight(start)
	c.flush()
}

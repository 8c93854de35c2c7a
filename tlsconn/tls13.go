package tlsconn

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/wire"
)

func any13(*primitive.Suite) bool { return true }

// hello13 answers a ClientHello of TLS 1.3 (RFC 8446, Section 4.1.1).
func (c *conn) hello13(ch *wire.ClientHello) cause {
	s, hs := c.server, c.hs
	if fault := ch.Check13(); fault != wire.None {
		return wireCauses[fault]
	}
	if ch.HasPSK && !ch.HasPSKModes {
		return causeMissing // RFC 8446, Section 4.2.9
	}
	suite := chooseSuite(primitive.Suites13, ch, any13)
	if suite == nil {
		return causeNoSuite
	}
	group, share, why := s.chooseShare(ch)
	if why != ok {
		return why
	}
	hs.skip = 0 // RFC 8446, Section 4.2.10: early data only up to a second hello
	switch {
	case hs.retried && (suite != hs.suite || group != hs.retryGroup || share == nil ||
		!hs.maySecond(ch, share)):
		return causeSecondHello
	case !hs.retried && ch.EarlyData:
		hs.skip = maxEarlyData
	}
	if share == nil {
		return c.retry13(ch, suite, group)
	}
	// A client without the extension gets tickets, as from OpenSSL: Erlang sends it only once it
	// has one.
	hs.noTickets = hs.challenge || ch.HasPSKModes && !ch.HasPSKMode(wire.ModePSKDHE)
	index, found := c.findPSK(ch, suite)
	if c.state != ExpectHandshakeBytes {
		hs.hello = append([]byte(nil), ch.Raw...)
		return ok
	}
	if !found {
		if why := c.chooseIdentity13(ch); why != ok {
			return why
		}
		if !c.admitted(ch) {
			return ok
		}
		if !hs.retried {
			c.begin(suite)
		}
		c.hash(ch.Raw)
		hs.schedule.Start(&s.kdf, suite.Hash, nil)
		return c.answer13(ch, group, share, -1)
	}
	if !hs.retried {
		if own := hs.attempt.state.suite; ch.HasSuite(own.ID) {
			suite = own
		}
		c.begin(suite)
	}
	if why := c.checkBinder(ch, index); why != ok {
		return why
	}
	return c.answer13(ch, group, share, index)
}

// chooseShare returns the group to use and the client's share, nil if it has sent none for it. A
// group with a share takes precedence over a better one without: a round trip costs more than any
// group.
func (s *server) chooseShare(ch *wire.ClientHello) (primitive.Group, []byte, cause) {
	for _, g := range s.groups {
		if share, sent := ch.KeyShare(uint16(g)); sent {
			return g, share, ok
		}
	}
	for _, g := range s.groups {
		if ch.HasGroup(uint16(g)) {
			return g, nil, ok
		}
	}
	return 0, nil, causeNoGroup
}

// chooseIdentity13 finds a certificate whose signature the client supports.
func (c *conn) chooseIdentity13(ch *wire.ClientHello) cause {
	if !ch.HasSigAlgs {
		return causeMissing
	}
	hs, why := c.hs, causeNoIssuer
	hs.identity = hs.host.choose(ch, func(id *identity) (fits bool) {
		why = causeNoScheme
		hs.scheme, fits = chooseScheme(id.schemes13, ch)
		return fits
	})
	if hs.identity == nil {
		return why
	}
	return ok
}

// retry13 asks for another ClientHello, with a share of group (RFC 8446, Section 4.1.4).
func (c *conn) retry13(ch *wire.ClientHello, suite *primitive.Suite, group primitive.Group) cause {
	s, hs := c.server, c.hs
	hs.retried, hs.retryGroup = true, group
	hs.helloSum = helloSum(ch)
	c.begin(suite)
	c.hash(ch.Raw)
	s.small = wire.AppendMessageHash(s.small[:0], c.sum())
	hs.transcript.Reset()
	c.hash(s.small)
	retry := wire.ServerHello{SessionID: ch.SessionID, Suite: suite.ID, Group: uint16(group)}
	s.flight = retry.AppendRetry(s.flight[:0])
	c.hashFlight(0)
	c.flush()
	c.sendCCS13()
	c.expect = expectSecondHello
	return ok
}

// helloSum covers what a second hello must not change (RFC 8446, Section 4.1.2).
func helloSum(ch *wire.ClientHello) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, field := range [...][]byte{
		ch.Random, ch.SessionID, ch.Suites, ch.Compressions, ch.ServerName, ch.Groups, ch.SigAlgs,
		ch.SigAlgsCert,
		ch.ALPN, ch.Versions, ch.PSKModes, ch.Authorities, ch.PointFormats, ch.Ticket,
		ch.RenegotiationInfo,
	} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(field)))
		h.Write(n[:])
		h.Write(field)
	}
	for _, flag := range [...]bool{
		ch.EMS, ch.HasTicket, ch.HasRenegotiationInfo,
		ch.PostHandshakeAuth, ch.HasPSKModes,
	} {
		if flag {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	h.Sum(sum[:0])
	return sum
}

// maySecond reports whether ch may follow the first hello: with the one share asked for, without
// early data, which the retry refused (RFC 8446, Section 4.2.10), and without a cookie, for none
// was given.
func (hs *handshake) maySecond(ch *wire.ClientHello, share []byte) bool {
	const shareHeaderLen = 4
	return len(ch.KeyShares) == shareHeaderLen+len(share) && !ch.EarlyData && !ch.HasCookie &&
		helloSum(ch) == hs.helloSum
}

// sendCCS13 sends the record that makes middleboxes take the handshake for a resumption (RFC 8446,
// Appendix D.4), as other servers do even for clients that have not asked for it by a session ID.
func (c *conn) sendCCS13() {
	if !c.hs.ccsSent {
		c.hs.ccsSent = true
		c.sendCCS()
	}
}

// maxIdentities bounds how many of a client's sessions are tried.
const maxIdentities = 5

// findPSK looks for a session among the identities of a hello, and may park.
func (c *conn) findPSK(ch *wire.ClientHello, suite *primitive.Suite) (index int, found bool) {
	s, hs := c.server, c.hs
	if hs.full || !ch.HasPSK || hs.challenge || s.config.Sessions == nil ||
		!ch.HasPSKMode(wire.ModePSKDHE) {
		return 0, false
	}
	psks := ch.PSKs()
	for i := range maxIdentities {
		identity, _, _, more := psks.Next()
		if !more {
			break
		}
		if i < hs.identityAt {
			continue // tried before the handshake was parked
		}
		hs.identityAt = i
		if c.find(identity) {
			st := &hs.attempt.state
			if st.version == version13 && (st.suite.Hash == suite.Hash || !hs.retried &&
				ch.HasSuite(st.suite.ID)) {
				return i, true
			}
			c.decline()
		}
		if c.state != ExpectHandshakeBytes {
			return 0, false
		}
	}
	return 0, false
}

// checkBinder checks the client's proof that it has the session (RFC 8446, Section 4.2.11.2), and
// adds the hello to the transcript.
func (c *conn) checkBinder(ch *wire.ClientHello, index int) cause {
	s, hs := c.server, c.hs
	h := hs.suite.Hash
	n := h.Len()
	_, binder, _ := ch.Identity(index)
	hs.schedule.Start(&s.kdf, h, hs.attempt.state.secret[:n])
	c.hash(ch.Raw[:ch.BindersAt])
	s.kdf.Binder(h, s.verify[:n], &hs.schedule, c.sum())
	if subtle.ConstantTimeCompare(s.verify[:n], binder) != 1 {
		return causeBadBinder
	}
	c.hash(ch.Raw[ch.BindersAt:])
	hs.attempt.use()
	return ok
}

// answer13 sends the server's flight up to its signature; index is that of the session's identity,
// -1 without one.
func (c *conn) answer13(ch *wire.ClientHello, group primitive.Group, share []byte,
	index int,
) cause {
	s, hs := c.server, c.hs
	n := hs.suite.Hash.Len()
	c.info.Group = uint16(group)
	ours, secret, err := s.exchange.Respond(s.small[:0], group, share)
	if err != nil {
		return causeBadShare
	}
	s.small = ours
	_, _ = rand.Read(s.random[:]) // ends the program rather than fail
	hello := wire.ServerHello{
		Random: s.random[:], SessionID: ch.SessionID, Suite: hs.suite.ID,
		Group: uint16(group), KeyShare: ours, HasPSK: index >= 0, PSK: uint16(max(index, 0)),
	}
	s.flight = hello.Append13(s.flight[:0])
	c.hashFlight(0)
	c.flush()
	c.sendCCS13()

	hs.schedule.Next(&s.kdf, secret)
	transcript := c.sum()
	hs.schedule.Derive(&s.kdf, hs.clientSecret[:n], "c hs traffic", transcript)
	hs.schedule.Derive(&s.kdf, hs.serverSecret[:n], "s hs traffic", transcript)
	s.exchange.Clear()
	c.setKeys(&c.rd, hs.suite, hs.clientSecret[:n])
	c.setKeys(&c.wr, hs.suite, hs.serverSecret[:n])

	extensions := wire.EncryptedExtensions{ALPN: c.info.ALPN, ServerName: ch.HasServerName &&
		index < 0}
	s.flight = extensions.Append(s.flight)
	if index >= 0 {
		c.hashFlight(0)
		return c.finish13()
	}
	if hs.host.policy.clientAuth != NoClientCert {
		hs.request = true
		s.flight = append(s.flight, hs.host.policy.request13...)
	}
	s.flight = append(s.flight, hs.identity.message13...)
	c.hashFlight(0)
	s.small = wire.AppendSigned13(s.small[:0], true, c.sum())
	return c.sign(s.small)
}

// signed13 sends the signature.
func (c *conn) signed13(signature []byte) cause {
	s, hs := c.server, c.hs
	start := len(s.flight)
	s.flight = wire.AppendCertificateVerify(s.flight, uint16(hs.scheme), signature)
	c.hashFlight(start)
	return c.finish13()
}

// finish13 ends the server's flight and puts the keys for data in use.
func (c *conn) finish13() cause {
	s, hs := c.server, c.hs
	h, n := hs.suite.Hash, hs.suite.Hash.Len()
	s.kdf.Finished(h, s.verify[:n], hs.serverSecret[:n], c.sum())
	start := len(s.flight)
	s.flight = wire.AppendFinished(s.flight, s.verify[:n])
	c.hashFlight(start)
	c.flush()
	clear(hs.serverSecret[:])

	hs.schedule.Next(&s.kdf, nil)
	transcript := c.sum()
	hs.schedule.Derive(&s.kdf, hs.nextRead[:n], "c ap traffic", transcript)
	hs.schedule.Derive(&s.kdf, c.keyUpdates.wrSecret[:n], "s ap traffic", transcript)
	c.keepExporter13(transcript)
	c.setKeys(&c.wr, hs.suite, c.keyUpdates.wrSecret[:n])
	c.expect = expectFinished13
	if hs.request {
		c.expect = expectCertificate13
	}
	return ok
}

// onFinished13 checks the client's proof that it has all keys (RFC 8446, Section 4.4.4).
func onFinished13(c *conn, msg []byte, last bool) cause {
	s, hs := c.server, c.hs
	h, n := hs.suite.Hash, hs.suite.Hash.Len()
	verify, fault := wire.ParseFinished(msg, n)
	if fault != wire.None {
		return wireCauses[fault]
	}
	s.kdf.Finished(h, s.verify[:n], hs.clientSecret[:n], c.sum())
	if subtle.ConstantTimeCompare(s.verify[:n], verify) != 1 {
		return causeBadFinished
	}
	if !last {
		return causeExcessData
	}
	c.hash(msg)
	copy(c.keyUpdates.rdSecret[:], hs.nextRead[:n])
	c.setKeys(&c.rd, hs.suite, hs.nextRead[:n])
	if hs.client.chain != nil {
		return c.verifyClient()
	}
	return c.complete13()
}

// complete13 ends the handshake and gives the client its tickets.
func (c *conn) complete13() cause {
	if why := c.settle(); why != ok {
		return why
	}
	if c.server.config.Sessions != nil && !c.hs.noTickets {
		c.sendTickets13()
	}
	c.connected()
	return ok
}

// sendTickets13 saves sessions and sends the handles that name them (RFC 8446, Section 4.6.1):
// several for a new client, which may open as many connections at once, one to replace the session
// of a resumption.
func (c *conn) sendTickets13() {
	s, hs := c.server, c.hs
	n := s.config.Tickets
	if hs.attempt.used {
		n = 1
	}
	session, left := c.newSession()
	if left <= 0 {
		return
	}
	h, size := hs.suite.Hash, hs.suite.Hash.Len()
	hs.schedule.Derive(&s.kdf, s.secret[:size], "res master", c.sum())
	st := c.stateToSave()
	for i := range n {
		nonce := [1]byte{byte(i)}
		s.kdf.Resumption(h, st.secret[:size], s.secret[:size], nonce[:])
		key := NewKey()
		c.save(key, &st, session)
		s.small = s.sealer.Append(s.small[:0], Handle{Owner: s.config.Owner, Key: key})
		_, _ = rand.Read(s.random[:4])
		ageAdd := binary.BigEndian.Uint32(s.random[:])
		s.flight = wire.AppendNewSessionTicket13(s.flight, seconds(left), ageAdd, nonce[:], s.small)
	}
	clear(st.secret[:])
	before := len(s.out)
	c.flush()
	if c.input.len() > 0 {
		// The client's request has come, so our answer is near: the tickets leave with it, which
		// saves a packet.
		c.held = append([]byte(nil), s.out[before:]...)
		s.out = s.out[:before]
	}
}

// maxTicketLife is the longest lifetime of a ticket (RFC 8446, Section 4.6.1).
const maxTicketLife = 7 * 24 * time.Hour

func seconds(d time.Duration) uint32 {
	return max(1, uint32(min(d, maxTicketLife)/time.Second))
}

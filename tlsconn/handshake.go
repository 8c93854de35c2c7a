package tlsconn

import (
	"crypto/sha256"
	"crypto/tls"
	"hash"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
	"reprise/tlsconn/wire"
)

const (
	versionSSL3 = 0x0300
	version12   = tls.VersionTLS12
	version13   = tls.VersionTLS13
)

// A handshake is the state of a connection until it is Connected. It owns its slices: nothing
// aliases input or scratch.
type handshake struct {
	host     *host
	identity *identity
	suite    *primitive.Suite
	scheme   primitive.Scheme // of our signature

	transcript hash.Hash // nil before the suite is chosen
	message    []byte    // the beginning of a message
	longHello  bool      // one of the server's longHellos
	ccsLen     uint8     // ChangeCipherSpec records without effect

	// A parked handshake:
	hello  []byte  // the ClientHello: AwaitSession, AwaitAdmission
	lookup *Lookup // AwaitSession
	job    *job    // AwaitSignature, AwaitVerify

	attempt attempt
	asked   bool // a look-up has left the process
	full    bool // no session was found

	// TLS 1.3
	schedule     schedule.Schedule
	clientSecret [primitive.MaxHashLen]byte // handshake traffic secrets
	serverSecret [primitive.MaxHashLen]byte
	nextRead     [primitive.MaxHashLen]byte // client's application traffic secret
	retryGroup   primitive.Group            // asked for by a HelloRetryRequest
	helloSum     [sha256.Size]byte          // of the hello before the retry
	identityAt   int                        // which of the client's sessions is being tried
	retried      bool
	ccsSent      bool
	skip         int  // bytes of early data still to skip
	skipped      bool // there was early data
	request      bool // a client certificate was requested
	noTickets    bool // the client could not use one (RFC 8446, Section 4.2.9)
	challenge    bool // an authority checks who controls a name

	// TLS 1.2
	ephemeral    primitive.Ephemeral
	clientRandom [wire.RandomLen]byte
	serverRandom [wire.RandomLen]byte
	master       [masterLen]byte
	keyBlock     [2 * (primitive.MaxKeyLen + primitive.NonceLen)]byte
	params       []byte // of the key exchange, while they are being signed
	ems          bool
	ticket       bool   // a NewSessionTicket is due
	sessionKey   Key    // of the session to be saved
	saveSession  bool   // there is one
	messages     []byte // the full transcript, if a client may sign it

	client clientAuth
}

// advance continues the handshake as far as the input allows.
func (c *conn) advance(out []byte) []byte {
	c.server.begin(out)
	c.run()
	return c.endStep()
}

// endStep clears the step's scratch, and returns its output.
func (c *conn) endStep() []byte {
	s := c.server
	s.wipe()
	if c.state != Connected {
		c.input.retain(s)
	}
	return s.takeOut()
}

func (c *conn) run() {
	for c.state == ExpectHandshakeBytes {
		rec, why := c.nextRecord()
		if why != ok {
			c.fail(why)
			return
		}
		if rec == nil {
			return
		}
		c.handshakeRecord(rec[:record.HeaderLen], rec[record.HeaderLen:])
	}
}

// unpark continues a handshake whose answer has come.
func (c *conn) unpark(out []byte) []byte {
	hs := c.hs
	c.server.begin(out)
	from := c.state
	c.state = ExpectHandshakeBytes
	var why cause
	switch from {
	case AwaitSession, AwaitAdmission:
		hello := hs.hello
		hs.hello = nil
		why = onClientHello(c, hello, true)
	case AwaitSignature:
		why = c.signed()
	case AwaitVerify:
		why = c.verified()
	}
	if why != ok {
		c.fail(why)
	}
	c.run()
	return c.endStep()
}

// ready reports whether the awaited answer has come.
func (c *conn) ready() bool {
	switch hs := c.hs; c.state {
	case AwaitSession:
		_, _, done := hs.lookup.Result()
		return done
	case AwaitAdmission:
		return c.waker.(Admitter).Admit(hs.identity.slow)
	default:
		return hs.job.done.Load()
	}
}

// admitted reports whether a full handshake may be made now, or parks it.
func (c *conn) admitted(ch *wire.ClientHello) bool {
	hs := c.hs
	hs.full = true
	if a, asks := c.waker.(Admitter); !asks || a.Admit(hs.identity.slow) {
		return true
	}
	c.state = AwaitAdmission
	hs.hello = append([]byte(nil), ch.Raw...)
	return false
}

// handshakeRecord handles a record that arrives before the handshake is over.
func (c *conn) handshakeRecord(header, fragment []byte) {
	s, hs := c.server, c.hs
	t := record.Type(header[0])
	// In TLS 1.3 this record has no effect (RFC 8446, Appendix D.4), and is never protected.
	if t == record.ChangeCipherSpec && (c.info.Version == version13 ||
		c.expect == expectSecondHello) {
		switch {
		case len(fragment) != 1 || fragment[0] != 1:
			c.fail(causeRecordType)
		case hs.ccsLen >= maxUseless: // each costs work and has no effect
			c.fail(causeUselessRecords)
		case len(hs.message) > 0:
			c.fail(causeUnexpected)
		default:
			hs.ccsLen++
		}
		return
	}
	// Early data that we do not accept: before a second hello the record looks unprotected to us,
	// otherwise it is under a key that we do not have (RFC 8446, Section 4.2.10).
	if t == record.ApplicationData && !c.rd.Protected() && hs.skip > 0 {
		c.skipEarlyData(len(fragment))
		return
	}
	// OpenSSL's clients change their keys only when they have more to send: one that rejects our
	// certificate sends an unprotected alert. It is refused like all unprotected records, but the
	// operator is told its meaning.
	if t == record.Alert && c.rd.Protected() && c.info.Version == version13 && len(fragment) == 2 &&
		fragment[0] == alertFatal {
		c.failWith(peerAlert(fragment[1]), alertUnexpectedMessage)
		return
	}
	t, plain, fault := c.rd.Open(&s.record, nil, header, fragment)
	if fault == record.BadMAC && hs.skip > 0 {
		c.skipEarlyData(len(fragment))
		return
	}
	if fault != record.None {
		c.fail(recordCauses[fault])
		return
	}
	if c.rd.Protected() {
		hs.skip = 0
	}
	if len(hs.message) > 0 && t != record.Handshake && t != record.Alert {
		c.fail(causeUnexpected) // RFC 8446, Section 5.1: messages are not interleaved
		return
	}
	switch t {
	case record.Handshake:
		c.handshakeMessages(plain)
	case record.ChangeCipherSpec:
		c.onChangeCipherSpec(plain)
	case record.Alert:
		c.onAlert(plain)
	default:
		c.fail(causeRecordType)
	}
}

// skipEarlyData skips a record of early data, up to a bound: a client that exceeds it cannot be
// meant for us.
func (c *conn) skipEarlyData(n int) {
	hs := c.hs
	if hs.skip -= max(n, 1); hs.skip <= 0 {
		c.fail(causeEarlyData)
		return
	}
	if !hs.skipped {
		hs.skipped = true
		c.server.counts.EarlyDataSkipped.Inc()
	}
}

// maxEarlyData is how many bytes of early data are skipped, including overhead. A client with a
// session of ours sends none; one that has another server's, or takes a ticket without a limit for
// one without limit (GnuTLS), sends a record or two before it has our answer.
const maxEarlyData = 16<<10 + 1024

// handshakeMessages handles the content of a handshake record: some whole messages, or parts of
// one.
func (c *conn) handshakeMessages(p []byte) {
	hs := c.hs
	if len(p) == 0 {
		c.fail(causeEmptyRecord)
		return
	}
	gathered := len(hs.message) > 0
	if gathered {
		hs.message = append(hs.message, p...) // grows by doubling: linear in what was sent
		p = hs.message
	}
	for len(p) >= messageHeaderLen && c.state == ExpectHandshakeBytes {
		n := messageLen(p)
		if c.handler(p[0]) == nil {
			c.fail(causeUnexpected)
			return
		}
		if !c.mayGather(n) {
			c.fail(causeMessageLen)
			return
		}
		if len(p) < n {
			break
		}
		if why := c.dispatch(p[:n], len(p) == n); why != ok {
			c.fail(why)
			return
		}
		p = p[n:]
	}
	switch {
	case c.state != ExpectHandshakeBytes, len(p) == 0:
		// Over, or parked for a message that must be the last.
		hs.message = nil
	case c.handler(p[0]) == nil:
		c.fail(causeUnexpected) // whatever it becomes
	case gathered:
		hs.message = hs.message[:copy(hs.message, p)]
	default:
		hs.message = append([]byte(nil), p...)
	}
}

// begin makes the transcript of a suite's hash.
func (c *conn) begin(suite *primitive.Suite) {
	c.hs.suite = suite
	c.hs.transcript = c.server.takeHash(suite.Hash)
}

// hash adds a message to the transcript.
func (c *conn) hash(msg []byte) {
	hs := c.hs
	hs.transcript.Write(msg)
	if hs.messages != nil {
		hs.messages = append(hs.messages, msg...)
	}
}

// sum returns the hash of the transcript so far; it lies in scratch.
func (c *conn) sum() []byte { return c.hs.transcript.Sum(c.server.sum[:0]) }

// hashFlight adds the flight's bytes from start on to the transcript.
func (c *conn) hashFlight(start int) { c.hash(c.server.flight[start:]) }

// flush seals the flight, in as few records as possible.
func (c *conn) flush() {
	s := c.server
	for p := s.flight; len(p) > 0; {
		n := min(len(p), record.MaxPlain)
		s.out = c.wr.Seal(&s.record, s.out, record.Handshake, version12, p[:n])
		p = p[n:]
	}
	s.flight = s.flight[:0]
}

var changeCipherSpec = []byte{1}

// sendCCS appends a ChangeCipherSpec record.
func (c *conn) sendCCS() {
	s := c.server
	s.out = c.wr.Seal(&s.record, s.out, record.ChangeCipherSpec, version12, changeCipherSpec)
}

// connected ends the handshake: from here on data flow.
func (c *conn) connected() {
	hs := c.hs
	c.info.CipherSuite = hs.suite.ID
	c.expect = expectData12
	if c.info.Version == version13 {
		c.expect = expectData13
	}
	c.server.counts.Done(&c.info)
	c.state, c.input.lends = Connected, true
	c.endHandshake()
}

// endHandshake releases and wipes what only the handshake needed.
func (c *conn) endHandshake() {
	s, hs := c.server, c.hs
	c.hs = nil
	c.releaseAttempt(hs)
	if l := hs.lookup; l != nil {
		// The answer may have come unnoticed: its reservation is released.
		l.GiveUp()
		if session, verdict, _ := l.Result(); verdict == Found {
			if session.Hold != 0 {
				s.config.Sessions.Release(l.Key, l.Owner, session.Hold)
			}
			clear(session.State)
		}
	}
	if hs.job != nil {
		hs.job.abandoned.Store(true)
	}
	if hs.longHello {
		s.longHellos--
	}
	if hs.transcript != nil {
		s.returnHash(hs.suite.Hash, hs.transcript)
	}
	hs.ephemeral.Clear()
	*hs = handshake{}
}

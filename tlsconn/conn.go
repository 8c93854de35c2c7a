package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
)

// A conn is one server-side connection of our engine. It belongs to its server's goroutine. State
// needed only by a handshake is in hs, which is dropped when the handshake is over.
type conn struct {
	server *server
	waker  Waker
	hs     *handshake // nil from Connected on
	state  State
	expect expect // the row of the state table

	input      input
	plain      []byte // decrypted and not yet read; borrowed like the input
	rd, wr     record.Half
	held       []byte // tickets that leave with the first data
	message    []byte // the beginning of a post-handshake message
	useless    uint8  // consecutive records that carried nothing
	closeSent  bool
	keyUpdates keyUpdates
	exporter   *exporter // nil unless the configuration asks for it

	info       Info
	clientCert *x509.Certificate
	err        *Error // sticky
}

const (
	// maxUseless is how many consecutive records without content are tolerated (empty data,
	// warnings): each costs work and brings nothing.
	maxUseless = 16
	// maxPostHandshake bounds a message after the handshake. The only one a client
	// may send is a KeyUpdate of 5 bytes.
	maxPostHandshake = 1 << 10
)

// NewConn implements Server.
func (s *server) NewConn(waker Waker) Conn {
	return &conn{server: s, waker: waker, hs: &handshake{}}
}

func (c *conn) State() State                         { return c.state }
func (c *conn) Info() *Info                          { return &c.info }
func (c *conn) ClientCertificate() *x509.Certificate { return c.clientCert }

// Err implements Conn.
func (c *conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Feed implements Conn.
func (c *conn) Feed(out, in []byte) []byte {
	if c.state == PeerClosed || c.state == Failed {
		return out // input after close_notify or a failure has no meaning
	}
	s := c.server
	if len(c.input.in) > 0 {
		c.input.retain(s) // the caller has not read to the end
	}
	c.input.feed(in)
	switch c.state {
	case ExpectHandshakeBytes:
		return c.advance(out)
	case Connected:
	default:
		c.input.retain(s)
	}
	return out
}

// Resume implements Conn.
func (c *conn) Resume(out []byte) []byte {
	if !c.state.Parked() || !c.ready() {
		return out
	}
	return c.unpark(out)
}

// GiveUp implements Conn.
func (c *conn) GiveUp(out []byte) []byte {
	if c.state != AwaitSession {
		return out
	}
	c.hs.lookup.GiveUp()
	return c.unpark(out)
}

// Read implements Conn.
func (c *conn) Read(out, p []byte) (int, []byte) {
	if len(c.plain) > 0 {
		n := copy(p, c.plain)
		c.plain = c.plain[n:]
		return n, out
	}
	s := c.server
	s.out = out
	n := 0
	for c.state == Connected && n == 0 && len(c.plain) == 0 {
		rec, why := c.nextRecord()
		if why != ok {
			c.fail(why)
			break
		}
		if rec == nil {
			c.input.retain(s)
			break
		}
		n = c.dataRecord(rec, p)
	}
	return n, s.takeOut()
}

// Write implements Conn.
func (c *conn) Write(out, p []byte) []byte {
	if c.state != Connected && c.state != PeerClosed || c.closeSent {
		return out
	}
	s := c.server
	s.out = out
	c.releaseHeld()
	for len(p) > 0 {
		if c.wr.Exhausted() && !c.renewWriteKey() {
			c.fail(causeKeyUsed)
			break
		}
		n := min(len(p), record.MaxPlain)
		s.out = c.wr.Seal(&s.record, s.out, record.ApplicationData, tls.VersionTLS12, p[:n])
		c.keyUpdates.moved(n)
		p = p[n:]
	}
	c.keyUpdates.answered = false
	return s.takeOut()
}

// CloseNotify implements Conn.
func (c *conn) CloseNotify(out []byte) []byte {
	if c.state != Connected && c.state != PeerClosed || c.closeSent {
		return out
	}
	c.server.out = out
	c.sendAlert(alertWarning, alertCloseNotify)
	c.closeSent = true
	return c.server.takeOut()
}

// EOF implements Conn.
func (c *conn) EOF(out []byte) []byte {
	if c.state == PeerClosed || c.state == Failed {
		return out
	}
	c.server.out = out
	c.fail(causeTruncated)
	return c.server.takeOut()
}

// Abort implements Conn.
func (c *conn) Abort() {
	if c.state.Handshaking() {
		c.server.counts.Failures.Inc(ReasonAborted)
	}
	if c.err == nil {
		c.err = causeErrors[causeAborted]
	}
	c.drop()
}

// Rest implements Conn: an idle connection keeps only its keys (RFC 8446 has no further state);
// cipher states are made again when needed.
func (c *conn) Rest() {
	c.rd.Rest()
	c.wr.Rest()
}

// nextRecord returns the next whole record, nil if it has not arrived. It may be decrypted in
// place.
func (c *conn) nextRecord() ([]byte, cause) {
	s := c.server
	header := c.input.peek(s, record.HeaderLen)
	if header == nil {
		return nil, ok
	}
	if why := c.checkHeader(header); why != ok {
		return nil, why
	}
	n := record.HeaderLen + int(header[3])<<8 + int(header[4])
	rec := c.input.peek(s, n)
	if rec != nil {
		c.input.skip(n)
	}
	return rec, ok
}

// checkHeader refuses a record before waiting for its body.
func (c *conn) checkHeader(header []byte) cause {
	t, version := record.Type(header[0]), uint16(header[1])<<8|uint16(header[2])
	n := int(header[3])<<8 | int(header[4])
	first := c.expect == expectHello && !c.rd.Protected()
	switch {
	case first && LooksLikeHTTP(header):
		return causePlainHTTP
	case first && (t < record.ChangeCipherSpec || t > record.ApplicationData || header[1] != 3):
		return causeNotTLS
	case t < record.ChangeCipherSpec || t > record.ApplicationData:
		return causeRecordType
	case first:
		// Any 3.x: RFC 8446, Appendix D.
	case version != tls.VersionTLS12:
		// The field is ignored in TLS 1.3 (RFC 8446, Section 5.1), but a second
		// ClientHello may say 3.1.
		if c.info.Version != tls.VersionTLS13 || header[1] != 3 {
			return causeRecordVersion
		}
	}
	limit := record.MaxPlain
	switch {
	case !c.rd.Protected() && t != record.ApplicationData:
	case c.info.Version == tls.VersionTLS13:
		limit = record.Max13
	default:
		limit = record.Max12
	}
	if n > limit {
		return causeOverflow
	}
	return ok
}

// dataRecord handles a record of an established connection, and returns how many bytes of data it
// has put into p. The rest waits in plain.
func (c *conn) dataRecord(rec, p []byte) int {
	s := c.server
	header, fragment := rec[:record.HeaderLen], rec[record.HeaderLen:]
	var dst []byte
	if len(p)+primitive.TagLen >= len(fragment) {
		dst = p[:0]
	}
	t, plain, fault := c.rd.Open(&s.record, dst, header, fragment)
	if fault != record.None {
		c.fail(recordCauses[fault])
		return 0
	}
	if len(c.message) > 0 && t != record.Handshake {
		c.fail(causeUnexpected) // RFC 8446, Section 5.1: messages are not interleaved
		return 0
	}
	switch t {
	case record.ApplicationData:
		if len(plain) == 0 {
			c.noteUseless()
			return 0
		}
		c.useless = 0
		c.keyUpdates.moved(len(plain))
		if dst != nil {
			return len(plain)
		}
		n := copy(p, plain)
		c.plain = plain[n:]
		return n
	case record.Alert:
		c.onAlert(plain)
	case record.Handshake:
		c.postHandshake(plain)
	default:
		c.fail(causeRecordType)
	}
	return 0
}

func (c *conn) noteUseless() {
	if c.useless++; c.useless > maxUseless {
		c.fail(causeUselessRecords)
	}
}

// postHandshake handles a client's messages after its Finished.
func (c *conn) postHandshake(p []byte) {
	if len(p) == 0 {
		c.fail(causeEmptyRecord)
		return
	}
	if len(c.message) > 0 {
		p = append(c.message, p...)
		c.message = nil
	}
	for len(p) >= messageHeaderLen && c.state == Connected {
		n := messageLen(p)
		if c.handler(p[0]) == nil || p[0] == msgClientHello {
			n = messageHeaderLen // a message refused anyway need not be complete
		}
		if n > maxPostHandshake {
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
	if len(p) > 0 && c.state == Connected {
		c.message = append([]byte(nil), p...)
	}
}

// onAlert handles a client's alert (RFC 8446, Section 6).
func (c *conn) onAlert(p []byte) {
	if len(p) != 2 {
		c.fail(causeDecode)
		return
	}
	level, description := p[0], p[1]
	switch {
	case description == alertCloseNotify:
		if c.state == Connected {
			c.state, c.input.in = PeerClosed, nil
			c.input.release(c.server)
			return
		}
		c.fail(causeTruncated)
	case level != alertWarning && level != alertFatal:
		c.fail(causeIllegal)
	case description == alertUserCanceled, level == alertWarning &&
		c.info.Version != tls.VersionTLS13:
		// The first announces a close_notify; the others have no effect.
		c.noteUseless()
	default:
		c.failWith(peerAlert(description), alertNone)
	}
}

func peerAlert(description uint8) *Error {
	text := strings.TrimPrefix(tls.AlertError(description).Error(), "tls: ")
	return &Error{Reason: ReasonPeerAlert, Err: fmt.Errorf("tlsconn: the client sent the alert %q",
		text)}
}

// fail ends the connection for a cause. The first one is kept.
func (c *conn) fail(why cause) {
	c.failWith(causeErrors[why], causeTable[why].alert)
}

func (c *conn) failWith(err *Error, alert uint8) {
	if c.state == Failed {
		return
	}
	c.err = err
	if c.state.Handshaking() {
		c.server.counts.Failures.Inc(err.Reason)
		// Messages not yet sealed must not follow the alert.
		c.server.flight = c.server.flight[:0]
	}
	if alert != alertNone && !c.closeSent {
		c.sendAlert(alertFatal, alert)
	}
	c.drop()
}

func (c *conn) sendAlert(level, description uint8) {
	s := c.server
	c.releaseHeld()
	s.alert = [2]byte{level, description}
	version := uint16(tls.VersionTLS12)
	if c.info.Version == 0 {
		version = tls.VersionTLS10 // as an answer to a first record
	}
	s.out = c.wr.Seal(&s.record, s.out, record.Alert, version, s.alert[:])
}

// releaseHeld sends the tickets that wait for data. They are sealed already, so nothing may be
// sealed and sent before them.
func (c *conn) releaseHeld() {
	c.server.out = append(c.server.out, c.held...)
	c.held = nil
}

// drop releases everything: keys, reservations, work under way.
func (c *conn) drop() {
	if c.hs != nil {
		c.endHandshake()
	}
	c.state = Failed
	c.input.in = nil
	c.input.release(c.server)
	c.plain, c.held, c.message = nil, nil, nil
	c.rd.Clear()
	c.wr.Clear()
	c.keyUpdates.clear()
	c.exporter.clear()
	c.exporter = nil
}

package tlsconn

// expect says which message comes next: a row of the state table.
type expect uint8

const (
	expectHello expect = iota
	expectSecondHello
	expectCertificate13
	expectVerify13
	expectFinished13
	expectCertificate12
	expectKeyExchange12
	expectVerify12
	expectCCS12 // a record, not a message
	expectFinished12
	expectData13
	expectData12
	expects
)

// message types that a client may send (RFC 8446, Section 4; RFC 5246, Section 7.4).
const (
	msgClientHello       = 1
	msgCertificate       = 11
	msgCertificateVerify = 15
	msgClientKeyExchange = 16
	msgFinished          = 20
	msgKeyUpdate         = 24
	msgTypes             = 25
)

// A handler acts on a message, which it must not keep. last says that it is the last of the bytes
// that have arrived.
type handler func(c *conn, msg []byte, last bool) cause

// table is the state machine: a missing entry is unexpected_message. It is filled by init because
// its handlers refer back to it.
var table [expects][msgTypes]handler

func init() {
	table = [expects][msgTypes]handler{
		expectHello:         {msgClientHello: onClientHello},
		expectSecondHello:   {msgClientHello: onClientHello},
		expectCertificate13: {msgCertificate: onCertificate13},
		expectVerify13:      {msgCertificateVerify: onCertificateVerify13},
		expectFinished13:    {msgFinished: onFinished13},
		expectCertificate12: {msgCertificate: onCertificate12},
		expectKeyExchange12: {msgClientKeyExchange: onClientKeyExchange12},
		expectVerify12:      {msgCertificateVerify: onCertificateVerify12},
		expectCCS12:         {},
		expectFinished12:    {msgFinished: onFinished12},
		expectData13:        {msgKeyUpdate: onKeyUpdate},
		expectData12:        {msgClientHello: onRenegotiation},
	}
}

const messageHeaderLen = 4

// messageLen returns the length of the message that begins with p, header included.
func messageLen(p []byte) int {
	return messageHeaderLen + int(p[1])<<16 + int(p[2])<<8 + int(p[3])
}

// maxMessage bounds each message in each state, before it is gathered.
func (c *conn) maxMessage() int {
	switch c.expect {
	case expectHello, expectSecondHello:
		return maxHelloLen
	case expectCertificate13, expectCertificate12:
		return maxCertificateLen
	default:
		return maxMessageLen
	}
}

const (
	maxHelloLen       = 16 << 10
	maxCertificateLen = 32 << 10
	maxMessageLen     = 2 << 10 // a CertificateVerify by RSA-8192 has 1 KiB

	// A hello longer than maxHelloLen, as no client of today sends, is accepted up to crypto/tls's
	// limit, but from few clients at a time: the memory that clients can make a server hold does
	// not grow with their number.
	maxLongHelloLen = messageHeaderLen + 64<<10
	maxLongHellos   = 4
)

// mayGather reports whether a message of n bytes may come.
func (c *conn) mayGather(n int) bool {
	hs, s := c.hs, c.server
	switch {
	case n <= c.maxMessage() || hs.longHello && n <= maxLongHelloLen:
		return true
	case c.expect > expectSecondHello || n > maxLongHelloLen || s.longHellos == maxLongHellos:
		return false
	}
	hs.longHello = true // until the handshake ends
	s.longHellos++
	return true
}

// dispatch hands a message to its handler.
func (c *conn) dispatch(msg []byte, last bool) cause {
	h := c.handler(msg[0])
	if h == nil {
		return causeUnexpected
	}
	return h(c, msg, last)
}

// handler returns the handler of a message type in the current state, nil if it is unexpected.
func (c *conn) handler(t uint8) handler {
	if t >= msgTypes {
		return nil
	}
	return table[c.expect][t]
}

// onRenegotiation refuses a ClientHello after the handshake (RFC 5746, Section 4.5).
func onRenegotiation(*conn, []byte, bool) cause { return causeRenegotiation }

package standard

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"

	"reprise/tlsconn"
)

// A Conn is a tlsconn.Conn around a tls.Conn.
type Conn struct {
	server *Server
	waker  tlsconn.Waker
	tls    *tls.Conn
	co     *coroutine // only while handshaking
	state  tlsconn.State

	in  []byte // ciphertext that crypto/tls has not consumed
	out []byte // where the current call's ciphertext goes
	eof bool   // no more ciphertext will come

	info       tlsconn.Info
	clientCert *x509.Certificate // nil if there is none
	err        *tlsconn.Error    // sticky
}

// NewConn implements tlsconn.Server.
func (s *Server) NewConn(waker tlsconn.Waker) tlsconn.Conn {
	c := &Conn{server: s, waker: waker}
	c.tls = tls.Server(&wire{c: c}, s.tls)
	return c
}

// State implements tlsconn.Conn.
func (c *Conn) State() tlsconn.State { return c.state }

// Err implements tlsconn.Conn.
func (c *Conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Info implements tlsconn.Conn.
func (c *Conn) Info() *tlsconn.Info { return &c.info }

// ClientCertificate implements tlsconn.Conn.
func (c *Conn) ClientCertificate() *x509.Certificate { return c.clientCert }

// Feed implements tlsconn.Conn.
func (c *Conn) Feed(out, in []byte) []byte {
	switch c.state {
	case tlsconn.ExpectHandshakeBytes:
		c.in = in
		return c.handshake(out)
	case tlsconn.AwaitSession, tlsconn.AwaitSignature, tlsconn.Connected:
		if len(c.in) == 0 {
			c.in = in
			if c.state != tlsconn.Connected {
				c.retain()
			}
		} else {
			c.in = append(c.in[:len(c.in):len(c.in)], in...)
		}
	}
	return out // input after close_notify or a failure has no meaning
}

// Resume implements tlsconn.Conn.
func (c *Conn) Resume(out []byte) []byte {
	if c.state != tlsconn.AwaitSession && c.state != tlsconn.AwaitSignature {
		return out
	}
	return c.handshake(out)
}

// GiveUp implements tlsconn.Conn.
func (c *Conn) GiveUp(out []byte) []byte {
	if c.state != tlsconn.AwaitSession {
		return out
	}
	c.co.lookup.GiveUp()
	return c.handshake(out)
}

// Read implements tlsconn.Conn.
func (c *Conn) Read(out, p []byte) (int, []byte) {
	if c.state != tlsconn.Connected {
		return 0, out
	}
	c.out = out
	n, err := c.tls.Read(p)
	switch {
	case err == nil:
	case err == errWouldBlock: //nolint:errorlint // returned as is
		c.in = nil // all of it is consumed
	case err == io.EOF: //nolint:errorlint // close_notify: wire.Read never returns EOF once connected
		c.state, c.in = tlsconn.PeerClosed, nil
	default:
		c.fail(err)
	}
	return n, c.takeOut()
}

// Write implements tlsconn.Conn.
func (c *Conn) Write(out, p []byte) []byte {
	if c.state != tlsconn.Connected && c.state != tlsconn.PeerClosed {
		return out
	}
	c.out = out
	if _, err := c.tls.Write(p); err != nil {
		c.fail(err)
	}
	return c.takeOut()
}

// CloseNotify implements tlsconn.Conn.
func (c *Conn) CloseNotify(out []byte) []byte {
	if c.state != tlsconn.Connected && c.state != tlsconn.PeerClosed {
		return out
	}
	c.out = out
	if err := c.tls.CloseWrite(); err != nil {
		c.fail(err)
	}
	return c.takeOut()
}

// EOF implements tlsconn.Conn.
func (c *Conn) EOF(out []byte) []byte {
	c.eof = true
	switch c.state {
	case tlsconn.Connected:
		c.out = out
		c.fail(io.ErrUnexpectedEOF)
		return c.takeOut()
	case tlsconn.PeerClosed, tlsconn.Failed:
		return out
	default:
		return c.handshake(out)
	}
}

// Abort implements tlsconn.Conn.
func (c *Conn) Abort() {
	if c.state.Handshaking() && c.co != nil {
		c.co.aborted = true
		c.handshake(nil)
	}
	if c.err == nil {
		c.err, c.state, c.in = aborted, tlsconn.Failed, nil
	}
}

// ExportKeyingMaterial implements tlsconn.Conn.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	if c.state != tlsconn.Connected && c.state != tlsconn.PeerClosed || !c.server.config.Exporters {
		return nil, errNoExporter
	}
	if err := tlsconn.CheckExport(label, context, n); err != nil {
		return nil, err // crypto/tls panics for some arguments
	}
	state := c.tls.ConnectionState()
	return state.ExportKeyingMaterial(label, context, n)
}

// retain copies unconsumed input, so that the caller can reuse its buffer.
func (c *Conn) retain() {
	if len(c.in) > 0 {
		c.in = append([]byte(nil), c.in...)
	}
}

func (c *Conn) takeOut() []byte {
	out := c.out
	c.out = nil
	return out
}

// fail records the first error.
func (c *Conn) fail(err error) {
	if c.err == nil {
		c.err = newError(err)
	}
	c.state, c.in = tlsconn.Failed, nil
}

var (
	errWouldBlock error = wouldBlock{}
	aborted             = newError(tlsconn.ErrAborted)
	errNoExporter       = errors.New(
		"tlsconn: no keying material: the connection is not up, or keeps none")
)

// wouldBlock is a net.Error whose Temporary method returns true: the one kind of read error after
// which crypto/tls keeps its partial record and goes on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsconn: needs more input" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Rest implements tlsconn.Conn. It has no effect: the cipher states are out of reach.
func (c *Conn) Rest() {}

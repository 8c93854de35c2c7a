package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
)

// State says what a connection waits for.
type State uint8

const (
	// ExpectHandshakeBytes: the handshake needs more from the client.
	ExpectHandshakeBytes State = iota
	// AwaitSession: a look-up outside this process is under way; its answer
	// arrives by the Waker, or the caller ends the wait with GiveUp.
	AwaitSession
	// AwaitSignature: a key worker signs; the answer arrives by the Waker.
	AwaitSignature
	// Connected: the handshake is complete, data flows both ways.
	Connected
	// PeerClosed: the client sent close_notify; data may still flow out.
	PeerClosed
	// Failed: Err says why; what the last call appended holds the alert.
	Failed
)

var stateNames = [...]string{"expect handshake bytes", "await session", "await signature", "connected", "peer closed", "failed"}

func (s State) String() string { return stateNames[s] }

// Handshaking reports whether the handshake is still under way.
func (s State) Handshaking() bool { return s < Connected }

// A Waker tells the loop that a parked handshake can go on. Wake may be called
// from any goroutine, more than once, and must arrange for Conn.Resume to be
// called on the loop.
type Waker interface{ Wake() }

// A Conn is one server-side TLS connection. It belongs to the goroutine of its
// Server. Every method that can produce ciphertext appends it to out and
// returns the extended slice.
type Conn struct {
	server *Server
	waker  Waker
	tls    *tls.Conn
	co     *coroutine // only while handshaking
	state  State

	in  []byte // ciphertext not yet consumed by crypto/tls
	out []byte // where the current call's ciphertext goes
	eof bool   // no more ciphertext will come

	info       Info
	clientCert *x509.Certificate // nil if there is none
	err        *Error            // sticky
}

// NewConn starts a connection that waits for a ClientHello. The waker is called
// for a parked handshake, and may be once more after an Abort.
func (s *Server) NewConn(waker Waker) *Conn {
	c := &Conn{server: s, waker: waker}
	c.tls = tls.Server((*wire)(c), s.tls)
	return c
}

// State returns what the connection waits for.
func (c *Conn) State() State { return c.state }

// Err returns why the connection failed, nil if it has not.
func (c *Conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Info describes the connection; it is complete once Connected.
func (c *Conn) Info() *Info { return &c.info }

// Feed hands over ciphertext that arrived. While handshaking it goes as far as
// the input allows. Once Connected the caller must call Read until it returns 0
// before it reuses in, which is borrowed until then.
func (c *Conn) Feed(out, in []byte) []byte {
	switch c.state {
	case ExpectHandshakeBytes:
		c.in = in
		return c.handshake(out)
	case AwaitSession, AwaitSignature, Connected:
		if len(c.in) == 0 {
			c.in = in
			if c.state != Connected {
				c.retain()
			}
		} else {
			c.in = append(c.in[:len(c.in):len(c.in)], in...)
		}
	}
	return out // what follows close_notify or a failure means nothing
}

// Resume goes on with a parked handshake after its Waker was called. Calling it
// without need is harmless.
func (c *Conn) Resume(out []byte) []byte {
	if c.state != AwaitSession && c.state != AwaitSignature {
		return out
	}
	return c.handshake(out)
}

// GiveUp ends a session look-up that took too long: the handshake goes on
// without it, as a full one.
func (c *Conn) GiveUp(out []byte) []byte {
	if c.state != AwaitSession {
		return out
	}
	c.co.lookup.answer.CompareAndSwap(nil, &lateAnswer)
	return c.handshake(out)
}

// Read decrypts into p and returns how many bytes of plaintext it wrote. 0
// means that more ciphertext is needed or that the State has changed.
func (c *Conn) Read(out, p []byte) (int, []byte) {
	if c.state != Connected {
		return 0, out
	}
	if !c.stage() {
		c.releaseBuffers()
		return 0, out
	}
	c.out = out
	n, err := c.tls.Read(p)
	switch {
	case err == nil, err == errWouldBlock: //nolint:errorlint // returned as is
	case err == io.EOF: //nolint:errorlint // close_notify: wire.Read never returns EOF once connected
		c.state, c.in = PeerClosed, nil
	default:
		c.fail(err)
	}
	if err != nil {
		c.releaseBuffers()
	}
	return n, c.takeOut()
}

// Write encrypts p.
func (c *Conn) Write(out, p []byte) []byte {
	if c.state != Connected && c.state != PeerClosed {
		return out
	}
	c.out = out
	if _, err := c.tls.Write(p); err != nil {
		c.fail(err)
	}
	return c.takeOut()
}

// CloseNotify tells the client that no more data will come out (RFC 8446,
// Section 6.1). Data may still come in. Only the first call has an effect.
func (c *Conn) CloseNotify(out []byte) []byte {
	if c.state != Connected && c.state != PeerClosed {
		return out
	}
	c.out = out
	if err := c.tls.CloseWrite(); err != nil {
		c.fail(err)
	}
	return c.takeOut()
}

// EOF says that the client has ended its byte stream. Without a close_notify
// before it that is a failure with ReasonTruncated: somebody on the path may
// have cut the stream short.
func (c *Conn) EOF(out []byte) []byte {
	c.eof = true
	switch c.state {
	case Connected:
		c.out = out
		c.fail(io.ErrUnexpectedEOF)
		return c.takeOut()
	case PeerClosed, Failed:
		return out
	default:
		return c.handshake(out)
	}
}

// Abort ends the connection without a word, releasing a parked handshake. It
// must be called for every Conn that has not failed; calling it twice is
// harmless.
func (c *Conn) Abort() {
	if c.state.Handshaking() && c.co != nil {
		c.co.aborted = true
		c.handshake(nil)
	}
	if c.err == nil {
		c.err, c.state, c.in = aborted, Failed, nil
		c.releaseBuffers()
	}
}

// retain copies unconsumed input, so that the caller has its buffer back.
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

// fail makes the first error stick.
func (c *Conn) fail(err error) {
	if c.err == nil {
		c.err = newError(err)
	}
	c.state, c.in = Failed, nil
	c.releaseBuffers()
}

var (
	errWouldBlock error = wouldBlock{}
	errAborted          = errors.New("tlsconn: aborted")
	aborted             = newError(errAborted)
)

// wouldBlock is a net.Error whose Temporary method says true: the one kind of
// read error after which crypto/tls keeps its partial record and goes on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsconn: needs more input" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

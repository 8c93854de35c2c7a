package standard

import (
	"crypto/tls"
	"iter"

	"reprise/tlsconn"
)

// A coroutine runs handshakes, one connection's after another's. Keeping it saves the start of a
// goroutine and the growth of its stack (a handshake needs about 16 KiB of it) for each connection.
type coroutine struct {
	next  func() (tlsconn.State, bool)
	stop  func()
	yield func(tlsconn.State) bool

	// The rest belongs to the current handshake.
	conn    *Conn
	err     error // the result of Handshake
	aborted bool  // park must not wait any more

	attempt attempt         // the session the client offered, if any
	ticket  issued          // the session that it gets
	lookup  *tlsconn.Lookup // the look-up of a parked handshake
	asked   bool            // there has been one
}

// maxIdleCoroutines bounds the coroutines that a burst of simultaneous handshakes leaves behind on
// each server.
const maxIdleCoroutines = 64

// finished is what the coroutine yields between two handshakes.
const finished = tlsconn.Connected

func newCoroutine() *coroutine {
	co := new(coroutine)
	co.next, co.stop = iter.Pull(func(yield func(tlsconn.State) bool) {
		co.yield = yield
		for {
			co.err = co.conn.tls.Handshake()
			if !yield(finished) {
				return
			}
		}
	})
	return co
}

// takeCoroutine assigns an idle coroutine, or a new one, to c.
func (s *Server) takeCoroutine(c *Conn) *coroutine {
	var co *coroutine
	if n := len(s.idle); n > 0 {
		co, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		co = newCoroutine()
	}
	co.conn = c
	return co
}

func (s *Server) returnCoroutine(co *coroutine) {
	co.conn, co.err, co.aborted = nil, nil, false
	co.attempt, co.lookup, co.asked = attempt{}, nil, false
	co.dropTicket()
	if s.closed || len(s.idle) >= maxIdleCoroutines {
		co.stop()
		return
	}
	s.idle = append(s.idle, co)
}

// handshake continues the handshake until it waits or is over.
func (c *Conn) handshake(out []byte) []byte {
	c.out = out
	s := c.server
	if c.co == nil {
		c.co = s.takeCoroutine(c)
	}
	s.current = c
	state, ok := c.co.next()
	s.current = nil
	switch {
	case !ok: // the coroutine died of a panic from which the caller recovered
		c.co = nil
		c.fail(tlsconn.ErrAborted)
	case state == finished:
		co := c.co
		c.co = nil // from here on wire.Read does not park
		c.handshakeDone(co, len(out))
		s.returnCoroutine(co)
	default:
		c.state = state
		c.retain()
	}
	return c.takeOut()
}

// handshakeDone completes everything that waited for the handshake to succeed. outLen is the length
// of the output before its last step.
func (c *Conn) handshakeDone(co *coroutine, outLen int) {
	if co.err != nil {
		c.server.dropAttempt(co) // release its reservation
		if co.aborted {          // of which crypto/tls keeps only the text
			c.fail(tlsconn.ErrAborted)
		} else {
			c.fail(co.err)
			c.alertIfSilent(outLen)
		}
		c.server.counts.Failures.Inc(c.err.Reason)
		return
	}
	state := c.tls.ConnectionState()
	c.info = tlsconn.Info{
		Version:     state.Version,
		CipherSuite: state.CipherSuite,
		Group:       uint16(state.CurveID),
		ServerName:  state.ServerName,
		ALPN:        state.NegotiatedProtocol,

		ClientPolicy: c.server.hostFor(state.ServerName).client,
	}
	if state.DidResume && state.Version < tls.VersionTLS13 {
		c.info.Group = 0 // crypto/tls returns that of the session's own handshake
	}
	if len(state.PeerCertificates) > 0 {
		c.clientCert = state.PeerCertificates[0]
	}
	if !c.server.settle(co, &state, &c.info) {
		c.fail(errSpent)
		c.server.counts.Failures.Inc(c.err.Reason)
		return
	}
	c.state = tlsconn.Connected
	c.server.counts.Done(&c.info)
}

// park suspends the handshake until the loop resumes it. The reason becomes the
// connection's State meanwhile.
func (c *Conn) park(reason tlsconn.State) error {
	if c.co.aborted || !c.co.yield(reason) || c.co.aborted {
		return tlsconn.ErrAborted
	}
	return nil
}

// alertIfSilent adds the fatal alert where crypto/tls ends a handshake silently: when the input is
// not TLS at all, or ends in the middle of a message. Such a client has sent no usable ClientHello,
// so the alert is unencrypted.
func (c *Conn) alertIfSilent(outLen int) {
	var description byte
	switch c.err.Reason {
	case tlsconn.ReasonNotTLS:
		description = 10 // unexpected_message (RFC 8446, Section 6.2)
	case tlsconn.ReasonTruncated:
		description = 50 // decode_error
	default:
		return
	}
	if len(c.out) == outLen && !c.sentServerHello() {
		const alert, fatal = 21, 2
		c.out = append(c.out, alert, 3, 1, 0, 2, fatal, description)
	}
}

// sentServerHello reports whether a version has been agreed on, after which
// records may be encrypted.
func (c *Conn) sentServerHello() bool { return c.tls.ConnectionState().Version != 0 }

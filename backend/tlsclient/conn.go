package tlsclient

import (
	"crypto/tls"
	"io"
)

// State is the state of a Conn.
type State uint8

const (
	Handshaking State = iota
	Connected
	PeerClosed // the backend has sent close_notify: it sends no more, but data may still go to it
	Failed     // Err returns the cause
)

// A Conn is one connection to a backend. It belongs to one goroutine at a time.
type Conn struct {
	client *Client
	tls    *tls.Conn
	state  State
	err    *Error // sticky

	in  []byte // ciphertext that crypto/tls has not yet read
	out []byte // where the current call's ciphertext goes
	eof bool   // no more ciphertext will come

	records  records    // of the input
	hs       *handshake // nil once it is over
	finished bool       // close_notify is sent
}

// NewConn begins a connection. The first Step, with no input, produces its first flight.
func (c *Client) NewConn() *Conn {
	conn := &Conn{client: c, hs: newHandshake()}
	conn.tls = tls.Client(&wire{c: conn}, c.config)
	return conn
}

// Client returns the Client that made the connection.
func (c *Conn) Client() *Client { return c.client }

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Err returns the cause of a failure, nil if there is none.
func (c *Conn) Err() error {
	if c.err == nil {
		return nil
	}
	return c.err
}

// Resumed reports whether the handshake has resumed a session. It is valid once connected.
func (c *Conn) Resumed() bool { return c.tls.ConnectionState().DidResume }

// Feed gives the connection ciphertext. It is not copied: before p changes, Read must be called
// until it returns 0, or Keep must be called.
func (c *Conn) Feed(p []byte) {
	if c.state != Connected {
		return // input after close_notify or a failure has no meaning
	}
	c.records.follow(p)
	if len(c.in) == 0 {
		c.in = p
	} else {
		c.in = append(c.in[:len(c.in):len(c.in)], p...)
	}
}

// Keep copies the unread part of what was fed, so that the caller can reuse its buffer.
func (c *Conn) Keep() {
	if len(c.in) > 0 {
		c.in = append([]byte(nil), c.in...)
	}
}

// Read puts plaintext into p, and appends what must be sent in response (an answer to a key update,
// an alert) to out. It returns 0 if there is no plaintext now, at the end, or if State has become
// Failed.
func (c *Conn) Read(out, p []byte) (int, []byte) {
	if c.state != Connected {
		return 0, out
	}
	c.out = out
	n, err := c.tls.Read(p)
	switch {
	case err == nil:
	case err == errWouldBlock: //nolint:errorlint // returned as is
		c.in = nil // all of it is used up
	case err == io.EOF: //nolint:errorlint // close_notify: wire.Read never returns EOF once connected
		c.state, c.in = PeerClosed, nil
	default:
		c.fail(newError(err))
	}
	return n, c.takeOut()
}

// AtRest reports whether all input was whole records whose content has been read, after a Read that
// returned 0.
func (c *Conn) AtRest() bool {
	return c.state == Connected && len(c.in) == 0 && c.records.whole()
}

// EOF reports that no more ciphertext will come. Without a close_notify before it, an attacker on
// the path may have cut the stream.
func (c *Conn) EOF() {
	if c.state == Connected {
		c.fail(errTruncated)
	}
}

// Write appends p, encrypted, to out.
func (c *Conn) Write(out, p []byte) []byte {
	if c.state != Connected && c.state != PeerClosed || c.finished {
		return out
	}
	c.out = out
	if _, err := c.tls.Write(p); err != nil {
		c.fail(newError(err))
	}
	return c.takeOut()
}

// CloseNotify appends close_notify, once.
func (c *Conn) CloseNotify(out []byte) []byte {
	if c.state != Connected && c.state != PeerClosed || c.finished {
		return out
	}
	c.finished = true
	c.out = out
	if err := c.tls.CloseWrite(); err != nil {
		c.fail(newError(err))
	}
	return c.takeOut()
}

func (c *Conn) takeOut() []byte {
	out := c.out
	c.out = nil
	return out
}

// fail records the first error.
func (c *Conn) fail(err *Error) {
	if c.err == nil {
		c.err = err
	}
	c.state, c.in = Failed, nil
}

// records tracks the record boundaries of the input, which crypto/tls does not report: a partial
// record may be the beginning of an unsolicited answer.
type records struct {
	header [recordHeaderLen]byte
	have   int // bytes of header
	left   int // bytes of the record still to come
}

const recordHeaderLen = 5

func (r *records) follow(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		n := copy(r.header[r.have:], p)
		p = p[n:]
		if r.have += n; r.have == recordHeaderLen {
			r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
		}
	}
}

func (r *records) whole() bool { return r.have == 0 && r.left == 0 }

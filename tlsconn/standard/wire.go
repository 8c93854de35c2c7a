package standard

import (
	"io"

	"reprise/internal/memconn"
	"reprise/tlsconn"
)

// wire is the network connection that crypto/tls sees: a Conn from below.
type wire struct {
	c *Conn
	memconn.Rest
}

// Read gives crypto/tls the input fed. During the handshake it parks the coroutine when there is
// none; afterwards it returns errWouldBlock.
func (w *wire) Read(p []byte) (int, error) {
	c := w.c
	for len(c.in) == 0 {
		switch {
		case c.co == nil:
			return 0, errWouldBlock
		case c.eof:
			return 0, io.EOF
		}
		if err := c.park(tlsconn.ExpectHandshakeBytes); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// Write collects what crypto/tls sends.
func (w *wire) Write(p []byte) (int, error) {
	w.c.out = append(w.c.out, p...)
	return len(p), nil
}

package standard

import (
	"io"
	"net"
	"time"

	"reprise/tlsconn"
)

// wire is what crypto/tls takes for the network connection: a Conn seen from
// below.
type wire Conn

// Read gives crypto/tls what has been fed. During the handshake it parks the
// coroutine when there is nothing; afterwards it says so.
func (w *wire) Read(p []byte) (int, error) {
	c := (*Conn)(w)
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
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return noAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return noAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "tlsconn" }
func (noAddr) String() string  { return "tlsconn" }

package tlsclient

import (
	"io"

	"reprise/internal/memconn"
)

// wire is the network connection that crypto/tls sees: a Conn from below.
type wire struct {
	c *Conn
	memconn.Rest
}

// Read gives crypto/tls the input. Without input it waits during the handshake, and returns
// errWouldBlock afterwards.
func (w *wire) Read(p []byte) (int, error) {
	c := w.c
	for len(c.in) == 0 {
		switch {
		case c.hs == nil:
			return 0, errWouldBlock
		case c.eof:
			return 0, io.EOF
		}
		if !c.hs.park() {
			return 0, errAborted
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

var errWouldBlock error = wouldBlock{}

// wouldBlock is a net.Error whose Temporary method returns true: the one kind of read error after
// which crypto/tls keeps its partial record and goes on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsclient: needs more input" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

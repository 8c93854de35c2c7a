package tlsclient

import (
	"io"
	"net"
	"time"
)

// wire is the network connection that crypto/tls sees: a Conn from below.
type wire Conn

// Read gives crypto/tls the input. Without input it waits during the handshake, and returns
// errWouldBlock afterwards.
func (w *wire) Read(p []byte) (int, error) {
	c := (*Conn)(w)
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

func (noAddr) Network() string { return "tlsclient" }
func (noAddr) String() string  { return "tlsclient" }

var errWouldBlock error = wouldBlock{}

// wouldBlock is a net.Error whose Temporary method returns true: the one kind of read error after
// which crypto/tls keeps its partial record and goes on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsclient: needs more input" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

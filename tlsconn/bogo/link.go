package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"reprise/tlsconn"
)

// patience is how long the shim waits for the runner, which waits 15 s itself.
const patience = 20 * time.Second

// A link drives one connection over a socket.
type link struct {
	conn    tlsconn.Conn
	socket  *net.TCPConn
	wake    waker
	single  bool // feed and take single bytes
	retried bool // a HelloRetryRequest has been sent
	ended   bool // the runner has closed its side
}

type waker chan struct{}

// Wake implements tlsconn.Waker.
func (w waker) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// connect makes the connection, does what the test asks on it, and closes it.
func (s *setup) connect(address string, shimID uint64) error {
	wake := make(waker, 1)
	server, err := s.engine.new(s.config)
	if err != nil { // the runner's configuration is impossible here
		return unimplemented("a configuration that the engine refuses: " + err.Error())
	}
	defer server.Close()
	conn := server.NewConn(wake)
	defer conn.Abort()
	socket, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	l := &link{conn: conn, socket: socket.(*net.TCPConn), wake: wake, single: s.async}
	defer l.close()
	if err := l.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := socket.Write(binary.LittleEndian.AppendUint64(nil, shimID)); err != nil {
		return err
	}
	if err := l.handshake(); err != nil {
		return err
	}
	if err := s.check(l); err != nil {
		return err
	}
	if err := s.export(l); err != nil {
		return err
	}
	return s.exchange(l)
}

// export sends the runner the keying material that it derives too.
func (s *setup) export(l *link) error {
	if s.exportLen == 0 {
		return nil
	}
	var context []byte
	if s.exportsContext {
		context = append([]byte{}, s.exportContext...)
	}
	material, err := l.conn.ExportKeyingMaterial(s.exportLabel, context, s.exportLen)
	if err != nil {
		return err
	}
	return l.send(l.conn.Write(nil, material))
}

// close lets the runner read what was sent before the socket closes.
func (l *link) close() {
	_ = l.socket.CloseWrite()
	_ = l.socket.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, l.socket)
	_ = l.socket.Close()
}

// handshake drives the connection until it is connected.
func (l *link) handshake() error {
	for l.conn.State().Handshaking() {
		if l.conn.State() == tlsconn.ExpectHandshakeBytes {
			if err := l.receive(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-l.wake:
			if err := l.send(l.conn.Resume(nil)); err != nil {
				return err
			}
		case <-time.After(patience):
			return fmt.Errorf("the handshake was not woken in state %v", l.conn.State())
		}
	}
	return l.failure()
}

// failure returns why the connection failed, nil if it has not. The reason's name comes first: the
// runner looks for it.
func (l *link) failure() error {
	if l.conn.State() != tlsconn.Failed {
		return nil
	}
	if e, ok := errors.AsType[*tlsconn.Error](l.conn.Err()); ok {
		return fmt.Errorf("<%v> %w", e.Reason, e)
	}
	return l.conn.Err()
}

// receive waits for bytes from the runner and feeds them.
func (l *link) receive() error {
	size := 16 << 10
	if l.single {
		size = 1
		l.conn.Rest() // as a loop may do at any time
	}
	in := make([]byte, size) // a new one each time: Feed borrows it
	n, err := l.socket.Read(in)
	if n > 0 {
		return l.send(l.conn.Feed(nil, in[:n]))
	}
	if errors.Is(err, io.EOF) || isReset(err) {
		l.ended = true
		return l.send(l.conn.EOF(nil))
	}
	return err
}

// helloRetryRandom is the random of a ServerHello that is a HelloRetryRequest
// (RFC 8446, Section 4.1.3).
var helloRetryRandom = []byte("\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")

// send writes what the connection has produced.
func (l *link) send(out []byte) error {
	if l.conn.State().Handshaking() && bytes.Contains(out, helloRetryRandom) {
		l.retried = true
	}
	for len(out) > 0 {
		n := len(out)
		if l.single {
			n = 1
		}
		if _, err := l.socket.Write(out[:n]); err != nil {
			if isReset(err) { // the runner may still read what was sent
				return nil
			}
			return err
		}
		out = out[n:]
	}
	return nil
}

// isReset reports whether the runner has closed its socket.
func isReset(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && !op.Timeout()
}

// exchange echoes the runner's data with every bit flipped.
func (s *setup) exchange(l *link) error {
	if s.writesFirst {
		first := s.initialWrite
		if first == "" {
			first = "hello"
		}
		for range max(1, s.initialWrites) {
			if err := l.send(l.conn.Write(nil, []byte(first))); err != nil {
				return err
			}
		}
	}
	if s.shutsDown {
		return s.shutDown(l)
	}
	size := s.readSize
	if size == 0 {
		size = 512
	}
	p := make([]byte, size)
	for {
		n, out := l.conn.Read(nil, p)
		for i := range p[:n] {
			p[i] ^= 0xff
		}
		if n > 0 {
			out = l.conn.Write(out, p[:n])
		}
		if err := l.send(out); err != nil {
			return err
		}
		switch {
		case n > 0:
			continue
		case l.conn.State() == tlsconn.Connected:
			if err := l.receive(); err != nil {
				return err
			}
		case l.conn.State() == tlsconn.PeerClosed:
			if s.checkCloseNotify {
				return l.send(l.conn.CloseNotify(nil))
			}
			return nil
		case l.ended && !s.checkCloseNotify: // as SSL_shutdown in quiet mode
			return nil
		default:
			return l.failure()
		}
	}
}

// shutDown ends the connection from this side and, if the runner checks for
// close_notify, waits for the runner's.
func (s *setup) shutDown(l *link) error {
	if !s.checkCloseNotify {
		return nil
	}
	if err := l.send(l.conn.CloseNotify(nil)); err != nil {
		return err
	}
	p := make([]byte, 512)
	for {
		n, out := l.conn.Read(nil, p)
		if err := l.send(out); err != nil {
			return err
		}
		switch {
		case n > 0:
		case l.conn.State() == tlsconn.Connected:
			if err := l.receive(); err != nil {
				return err
			}
		case l.conn.State() == tlsconn.PeerClosed:
			return nil
		default:
			return l.failure()
		}
	}
}

package engine

import (
	"golang.org/x/sys/unix"

	"reprise/backend/tlsclient"
	"reprise/internal/queue"
)

// secured is the additional state of a backend connection with TLS.
type secured struct {
	client *tlsclient.Client // whose policy applies
	conn   *tlsclient.Conn   // nil until the handshake has begun
	flow   *flow             // waits for the handshake, nil once it is over

	early    queue.Queue // pending data of the PROXY header and the handshake
	waiting  bool        // for a place among the handshakes under way
	placed   bool        // it has one until flow is nil
	stepping bool        // a worker has conn
	heard    bool        // something was read since the handshake
}

const (
	// maxSecuring bounds a loop's handshakes with backends under way, each of which holds about 50
	// KB. Others wait until one has ended.
	maxSecuring = 1024
	// stepLen is the length of one read in a handshake. Most flights of a server are shorter.
	stepLen = 8 << 10
	// leastRead is the minimum length of a read, however little room the client has: a record
	// cannot be decrypted in parts. The excess is kept, encrypted, and used before anything else is
	// read.
	leastRead = 4 << 10
	// quietLen is the length of one read of an unused connection: a session or two.
	quietLen = 4 << 10
	// quietReads bounds the number of such reads.
	quietReads = 4
)

// beginSecuring begins TLS on an established connection.
func (f *flow) beginSecuring() {
	s := &secured{client: f.node.TLS(), flow: f}
	f.backend.tls, f.link = s, securing
	// A PROXY header comes before TLS, as its readers expect.
	switch {
	case f.http == nil:
		s.early.Push(f.in.pending.Bytes()[:f.header])
	case f.route.pool.Options().SendProxy > 0:
		s.early.Push(f.proxyHeader())
	}
}

// secure continues the handshake.
func (f *flow) secure() {
	l, b, s := f.loop, &f.backend, f.backend.tls
	switch {
	case s.stepping, s.waiting, !s.placed && !l.placeHandshake(s):
		return
	case s.conn == nil:
		s.conn = s.client.NewConn()
		f.stepSecuring(nil)
		return
	}
	if !s.flush(b) {
		f.securingFailed(tlsclient.ErrClosed)
		return
	}
	if !b.readable {
		return
	}
	// The loop's buffers may hold a client's data, and the step keeps this one.
	in := make([]byte, stepLen)
	n, err := b.read(in)
	switch {
	case err != nil:
		f.securingFailed(tlsclient.ErrClosed)
	case n > 0 || b.ended():
		f.stepSecuring(in[:n])
	}
}

// stepSecuring has a worker continue the handshake.
func (f *flow) stepSecuring(in []byte) {
	l, s, ended := f.loop, f.backend.tls, f.backend.ended()
	s.stepping = true
	wake := func() { l.reactor.Post(steppedTask, s) }
	if !s.conn.Step(in, ended, l.o.Workers, wake) {
		// The workers' queue has room for all handshakes of clients: this is a mistake in the
		// configuration, and a late answer is better than none.
		f.node.SecuredOnLoop()
		s.conn.Step(in, ended, nil, wake)
	}
}

// steppedTask handles a worker's result, if a flow still waits for it.
func steppedTask(arg any) {
	if s := arg.(*secured); s.flow != nil {
		f := s.flow
		l := f.loop
		l.reactor.Enter()
		defer l.reactor.Leave(f)
		f.stepped()
		f.progress()
	}
}

func (f *flow) stepped() {
	l, b, s := f.loop, &f.backend, f.backend.tls
	s.stepping = false
	l.sealed = s.conn.Stepped(l.sealed[:0])
	s.early.Push(l.sealed)
	isThere := s.flush(b)
	switch {
	case s.conn.State() == tlsclient.Failed:
		f.securingFailed(s.conn.Err())
	case !isThere:
		f.securingFailed(tlsclient.ErrClosed)
	case s.conn.State() == tlsclient.Connected:
		f.securedNow()
	}
}

// flush sends pending data of the header and the handshake. It reports whether the backend still
// exists.
func (s *secured) flush(b *socket) bool {
	for b.writable && s.early.Len() > 0 {
		n, err := b.write(s.early.Bytes())
		if err != nil {
			return false
		}
		s.early.Pop(n)
	}
	return true
}

// securedNow begins to use the connection.
func (f *flow) securedNow() {
	l, b, s := f.loop, &f.backend, f.backend.tls
	l.handshakeOver(s)
	f.node.Secured(s.conn.Resumed())
	b.readable = true // bytes behind the handshake are not in the socket any more
	waiting, sent := f.in.pending, 0
	if f.http == nil {
		sent = f.header
	}
	f.in.pending = queue.Queue{}
	f.in.pending.Push(s.early.Bytes())
	s.early.Drop()
	for p := waiting.Bytes()[sent:]; len(p) > 0; {
		n := min(len(p), l.o.ReadSize)
		f.in.pending.Push(f.seal(p[:n]))
		p = p[n:]
	}
	waiting.Drop()
	f.connected()
}

// securingFailed tries the next backend, as if there had been no connection.
func (f *flow) securingFailed(err error) {
	f.node.NotSecured(err, f.loop.now)
	f.noTLS = true
	f.connectFailed()
}

// placeHandshake gives a handshake a place, or lets it wait for one.
func (l *loop) placeHandshake(s *secured) bool {
	if l.securing < l.maxSecuring {
		s.placed = true
		l.securing++
		return true
	}
	if l.toSecure.len() > 2*l.securingLater+64 { // most have ended meanwhile
		l.toSecure.keep(func(s *secured) bool { return s.waiting })
	}
	s.waiting = true
	l.securingLater++
	l.toSecure.push(s)
	return false
}

// handshakeOver gives a handshake's place to the next waiting one at once, so that a later one
// cannot take it.
func (l *loop) handshakeOver(s *secured) {
	if s.flow == nil {
		return
	}
	s.flow = nil
	if s.waiting {
		s.waiting = false
		l.securingLater--
	}
	if !s.placed {
		return
	}
	l.securing--
	for l.toSecure.len() > 0 {
		if next := l.toSecure.pop(); next.waiting {
			next.waiting, next.placed = false, true
			l.securing++
			l.securingLater--
			l.goOnLater(next.flow)
			return
		}
	}
}

// dropSecured frees the TLS state of a closed connection.
func (l *loop) dropSecured(s *secured) {
	l.handshakeOver(s)
	if s.conn != nil {
		s.conn.Abort()
	}
	s.early.Drop()
}

// seal encrypts data for the backend, into the loop's buffer.
func (f *flow) seal(p []byte) []byte {
	l := f.loop
	l.sealed = f.backend.tls.conn.Write(l.sealed[:0], p)
	return l.sealed
}

// closeNotifyToBackend puts close_notify behind the data pending for the backend.
func (f *flow) closeNotifyToBackend() {
	l := f.loop
	l.sealed = f.backend.tls.conn.CloseNotify(l.sealed[:0])
	f.in.pending.Push(l.sealed)
}

// pumpSecured is pumpOut for a backend with TLS.
func (f *flow) pumpSecured(room int) int {
	p, moved, err := f.readSecured(room)
	switch {
	case err != nil:
		f.backendGone()
		return 1
	case f.backend.ended():
		f.outputDone()
		return 1
	case len(p) > 0:
		f.fromBackend(p)
	}
	return moved
}

// readSecured reads once, and returns the plaintext, in the loop's buffer, and how many bytes were
// read or decrypted.
func (f *flow) readSecured(room int) (p []byte, moved int, err error) {
	l, b := f.loop, &f.backend
	conn := b.tls.conn
	room = min(room, len(l.plain))
	fill := f.decryptBackend(room)
	if fill == 0 && conn.State() == tlsclient.Connected && b.readable {
		if moved, err = b.read(l.in[:min(max(room, leastRead), len(l.in))]); err != nil {
			return nil, 0, err
		}
		if b.ended() {
			conn.EOF()
			b.input = inputEnding // unless close_notify came before
		} else {
			conn.Feed(l.in[:moved])
			fill = f.decryptBackend(room)
			conn.Keep()
		}
	}
	if fill == room || conn.State() != tlsclient.Connected {
		b.readable = true // there may be more, or an end to report
	}
	if len(l.sealed) > 0 && f.in.pending.Len() > 2*l.o.HighWatermark+4*l.o.ReadSize {
		return nil, 0, errNotReading // more than any upload leaves here
	}
	if fill > 0 {
		b.tls.heard = true
		return l.plain[:fill], max(moved, fill), nil
	}
	switch conn.State() {
	case tlsclient.PeerClosed:
		b.input, b.readable = inputEnded, false
	case tlsclient.Failed:
		if err = conn.Err(); !b.tls.heard && tlsclient.ReasonOf(err) == tlsclient.Refused {
			// In TLS 1.3 a backend checks our certificate after the handshake is over for us.
			f.node.NotSecured(err, l.now)
		}
		return nil, 0, err
	}
	return nil, moved, nil
}

// decryptBackend puts up to room bytes of plaintext into the loop's buffer and returns their
// number.
func (f *flow) decryptBackend(room int) (fill int) {
	l, conn := f.loop, f.backend.tls.conn
	l.sealed = l.sealed[:0]
	for fill < room {
		var n int
		if n, l.sealed = conn.Read(l.sealed, l.plain[fill:room]); n == 0 {
			break
		}
		fill += n
	}
	if len(l.sealed) > 0 && f.in.end != closed {
		if f.in.send(&f.backend, l.sealed) != nil {
			f.in.cutOff()
		}
	}
	return fill
}

// quiet reports whether a connection with TLS may serve another request: no unsolicited data have
// come on it. Sessions and key updates are allowed. It does not use the loop's buffers.
func (l *loop) quiet(s *socket) bool {
	conn := s.tls.conn
	var one [1]byte
	for range quietReads {
		n, out := conn.Read(l.sealed[:0], one[:])
		if l.sealed = out; n > 0 || conn.State() != tlsclient.Connected {
			return false
		}
		if len(out) > 0 {
			if sent, err := s.write(out); err != nil || sent < len(out) {
				return false
			}
		}
		if !s.readable {
			return conn.AtRest()
		}
		if l.spare == nil {
			l.spare = make([]byte, quietLen)
		}
		if n, err := s.read(l.spare); err != nil || s.ended() {
			return false
		} else if n > 0 {
			conn.Feed(l.spare[:n])
		}
	}
	return false
}

// sendCloseNotify tells a backend whose connection is no longer needed that its stream is complete.
func (c *idleConn) sendCloseNotify() {
	if c.tls == nil || c.input != inputOpen {
		return
	}
	c.loop.sealed = c.tls.conn.CloseNotify(c.loop.sealed[:0])
	_, _ = rawSend(c.fd, c.loop.sealed, 0) // without room, the backend sees only the end
}

// errNotReading is the error of a backend that makes TLS answer and does not read.
const errNotReading = unix.ENOBUFS

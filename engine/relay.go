package engine

import (
	"golang.org/x/sys/unix"

	"reprise/tlsconn"
)

// relay moves data both ways, within the turn's budget so that one busy flow
// cannot hold up the others.
func (f *flow) relay() {
	budget := f.loop.o.TurnBudget
	for f.phase == connecting || f.phase == relaying {
		if !f.flush() {
			return
		}
		n := f.pumpIn() + f.pumpOut()
		if n == 0 {
			f.endIfDone()
			return
		}
		f.active = f.loop.tick
		if budget -= n; budget <= 0 {
			f.loop.goOnLater(f)
			return
		}
	}
}

// flush sends what is pending either way.
func (f *flow) flush() bool {
	owed := f.client.pending.len()
	if f.client.flush() != nil && !f.clientGone() {
		return false
	}
	if f.client.pending.len() < owed {
		f.active = f.loop.tick
	}
	if !f.backend.open() || !f.backend.writable {
		return true
	}
	had := f.backend.pending.len()
	if f.phase == connecting && had == 0 {
		return true // a FIN would tell nothing about the connection
	}
	if err := f.backend.flush(); err != nil {
		if f.phase == connecting {
			f.connectFailed()
			return f.phase == connecting
		}
		f.backendStoppedReading(err)
	} else if f.backend.pending.len() < had {
		f.active = f.loop.tick
		if f.phase == connecting {
			f.connected()
		}
	}
	return true
}

// pumpIn moves one read from the client to the backend and returns how many
// bytes it read.
func (f *flow) pumpIn() int {
	l := f.loop
	if !f.client.readable || f.client.eof || !l.hasRoom(&f.backend) {
		return 0
	}
	n, err := f.client.read(l.in)
	switch {
	case err != nil:
		f.clientGone()
	case f.client.eof:
		f.clientEOF()
	case n > 0:
		l.count.cipherIn.Add(uint64(n))
		if f.decrypt(f.tls.Feed(l.out[:0], l.in[:n])) && f.client.pending.len() > l.o.HighWatermark+2*l.o.ReadSize {
			// More than any answer leaves here: the client makes the TLS
			// layer answer (KeyUpdate) and does not read.
			f.close(causeNotReading)
		}
	}
	return n
}

// decrypt passes on all plaintext there is. out holds what the TLS connection
// has to say so far. It reports whether the flow lives.
func (f *flow) decrypt(out []byte) bool {
	l := f.loop
	fill := 0
	for {
		var n int
		if n, out = f.tls.Read(out, l.plain[fill:]); n == 0 {
			break
		}
		if fill += n; len(l.plain)-fill < maxRecord {
			f.toBackend(l.plain[:fill])
			fill = 0
		}
	}
	f.toBackend(l.plain[:fill])
	if !f.toClient(out) {
		return false
	}
	switch f.tls.State() {
	case tlsconn.PeerClosed:
		f.backend.finish = true
	case tlsconn.Failed:
		// The record layer is broken: what the backend has got is no
		// complete message.
		l.count.closed[causeRecord].Inc()
		f.dropBackend(true)
		f.lastWords()
		return false
	}
	return true
}

// clientEOF handles the client's FIN. Without close_notify before it somebody
// on the path may have cut the stream, and the backend is told so.
func (f *flow) clientEOF() {
	f.tls.EOF(nil)
	if f.tls.State() == tlsconn.Failed {
		f.close(causeTruncated)
	}
}

// pumpOut moves one read from the backend to the client.
func (f *flow) pumpOut() int {
	l := f.loop
	if f.phase != relaying || !f.backend.readable || f.backend.eof || !l.hasRoom(&f.client) {
		return 0
	}
	n, err := f.backend.read(l.in)
	switch {
	case err != nil, f.backend.eof && f.backend.broken:
		// The backend broke off. The client gets what there was and a FIN
		// without close_notify, by which it knows that something is missing.
		l.count.closed[causeBackendReset].Inc()
		f.dropBackend(false)
		f.lastWords()
	case f.backend.eof:
		if f.toClient(f.tls.CloseNotify(l.out[:0])) {
			f.client.finish = true
			f.flush()
		}
	case n > 0:
		l.count.plainOut.Add(uint64(n))
		f.toClient(f.tls.Write(l.out[:0], l.in[:n]))
	}
	return n
}

// toClient sends ciphertext. It reports whether the flow lives.
func (f *flow) toClient(out []byte) bool {
	if len(out) == 0 || f.client.shut {
		return true
	}
	f.loop.count.cipherOut.Add(uint64(len(out)))
	if cap(out) > cap(f.loop.out) {
		f.loop.out = out[:0] // grown: keep it
	}
	return f.client.write(out) == nil || f.clientGone()
}

// clientGone handles a client that has reset the connection. If it has said all
// it had to say, that is still owed to the backend, and only the way out is over.
// It reports whether the flow lives.
func (f *flow) clientGone() bool {
	if f.tls.State() != tlsconn.PeerClosed || f.phase == lingering {
		f.close(causeClientGone)
		return false
	}
	f.client.eof, f.client.shut = true, true
	f.client.pending.drop()
	return true
}

// toBackend sends plaintext, or keeps it until the backend is connected.
func (f *flow) toBackend(p []byte) {
	if len(p) == 0 || f.backend.shut {
		return
	}
	f.loop.count.plainIn.Add(uint64(len(p)))
	if f.phase == connecting {
		f.backend.pending.push(p)
	} else if err := f.backend.write(p); err != nil {
		f.backendStoppedReading(err)
	}
}

// backendStoppedReading ends the way in only: an answer sent before the backend
// closed (a 413, say) may still be waiting to be read. Unless err is EPIPE, which
// follows the backend's FIN, the backend broke off: the kernel says so only once,
// and the read that follows would look like a proper end.
func (f *flow) backendStoppedReading(err error) {
	f.backend.shut, f.backend.broken = true, err != unix.EPIPE
	f.backend.pending.drop()
}

// dropBackend lets go of the backend.
func (f *flow) dropBackend(reset bool) {
	if f.backend.open() && reset {
		resetOnClose(f.backend.fd)
	}
	f.loop.unwatch(&f.backend)
	f.backend.shut = true
	f.backend.pending.drop()
}

// endIfDone closes a flow when both directions are complete.
func (f *flow) endIfDone() {
	if f.phase != relaying {
		return
	}
	if !f.backend.eof && f.backend.open() {
		return // to close on what it still sends would reset what it has yet to read
	}
	if f.client.shut && f.backend.shut && (f.client.eof || f.tls.State() == tlsconn.PeerClosed) {
		f.close(causeDone)
	}
}

// hasRoom reports whether more may be read for s: not from the high watermark
// on, until it is below the low one.
func (l *loop) hasRoom(s *side) bool {
	switch n := s.pending.len(); {
	case n >= l.o.HighWatermark:
		s.full = true
	case n <= l.o.LowWatermark:
		s.full = false
	}
	return !s.full
}

package engine

import (
	"golang.org/x/sys/unix"

	"reprise/tlsconn"
)

// relay moves data both ways, within the turn's time and budget so that one busy flow does not hold
// up others.
func (f *flow) relay() {
	if f.link == postponed {
		f.link = unlinked
		f.seek()
	}
	budget := f.loop.o.TurnBudget
	for f.phase == serving {
		if !f.flush() {
			return
		}
		f.creditCall()
		if f.stream != nil {
			f.credit()
		} else if f.http != nil && !f.deferred && f.nextRequests() {
			continue
		}
		n := f.pumpIn() + f.pumpOut()
		if n == 0 {
			if f.mux == nil || f.stream != nil || f.mux.turn() {
				f.endIfDone()
			}
			return
		}
		if f.lives() {
			f.active = f.loop.tick
		}
		if budget -= n; budget <= 0 || f.loop.late() {
			f.loop.goOnLater(f)
			f.flush()
			return
		}
	}
}

// lives reports whether bytes just read count as activity. A head has its time limit, however its
// bytes, or those of its record, trickle in; and data from a backend after the client is gone would
// never end if the backend does not check.
func (f *flow) lives() bool {
	if f.http != nil {
		return f.http.serving()
	}
	if f.mux != nil && f.stream == nil {
		return false // its streams do
	}
	return !f.client.ended() || f.out.end != closed
}

// flush sends pending data both ways.
func (f *flow) flush() bool {
	if f.out.end == closing && !f.finishOut() {
		return false
	}
	owed := f.out.pending.Len()
	if f.out.flush(&f.client) != nil && !f.clientGone() {
		return false
	}
	if f.out.pending.Len() < owed {
		f.active = f.loop.tick
	}
	if f.shared != nil {
		f.flushCall()
		return f.phase == serving
	}
	if f.link == securing {
		f.secure()
		return f.phase == serving
	}
	if !f.backend.open() || !f.backend.writable {
		return true
	}
	if f.backend.tls != nil && f.in.end == closing {
		f.closeNotifyToBackend()
	}
	had := f.in.pending.Len()
	if f.link == connecting && (had == 0 || f.node.TLS() != nil) {
		return true // a FIN would show nothing about the connection
	}
	if err := f.in.flush(&f.backend); err != nil {
		if f.link == connecting {
			f.connectFailed()
			return f.phase == serving
		}
		f.backendStoppedReading(err)
	} else if f.in.pending.Len() < had {
		f.active = f.loop.tick
		if f.link == connecting {
			f.connected()
		}
	}
	return f.phase == serving
}

// pumpIn moves one read from the client to the backend and returns the number of bytes read. The
// end counts as one, since it has consequences too.
func (f *flow) pumpIn() int {
	l := f.loop
	if !f.client.readable || f.client.ended() || !l.hasRoom(&f.in) ||
		f.http != nil && !f.http.WantsInput(l.hasRoom(&f.out)) || f.mux != nil &&
		!f.mux.wantsInput() {
		return 0
	}
	if f.splices(&f.client, &f.in) {
		return f.spliceIn()
	}
	n, err := f.client.read(l.in)
	switch {
	case err != nil:
		f.clientGone()
		return 1
	case f.client.ended():
		f.clientEOF()
		return 1
	case n > 0:
		l.count.Flows.CipherInBytes.Add(uint64(n))
		if f.tls == nil {
			f.fromClient(l.in[:n])
		} else if f.decrypt(f.tls.Feed(l.out, l.in[:n])) &&
			f.out.pending.Len() > l.o.HighWatermark+2*l.o.ReadSize {
			// This exceeds any legitimate answer: the client makes the TLS layer answer (KeyUpdate)
			// and does not read.
			f.end(causeNotReading, atOnce)
		}
	}
	return n
}

// decrypt passes on all available plaintext. out holds the TLS connection's output so far. It
// reports whether the flow is still served.
func (f *flow) decrypt(out []byte) bool {
	l := f.loop
	f.stir()
	fill := 0
	for {
		var n int
		if n, out = f.tls.Read(out, l.plain[fill:]); n == 0 {
			break
		}
		if fill += n; len(l.plain)-fill < maxRecord {
			if !f.gather(out) || !f.fromClient(l.plain[:fill]) {
				return false
			}
			fill, out = 0, l.out
		}
	}
	if !f.gather(out) || !f.fromClient(l.plain[:fill]) {
		return false
	}
	switch f.tls.State() {
	case tlsconn.PeerClosed:
		f.inputDone()
	case tlsconn.Failed:
		// The record layer is broken: the backend has not got a complete message.
		f.end(causeRecord, inWords)
	}
	return f.phase == serving
}

// fromClient passes on the client's data. It reports whether the flow is still served.
func (f *flow) fromClient(p []byte) bool {
	if len(p) > 0 {
		f.loop.count.Flows.PlainInBytes.Add(uint64(len(p)))
		if f.trace != nil {
			f.trace.in += int64(len(p))
		}
		if f.mux != nil {
			f.mux.input(p)
		} else if f.http != nil {
			f.request(p)
		} else {
			f.toBackend(p)
		}
	}
	return f.phase == serving
}

// inputDone passes on the end of the client's stream.
func (f *flow) inputDone() {
	if f.clientDone {
		return
	}
	f.clientDone = true
	if f.client.drained {
		f.client.readable, f.client.input = false, inputEnded
	}
	if f.mux != nil {
		f.mux.inputDone()
	} else if f.http == nil {
		f.in.finish()
	}
}

// clientEOF handles the client's FIN. Without close_notify before it an attacker on the path may
// have cut the stream, and the backend's connection is reset.
func (f *flow) clientEOF() {
	if f.tls == nil {
		f.inputDone()
		return
	}
	f.tls.EOF(nil)
	if f.tls.State() == tlsconn.Failed {
		f.end(causeTruncated, atOnce)
	}
}

// pumpOut moves one read from the backend to the client and counts like pumpIn.
func (f *flow) pumpOut() int {
	l := f.loop
	if f.phase != serving || f.link != linked || !f.backend.readable || f.backend.ended() {
		return 0
	}
	room := f.room()
	if room == 0 {
		return 0
	}
	if f.splices(&f.backend, &f.out) {
		return f.spliceOut()
	}
	if f.backend.tls != nil {
		return f.pumpSecured(room)
	}
	n, err := f.backend.read(l.in[:room])
	switch {
	case err != nil:
		f.backendGone()
		return 1
	case f.backend.ended():
		f.outputDone()
		return 1
	case n > 0:
		f.fromBackend(l.in[:n])
	}
	return n
}

// fromBackend passes on the backend's data.
func (f *flow) fromBackend(p []byte) {
	f.loop.count.Flows.PlainOutBytes.Add(uint64(len(p)))
	if f.http != nil {
		f.respond(p)
	} else {
		f.toClient(p)
	}
}

// backendGone handles a backend that broke off. The client gets the data received so far and a FIN
// without close_notify, which shows that something is missing; without TLS a reset.
func (f *flow) backendGone() {
	if f.http != nil {
		f.backendEnded(true)
		return
	}
	f.end(causeBackendReset, inWords)
}

// outputDone handles the end of the backend's stream.
func (f *flow) outputDone() {
	if f.http != nil {
		f.backendEnded(false)
		return
	}
	if f.closeNotify() {
		f.out.finish()
	}
}

// closeNotify tells a TLS client that no more will come. It reports whether the flow lives.
func (f *flow) closeNotify() bool {
	if f.stream != nil {
		f.sendEnd(nil)
		f.out.end = closed
		return false
	}
	f.stir()
	return f.tls == nil || f.gather(f.tls.CloseNotify(f.loop.out))
}

// toClient sends plaintext. It reports whether the flow lives.
func (f *flow) toClient(p []byte) bool {
	l := f.loop
	if f.stream != nil {
		if len(p) > 0 {
			f.sendData(p)
		}
		return f.phase == serving
	}
	if f.trace != nil {
		f.trace.out += int64(len(p))
	}
	if len(l.out)+len(p) > l.o.ReadSize && !f.settle() {
		return false
	}
	switch {
	case f.tls != nil:
		f.stir()
		return f.gather(f.tls.Write(l.out, p))
	case len(p) >= gatherLen && len(l.out) == 0:
		return f.send(p)
	default:
		return f.gather(append(l.out, p...))
	}
}

// gatherLen is the size from which a separate write costs less than copying into the gathering
// buffer.
const gatherLen = 4 << 10

// gather takes output to be sent unchanged: l.out with more appended. A turn's output for a client
// leaves in one system call, when the turn ends or as much as a read may bring has gathered. It
// reports whether the flow lives.
//
// The buffer is the loop's, so its owner is recorded: that one client gets no output meant for
// another must not depend on each turn having only one flow.
func (f *flow) gather(out []byte) bool {
	l := f.loop
	if l.outOf != f && l.outOf != nil {
		panic("a flow gathers output while another's is not yet sent")
	}
	l.out, l.outOf = out, f
	return len(out) < l.o.ReadSize || f.settle()
}

// settle sends the turn's gathered output. It reports whether the flow lives.
func (f *flow) settle() bool {
	l := f.loop
	if l.outOf != f {
		return f.phase != gone
	}
	out := l.out
	l.dropOut()
	return f.send(out)
}

// dropOut discards a flow's gathered output.
func (l *loop) dropOut() { l.out, l.outOf = l.out[:0], nil }

// send sends bytes unchanged. It reports whether the flow lives.
func (f *flow) send(out []byte) bool {
	if len(out) == 0 || f.phase == gone || f.out.end == closed {
		return f.phase != gone
	}
	f.loop.count.Flows.CipherOutBytes.Add(uint64(len(out)))
	return f.out.send(&f.client, out) == nil || f.clientGone()
}

// clientGone handles a client that has reset the connection. If it had ended its stream before, its
// data are still owed to the backend, and only the way out is over. It reports whether the flow
// lives.
func (f *flow) clientGone() bool {
	if !f.clientDone || f.http != nil || f.phase == lingering {
		f.end(causeClientGone, atOnce)
		return false
	}
	f.client.input = inputEnded
	f.out.cutOff()
	return true
}

// toBackend sends plaintext, or keeps it until the backend is connected. Small pieces of a request
// with a body gather, and are sent when the turn ends.
func (f *flow) toBackend(p []byte) {
	if len(p) == 0 || f.in.end == closed {
		return
	}
	if f.link == linked && f.backend.tls != nil {
		p = f.seal(p)
	}
	gathers := f.http != nil && len(p) < gatherLen && f.in.pending.Len() < f.loop.o.ReadSize &&
		f.http.Exchange().WantsBody()
	if f.link != linked || gathers {
		f.in.pending.Push(p)
	} else if err := f.in.send(&f.backend, p); err != nil {
		f.backendStoppedReading(err)
	}
}

// backendStoppedReading ends only the way in: an answer sent before the backend closed (a 413, say)
// may still be waiting to be read. Unless err is EPIPE, which follows the backend's FIN, the
// backend broke off: the kernel reports that only once, and the read that follows would look like a
// proper end.
func (f *flow) backendStoppedReading(err error) {
	f.in.cutOff()
	if err != unix.EPIPE {
		f.backend.input = inputBroken
	}
}

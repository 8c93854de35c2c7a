package engine

// ending is what a flow's client gets at its end.
type ending uint8

const (
	atOnce ending = iota // nothing more, and a reset if data may be missing
	// pending data and a FIN, without close_notify: an alert, or the sign that data are missing
	inWords
	whole // close_notify, what is pending, and a FIN
)

// end ends the flow: it counts the cause, reports to the access log, and closes or, if the client
// still gets something, continues only to deliver that.
func (f *flow) end(why cause, how ending) {
	if f.stream != nil {
		f.endStream(why)
		return
	}
	if f.phase == gone || f.phase == lingering && how != atOnce {
		return
	}
	if how == whole && f.phase == serving && !f.closeNotify() {
		return // the client is gone; that was the end
	}
	l := f.loop
	if f.mux != nil {
		f.mux.closeStreams(why)
	}
	f.leaveQueue() // before the next line: a flow is in one list
	f.leaveShared()
	l.handshakes.remove(f)
	if f.phase != lingering { // otherwise the reason is known
		f.endTrace(why)
		l.count.Flows.Closed.Inc(why)
		if f.phase == handshaking {
			f.tellFailure(why)
		}
		if f.log != nil {
			f.tellEnd(why)
		}
	}
	if how == atOnce || f.tls == nil && how == inWords { // without TLS only a reset shows it
		f.closeAll(why.cuts())
		return
	}
	if how == inWords {
		if f.backend.open() {
			resetOnClose(f.backend.fd)
		}
		f.unlink()
		f.in.end = closed
	}
	f.linger()
}

// close implements member.
func (f *flow) close(why cause) { f.end(why, atOnce) }

// linger delivers pending data to the client, then a FIN, and waits until the client has read them:
// closing at once would send RST if the client has sent anything unread, which destroys an alert
// under way.
func (f *flow) linger() {
	f.begin(lingering, f.loop.o.LingerTimeout)
	f.client.last = true
	if !f.settle() {
		return
	}
	if f.closeEndsOut() {
		f.end(causeNone, atOnce)
		return
	}
	f.out.finish()
	f.lingerOn()
}

// closeEndsOut leaves the FIN to the close that follows, if the client has sent all and been sent
// all. It reports whether that is so.
func (f *flow) closeEndsOut() bool {
	if !f.client.ended() || f.out.pending.Len() > 0 {
		return false
	}
	f.out.end = closed
	return true
}

func (f *flow) lingerOn() {
	if err := f.out.flush(&f.client); err != nil {
		f.end(causeNone, atOnce)
		return
	}
	if f.mux != nil && f.mux.failed {
		// Reading a flood on would cost more than before it was noticed. It stops when the kernel's
		// buffers are full.
		if f.client.input != inputOpen {
			f.end(causeNone, atOnce)
		}
		return
	}
	for budget := f.loop.o.TurnBudget; f.client.readable; {
		n, err := f.client.read(f.loop.in)
		if err != nil {
			f.end(causeNone, atOnce)
			return
		}
		if budget -= n; budget <= 0 || f.loop.late() {
			f.loop.goOnLater(f)
			return
		}
	}
	if f.client.ended() && f.out.end == closed {
		f.end(causeNone, atOnce)
	}
}

// finishOut sends what the turn has gathered for a client that gets no more, before the FIN. It
// reports whether the flow lives.
func (f *flow) finishOut() bool {
	f.client.last = true
	if !f.settle() {
		return false
	}
	if f.onlyOutIsLeft() && f.closeEndsOut() {
		f.end(causeDone, atOnce)
		return false
	}
	return true
}

// endIfDone ends a flow whose ways are both complete.
func (f *flow) endIfDone() {
	if f.out.end == closed && f.onlyOutIsLeft() {
		f.end(causeDone, atOnce)
	}
}

// onlyOutIsLeft reports whether nothing keeps the flow but the way out.
func (f *flow) onlyOutIsLeft() bool {
	if f.phase != serving || f.http != nil || f.mux != nil && f.stream == nil || f.link.seeks() {
		return false
	}
	if !f.backend.ended() && f.backend.open() {
		return false // to close on what it still sends would reset what it has yet to read
	}
	return f.in.end == closed && (f.client.ended() || f.clientDone)
}

// closeAll closes both sockets and frees the flow's resources.
func (f *flow) closeAll(dataMissing bool) {
	l := f.loop
	f.leaveQueue()
	f.phase = gone
	if l.outOf == f {
		l.dropOut()
	}
	l.count.Flows.Open.Dec()
	f.listener.open.Dec()
	l.o.Clients.Disconnect(f.origin)
	f.signs(false)
	l.reactor.StopTimer(&f.timer)
	if dataMissing {
		// Data in either direction may be incomplete: neither end must take them for complete. An
		// end that has been sent its FIN gets everything: a reset would discard what the kernel
		// still holds for a slow reader.
		if f.client.open() && f.out.end != closed {
			resetOnClose(f.client.fd)
		}
		if f.backend.open() && f.in.end != closed {
			resetOnClose(f.backend.fd)
		}
	}
	l.closeSocket(&f.client)
	f.unlink()
	f.out.pending.Drop()
	f.early.Drop()
	if f.http != nil {
		f.http.drop()
	}
	if f.tls != nil {
		f.tls.Abort()
	}
	l.resumeAccept()
}

// unlink releases the backend, or ends the wait for one.
func (f *flow) unlink() {
	f.leaveQueue()
	f.leaveShared()
	f.loop.closeSocket(&f.backend)
	f.in.drop()
	f.backend, f.link = socket{fd: -1}, unlinked
	if f.node != nil {
		if f.trace != nil {
			f.trace.node = f.node
		}
		f.node.Release()
		f.node = nil
	}
}

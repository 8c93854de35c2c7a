package engine

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/proxy"
	"reprise/tlsconn"
)

// phase is where a flow is in its life.
type phase uint8

const (
	prefixing   phase = iota // expects the client's PROXY header
	handshaking              // TLS with the client
	serving                  // data both ways
	lingering                // the last words to the client are on their way
	closed
)

// A flow is one client connection with the backend connection that serves it. It
// belongs to its loop. It is driven by events only: progress does whatever can be
// done now and returns.
type flow struct {
	loop     *loop
	listener *listener
	phase    phase

	client     side
	clientDone bool           // the client has said all: close_notify, or FIN without TLS
	peer       netip.AddrPort // who the client is, by its PROXY header if it sent one
	tls        tlsconn.Conn   // nil without TLS
	prefix     *proxy.Header  // what the client's proxy told, nil if nothing
	early      queue          // the beginning of such a header

	backend side
	link    link
	tries   uint8         // backends tried
	node    *backend.Node // the backend being tried or used: a place there is ours
	avoid   *backend.Node // the one that failed last

	http  *exchange // nil: bytes are relayed as they are
	trace *trace    // nil if no access log wants to know

	timer    timer
	until    uint64 // tick at which the phase or the connecting must be over
	lookup   uint64 // tick at which a session look-up is given up
	active   uint64 // tick at which data last moved
	began    uint64 // tick at which the phase began
	stirred  uint64 // tick at which TLS last had work, 0 while it rests
	deferred bool   // is in loop.again

	prev, next *flow // in the loop's list of handshakes, or in its listener's of those waiting
}

// start makes a flow of an accepted connection.
func (l *loop) start(ln *listener, fd int, peer netip.AddrPort) {
	f := &flow{loop: l, listener: ln, peer: peer}
	f.client.fd, f.backend.fd = fd, -1
	// Nothing has been sent, so there is room; epoll will say the same, later.
	f.client.writable = true
	f.timer.owner = f
	if ln.tls != nil {
		f.tls = ln.tls.NewConn(f)
	}
	if l.o.Access != nil {
		f.trace = &trace{start: l.now}
	}
	l.count.accepted.Inc()
	l.count.open.Inc()
	ln.accepted.Inc()
	ln.open.Inc()
	if err := l.watch(fd, f); err != nil {
		f.close(causeSystem)
		return
	}
	f.begin(handshaking, l.o.HandshakeTimeout)
	switch {
	case ln.AcceptProxy != nil:
		f.phase = prefixing
	case f.tls == nil:
		f.opened()
		f.progress()
		return
	}
	l.handshakes.push(f)
	if l.o.DeferAccept > 0 {
		f.client.readable = true // the kernel has waited for data
		f.progress()
	} else {
		f.arm()
	}
}

// Wake implements tlsconn.Waker.
func (f *flow) Wake() { f.loop.poller.post(resumeFlow, f) }

func resumeFlow(arg any) error {
	f := arg.(*flow)
	l := f.loop
	l.enter()
	defer l.leave(f)
	if f.phase == handshaking {
		f.handshakeStep(f.tls.Resume(l.out[:0]))
		f.progress()
	}
	return nil
}

// onEvent notes what epoll said and goes on.
func (f *flow) onEvent(fd int, e events) {
	if fd == f.client.fd {
		f.client.note(e)
	} else {
		f.backend.note(e)
		if f.link == connecting {
			f.connectEvent(e)
		}
	}
	if !f.loop.stepLater(f) {
		f.progress()
	}
}

// progress does all that can be done now.
func (f *flow) progress() {
	if f.phase == prefixing {
		f.readPrefix()
	}
	if f.phase == handshaking {
		f.handshake()
	}
	switch f.phase {
	case serving:
		f.relay()
	case lingering:
		f.linger()
	}
	f.arm()
}

// handshake feeds the TLS handshake while there is input.
func (f *flow) handshake() {
	l := f.loop
	if err := f.client.flush(); err != nil {
		f.close(causeClientGone)
		return
	}
	for f.phase == handshaking {
		switch state := f.tls.State(); {
		case state.Parked() && f.client.ended && f.gaveUp():
			f.close(causeClientGone)
			return
		case state != tlsconn.ExpectHandshakeBytes, !f.client.readable:
			return
		}
		n, err := f.client.read(l.in)
		switch {
		case err != nil:
			f.close(causeClientGone)
		case f.client.eof:
			f.handshakeStep(f.tls.EOF(l.out[:0]))
		case n > 0:
			l.count.cipherIn.Add(uint64(n))
			f.handshakeStep(f.tls.Feed(l.out[:0], l.in[:n]))
		}
	}
}

// gaveUp reports whether the client of a parked handshake is gone. What is being
// done for it, such as an RSA signature, would be done for nothing, and at the cost
// of clients that are there. epoll's word may have been about the descriptor's
// predecessor, so the socket is asked.
func (f *flow) gaveUp() bool {
	if f.tls.State() == tlsconn.AwaitVerify {
		// All that the client has to say may be here already, its request and its
		// FIN included: then it still waits for an answer.
		return hungUp(f.client.fd, hangup)
	}
	return hungUp(f.client.fd, hangup|unix.EPOLLRDHUP)
}

// handshakeStep acts on what a step of the handshake led to.
func (f *flow) handshakeStep(out []byte) {
	l := f.loop
	l.stepped = true
	if !f.send(out) {
		return
	}
	switch f.tls.State() {
	case tlsconn.ExpectHandshakeBytes, tlsconn.AwaitSignature, tlsconn.AwaitVerify:
	case tlsconn.AwaitSession:
		f.lookup = l.tick + ticks(l.o.LookupTimeout)
	case tlsconn.Failed:
		l.handshakes.remove(f)
		l.count.closed[causeHandshake].Inc()
		f.endTrace(causeHandshake)
		f.lastWords()
	default:
		l.handshakes.remove(f)
		l.count.handshake.Observe(l.now.Sub(l.timeOf(f.began)))
		f.opened()
		// Data that came with the client's last flight waits in l.in.
		if f.decrypt(l.out[:0]) && f.http == nil {
			f.seek()
		}
	}
}

// opened begins to serve the client.
func (f *flow) opened() {
	l, ln := f.loop, f.listener
	if f.trace != nil {
		f.trace.handshake = l.now.Sub(f.trace.start)
	}
	f.phase, f.active = serving, l.tick
	f.stir()
	if ln.HTTP != nil {
		f.http = f.newExchange()
		return
	}
	if ln.SendProxy > 0 {
		f.backend.pending.push(f.proxyHeader())
	}
	if f.tls == nil {
		f.seek()
	}
}

// lastWords delivers what is pending to the client, then a FIN, and waits for
// the client to have read it: closing at once would send RST if the client has
// sent anything unread, and that destroys an alert under way.
func (f *flow) lastWords() {
	f.begin(lingering, f.loop.o.LingerTimeout)
	f.client.finish = true
	f.linger()
}

func (f *flow) linger() {
	if err := f.client.flush(); err != nil {
		f.close(causeNone)
		return
	}
	for budget := f.loop.o.TurnBudget; f.client.readable; {
		n, err := f.client.read(f.loop.in)
		if err != nil {
			f.close(causeNone)
			return
		}
		if budget -= n; budget <= 0 {
			f.loop.goOnLater(f)
			return
		}
	}
	if f.client.eof && f.client.shut {
		f.close(causeNone)
	}
}

// begin enters a phase with a deadline.
func (f *flow) begin(p phase, limit duration) {
	f.phase, f.began, f.until = p, f.loop.tick, f.loop.tick+ticks(limit)
}

// restAfter is how long a connection must have been idle to be worth less memory:
// the next record then costs a microsecond more.
const restAfter = uint64(time.Second / tick)

// stir notes that TLS has work.
func (f *flow) stir() {
	if f.tls != nil {
		f.stirred = f.loop.tick
	}
}

// deadline is the tick at which onTimer has something to do.
func (f *flow) deadline() uint64 {
	if f.stirred != 0 {
		return min(f.stirred+restAfter, f.patience())
	}
	return f.patience()
}

// patience is the tick at which something has taken too long.
func (f *flow) patience() uint64 {
	switch {
	case f.phase == handshaking && f.tls.State() == tlsconn.AwaitSession:
		return min(f.until, f.lookup)
	case f.phase != serving, f.link == connecting, f.link == queued:
		return f.until
	case f.http != nil:
		return f.http.deadline(f)
	case f.client.shut && f.backend.pending.len() == 0:
		// The answer is complete and nothing is owed to the backend; a
		// client that only fails to say goodbye need not keep two
		// descriptors for long.
		return f.active + ticks(f.loop.o.LingerTimeout)
	default:
		return f.active + ticks(f.listener.IdleTimeout)
	}
}

// arm sets the timer if it would come too late. One that comes too early costs
// a look, which is cheaper than moving it whenever data moves.
func (f *flow) arm() {
	if f.phase == closed {
		return
	}
	if d := f.deadline(); !f.timer.set || d < f.timer.deadline {
		f.loop.wheel.set(&f.timer, d)
	}
}

// onTimer acts on a deadline that may have come.
func (f *flow) onTimer() {
	l := f.loop
	if f.stirred != 0 && f.stirred+restAfter <= l.tick {
		f.stirred = 0
		f.tls.Rest()
	}
	if f.deadline() > l.tick {
		f.arm()
		return
	}
	switch f.phase {
	case handshaking:
		if f.until > l.tick {
			f.handshakeStep(f.tls.GiveUp(l.out[:0]))
			f.progress()
			return
		}
		f.close(causeHandshakeTimeout)
	case prefixing:
		f.close(causeHandshakeTimeout)
	case serving:
		f.servingTimer()
	default:
		f.close(causeNone)
	}
}

// servingTimer is onTimer while serving.
func (f *flow) servingTimer() {
	switch f.link {
	case connecting:
		f.connectFailed()
		f.progress()
		return
	case queued:
		f.leaveQueue()
		f.noBackend()
		f.progress()
		return
	}
	if client, backend := f.client.drains(), f.backend.drains(); client || backend {
		f.active = f.loop.tick
	} else if f.http != nil {
		f.http.timeout(f)
	} else {
		f.close(causeIdle)
	}
	f.progress()
}

// close ends the flow at once and frees what it holds.
func (f *flow) close(why cause) {
	l := f.loop
	if f.phase == closed {
		return
	}
	f.leaveQueue()
	l.handshakes.remove(f)
	if f.phase != lingering {
		f.endTrace(why)
		l.count.closed[why].Inc()
	}
	f.phase = closed
	l.count.open.Dec()
	f.listener.open.Dec()
	l.wheel.stop(&f.timer)
	if why.cuts() {
		// What came in may be incomplete, and so may what went out: neither
		// end must take it for whole. One that has been sent its FIN has it
		// all, or will: a reset would take back what the kernel still holds
		// for a slow reader.
		for _, s := range []*side{&f.client, &f.backend} {
			if s.open() && !s.shut {
				resetOnClose(s.fd)
			}
		}
	}
	l.unwatch(&f.client)
	f.unlink()
	f.client.pending.drop()
	f.early.drop()
	if f.http != nil {
		f.http.drop()
	}
	if f.tls != nil {
		f.tls.Abort()
	}
	l.resumeAccept()
}

// unlink lets go of the backend, or of the wait for one.
func (f *flow) unlink() {
	f.leaveQueue()
	f.loop.unwatch(&f.backend)
	f.backend.pending.drop()
	f.backend, f.link = side{fd: -1}, unlinked
	if f.node != nil {
		if f.trace != nil {
			f.trace.node = f.node
		}
		f.node.Release()
		f.node = nil
	}
}

package engine

import (
	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/tlsconn"
)

// phase is where a flow is in its life.
type phase uint8

const (
	handshaking phase = iota // TLS with the client
	connecting               // to a backend
	relaying                 // data both ways
	lingering                // the last words to the client are on their way
	closed
)

// A flow is one client connection with its backend connection. It belongs to
// its loop. It is driven by events only: progress does whatever can be done now
// and returns.
type flow struct {
	loop     *loop
	listener *listener
	phase    phase
	tries    uint8         // backends tried
	node     *backend.Node // the backend being tried or used
	tls      *tlsconn.Conn

	client, backend side

	timer  timer
	until  uint64 // tick at which the phase must be over, for phases with a deadline
	lookup uint64 // tick at which a session look-up is given up
	active uint64 // tick at which data last moved
	began  uint64 // tick at which the phase began

	queued     bool  // is in loop.again
	prev, next *flow // the loop's list of handshakes, oldest first
}

// start makes a flow of an accepted connection.
func (l *loop) start(ln *listener, fd int) {
	f := &flow{loop: l, listener: ln}
	f.client.fd, f.backend.fd = fd, -1
	// Nothing has been sent, so there is room; epoll will say the same, later.
	f.client.writable = true
	f.timer.flow = f
	f.tls = ln.tls.NewConn(f)
	l.count.accepted.Inc()
	l.count.open.Inc()
	if err := l.watch(fd, f); err != nil {
		f.close(causeSystem)
		return
	}
	f.begin(handshaking, l.o.HandshakeTimeout)
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
		if f.phase == connecting {
			f.connectEvent(e)
		}
	}
	f.progress()
}

// progress does all that can be done now.
func (f *flow) progress() {
	switch f.phase {
	case handshaking:
		f.handshake()
	case connecting, relaying:
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
	for f.phase == handshaking && f.client.readable && f.tls.State() == tlsconn.ExpectHandshakeBytes {
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
	if f.phase == connecting {
		f.relay()
	}
}

// handshakeStep acts on what a step of the handshake led to.
func (f *flow) handshakeStep(out []byte) {
	l := f.loop
	if !f.toClient(out) {
		return
	}
	switch f.tls.State() {
	case tlsconn.ExpectHandshakeBytes, tlsconn.AwaitSignature:
	case tlsconn.AwaitSession:
		f.lookup = l.tick + ticks(l.o.LookupTimeout)
	case tlsconn.Failed:
		l.handshakes.remove(f)
		l.count.closed[causeHandshake].Inc()
		f.lastWords()
	default:
		l.handshakes.remove(f)
		l.count.handshake.Observe(l.now.Sub(l.timeOf(f.began)))
		// Data that came with the client's last flight waits in l.in.
		f.phase = connecting
		if f.decrypt(l.out[:0]) {
			f.connect()
		}
	}
}

// connect starts a connection to the next backend.
func (f *flow) connect() {
	l, ln := f.loop, f.listener
	for int(f.tries) <= l.o.MaxRetries {
		f.tries++
		f.node = ln.Backends.Pick(&ln.cursor, l.now)
		fd, err := connect(f.node.Network, ln.sockaddrs[f.node], l.o.NoDelay)
		if err == nil {
			f.backend.fd = fd
			if err = l.watch(fd, f); err == nil {
				f.begin(connecting, l.o.ConnectTimeout)
				// On this machine the connection may stand already;
				// if not, the write says so.
				f.backend.writable = f.backend.pending.len() > 0
				return
			}
			f.backend.fd = -1
			unix.Close(fd)
		}
		if err == unix.EMFILE || err == unix.ENFILE {
			f.close(causeSystem)
			return
		}
		f.node.Failed(l.now)
	}
	f.close(causeNoBackend)
}

// connectEvent learns how a connection attempt ended.
func (f *flow) connectEvent(e events) {
	if !e.failed() && !e.writable() {
		return
	}
	// The event may belong to the descriptor's predecessor, so ask the socket.
	switch connected, err := connectResult(f.backend.fd); {
	case err != nil:
		f.connectFailed()
	case connected:
		f.connected()
	}
}

func (f *flow) connected() {
	f.node.Connected()
	f.loop.count.connect.Observe(f.loop.now.Sub(f.loop.timeOf(f.began)))
	f.phase, f.active = relaying, f.loop.tick
}

// connectFailed turns to the next backend. Nothing has been sent to the one
// that failed, so the client need not notice.
func (f *flow) connectFailed() {
	f.node.Failed(f.loop.now)
	f.loop.unwatch(&f.backend)
	f.backend.ended = false
	f.connect()
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

// deadline is the tick at which onTimer has something to do.
func (f *flow) deadline() uint64 {
	o := &f.loop.o
	switch f.phase {
	case handshaking:
		if f.tls.State() == tlsconn.AwaitSession {
			return min(f.until, f.lookup)
		}
		return f.until
	case relaying:
		if f.client.shut && f.backend.pending.len() == 0 {
			// The answer is complete and nothing is owed to the backend;
			// a client that only fails to say goodbye need not keep two
			// descriptors for long.
			return f.active + ticks(o.LingerTimeout)
		}
		return f.active + ticks(o.IdleTimeout)
	default:
		return f.until
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
	case connecting:
		f.connectFailed()
		f.progress()
	case relaying:
		if client, backend := f.client.drains(), f.backend.drains(); client || backend {
			f.active = l.tick
			f.arm()
			return
		}
		f.close(causeIdle)
	default:
		f.close(causeNone)
	}
}

// close ends the flow at once and frees what it holds.
func (f *flow) close(why cause) {
	l := f.loop
	if f.phase == closed {
		return
	}
	l.handshakes.remove(f)
	f.phase = closed
	l.count.closed[why].Inc()
	l.count.open.Dec()
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
	l.unwatch(&f.backend)
	f.client.pending.drop()
	f.backend.pending.drop()
	f.tls.Abort()
	l.resumeAccept()
}

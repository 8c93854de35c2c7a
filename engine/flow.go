package engine

import (
	"log/slog"
	"net/netip"

	"reprise/backend"
	"reprise/backend/http2"
	"reprise/backend/proxy"
	"reprise/internal/clientlimit"
	"reprise/internal/queue"
	"reprise/internal/reactor"
	"reprise/tlsconn"
)

// phase is the phase of a flow's life.
type phase uint8

const (
	prefixing   phase = iota // expects the client's PROXY header
	peeking                  // looks for a server name in relayed bytes
	handshaking              // TLS with the client
	serving                  // data both ways
	lingering                // remaining data are on their way to the client
	gone
)

// A flow is one client connection with the backend connection that serves it. It belongs to its
// loop. Only events drive it: progress does all that can be done now and returns.
type flow struct {
	loop     *loop
	listener *listener
	settings *settings // the listener's, when the connection began, or its last request
	phase    phase

	client, backend socket
	in, out         way // to the backend, to the client

	clientDone bool            // the client has ended its stream: close_notify, or FIN without TLS
	peer       netip.AddrPort  // the client's address, by its PROXY header if it sent one
	origin     clientlimit.Key // the client that is charged, 0 if there is none
	tls        tlsconn.Conn    // nil without TLS
	prefix     *proxy.Header   // the PROXY header, nil if there is none
	early      queue.Queue     // the beginning of a PROXY header, or of peeked bytes
	peek       Peeker          // while peeking

	route  *route // to the pool of the connection or request; nil before it is chosen
	link   link
	tries  uint8         // backends tried
	header int           // bytes of the PROXY header that begin what is pending for the backend
	noTLS  bool          // the last of them had no TLS
	node   *backend.Node // the backend being tried or used: the flow has a slot of it
	avoid  *backend.Node // the one that failed last

	http   *requests     // nil: bytes are relayed unchanged, or mux has requests
	mux    *mux          // of a client that speaks HTTP/2, and of its streams
	stream *http2.Stream // the stream that this flow serves, nil for a connection's
	shared *sharedConn   // to an h2c backend, nil if there is none or backend is in use
	call   *http2.Call   // on it
	trace  *trace        // nil without an access log
	log    *slog.Logger  // nil if the log does not follow the connection

	timer    reactor.Timer
	until    uint64 // tick of the phase's or the connection attempt's deadline
	lookup   uint64 // tick at which a session look-up is given up
	active   uint64 // tick at which data last moved
	began    uint64 // tick at which the phase began
	stirred  uint64 // tick at which TLS last had work, 0 while it rests
	deferred bool   // is in one of the loop's queues
	heard    bool   // the client has sent something, while handshaking
	since    uint64 // tick at which it was queued

	admission admission // of a full handshake
	signing   bool      // a key worker makes a signature

	prev, next *flow // in the loop's list of handshakes, or in a list of waiting flows
}

// start makes a flow of an accepted connection.
func (l *loop) start(ln *listener, fd int, peer netip.AddrPort, client clientlimit.Key) {
	f := &flow{loop: l, listener: ln, settings: ln.settings, peer: peer, origin: client}
	f.client.fd, f.backend.fd = fd, -1
	// Nothing has been sent, so there is room; epoll will report it later.
	f.client.writable = true
	f.timer.Owner = f
	if ln.tls != nil {
		f.tls = ln.tls.NewConn(f)
	}
	if l.o.Access != nil {
		f.trace = &trace{start: l.now}
	}
	l.count.Flows.Accepted.Inc()
	l.count.Flows.Open.Inc()
	ln.accepted.Inc()
	ln.open.Inc()
	f.follow()
	if err := l.reactor.Watch(fd, f); err != nil {
		f.end(causeSystem, atOnce)
		return
	}
	switch {
	case ln.AcceptProxy != nil:
		f.begin(prefixing, l.o.HandshakeTimeout)
	case f.tls != nil:
		f.begin(handshaking, l.o.HandshakeTimeout)
	case ln.Peek != nil:
		f.beginPeeking()
	default:
		f.opened("")
		f.progress()
		return
	}
	l.handshakes.push(f)
	if l.o.DeferAccept > 0 {
		f.client.readable = true // the kernel has waited for data
		l.goOnLater(f)
	}
	f.arm()
}

// Wake implements tlsconn.Waker.
func (f *flow) Wake() { f.loop.reactor.Post(resumeFlow, f) }

func resumeFlow(arg any) {
	if f := arg.(*flow); f.phase == handshaking {
		f.loop.goOnLater(f)
	}
}

// OnEvent records the event and continues, unless the flow's turn comes later anyway.
func (f *flow) OnEvent(fd int, e reactor.Events) {
	if fd == f.client.fd {
		f.client.note(e)
	} else {
		f.backend.note(e)
		if f.link == connecting {
			f.connectEvent(e)
		}
	}
	switch {
	case f.phase == handshaking:
		f.loop.goOnLater(f)
	case !f.deferred:
		f.progress()
	default:
		f.settle() // the result of a failed connection
	}
}

// progress does all that can be done now.
func (f *flow) progress() {
	if f.phase == prefixing {
		f.readPrefix()
	}
	if f.phase == peeking {
		f.readPeek()
	}
	if f.phase == handshaking {
		f.handshake()
	}
	switch f.phase {
	case serving:
		f.relay()
	case lingering:
		f.lingerOn()
	}
	f.settle()
	f.arm()
}

// opened begins to serve a client; the pool of a relayed connection is chosen by the server name.
func (f *flow) opened(serverName string) {
	l, ln := f.loop, f.settings
	if f.trace != nil {
		f.trace.handshake = l.now.Sub(f.trace.start)
	}
	f.phase, f.active = serving, l.tick
	f.stir()
	switch {
	case f.tls != nil && f.tls.Info().ALPN == tlsconn.ChallengeProtocol:
		f.end(causeDone, whole) // RFC 8737, Section 3: the handshake is the whole connection
		return
	case ln.HTTP != nil && f.tls != nil && f.tls.Info().ALPN == "h2":
		f.mux = f.newMux()
		return
	case ln.HTTP != nil:
		f.serveRequests()
		return
	}
	if !f.choosePool(serverName, nil, nil) {
		f.end(causeNoPool, whole)
		return
	}
	if f.route.pool.Options().SendProxy > 0 {
		f.in.pending.Push(f.proxyHeader())
		f.header = f.in.pending.Len()
	}
	if f.tls == nil {
		f.seek()
	}
}

package engine

import (
	"encoding/binary"
	"errors"
	"strings"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// stage is how far the request of an exchange is.
type stage uint8

const (
	awaiting    stage = iota // a head
	dispatching              // the head is known, a backend is being found
	sending                  // the body goes to the backend
	sent                     // all of it has
)

// An exchange is the HTTP side of a flow: the request being served with its
// response and, between two, the wait for the next. A head is read whole; bodies
// pass through. Between two requests it holds no buffer.
type exchange struct {
	in      queue  // from the client, not looked at yet: part of a head, or what follows the request
	seen    int    // how much of in holds no end of a head
	taking  bool   // take is at work
	stalled bool   // what is in in waits until the client reads its answers, or for the flow's next turn
	served  int    // requests of this connection
	began   uint64 // tick of a request's first byte, 0 if there is none yet

	trusted bool          // the client's X-Forwarded-* count
	cert    *uwsgi.Client // its certificate, if it showed one
	facts   *http1.Facts  // what rules may say of it; nil without rules

	current // the request being served; zero while one is awaited
}

// current is a request with its response.
type current struct {
	stage      stage
	head       queue // needed again for another backend and for the access log
	minor      int   // of the client's HTTP/1.x
	keepAlive  bool  // the client would like to go on
	isHead     bool
	idempotent bool
	upgrade    bool
	personal   bool // it authenticates the backend's connection, which must serve nobody else

	framing http1.Framing
	body    http1.Body
	bodyLen int64  // of what has come of it
	holding bool   // it is chunked, and the backend must know its length first
	held    queue  // what has come of such a one
	trailer []byte // of a stream

	reused  bool // the backend's connection has served others
	retried bool

	out          queue  // from the backend: part of a head
	outSeen      int    // how much of out holds no end of a head
	first        uint64 // tick of the response's first byte
	status       int
	answering    bool // the response's head has gone to the client
	answer       http1.Body
	answerAs     http1.Framing // how the client gets it
	backendStays bool          // the backend's connection may serve another request
	close        bool          // the client's connection ends with this exchange
	why          cause         // why it was not served, for the access log
}

func newExchange(f *flow) *exchange {
	o := f.listener.HTTP
	h := &exchange{trusted: trusted(o.Trusted, f.peer.Addr())}
	if f.tls != nil {
		if cert := f.tls.ClientCertificate(); cert != nil {
			h.cert = uwsgi.NewClient(cert, o.ExportPEM)
		}
	}
	if o.RequestRules != nil || o.ResponseRules != nil {
		h.facts = f.facts(h.cert)
	}
	return h
}

// facts is what the rules may say of the connection.
func (f *flow) facts(cert *uwsgi.Client) *http1.Facts {
	facts := &http1.Facts{Client: f.peer, ID: f.loop.connectionID()}
	if f.tls != nil {
		info := f.tls.Info()
		facts.Protocol, facts.Cipher, facts.ServerName, facts.Resumed = info.Protocol(), info.Cipher(), info.ServerName, info.Resumed()
	}
	if cert != nil {
		cert.Tell(facts)
	}
	return facts
}

// connectionID is random for the loop, then counted.
func (l *loop) connectionID() (id [12]byte) {
	l.connections++
	copy(id[:], l.uniqueID[:8])
	binary.BigEndian.PutUint32(id[8:], uint32(l.connections))
	return id
}

// defaultHost is the host that a client means which names none.
func (f *flow) defaultHost() string {
	if f.tls != nil {
		if name := f.tls.Info().ServerName; name != "" {
			return name
		}
	}
	return f.listener.HTTP.DefaultHost
}

// wantsInput reports whether more of the client's bytes have a use. One read may
// run ahead of the request being served, so that the client's end is noticed.
func (h *exchange) wantsInput() bool {
	return h.in.len() == 0 || !h.stalled && (h.stage == awaiting || h.stage == sending)
}

// goOn takes up what has waited for the client to read, if it has read enough. It
// reports whether that was so.
func (h *exchange) goOn(f *flow) bool {
	if !h.stalled || f.deferred || !f.loop.hasRoom(&f.out) {
		return false
	}
	h.stalled = false
	h.advance(f)
	return true
}

// input takes what the client says.
func (h *exchange) input(f *flow, p []byte) {
	if h.in.len() > 0 {
		h.in.push(p)
		h.advance(f)
		return
	}
	if n := h.take(f, p); f.phase == serving && f.http == h {
		h.in.push(p[n:])
	}
}

// advance goes on with what has been kept.
func (h *exchange) advance(f *flow) {
	if h.taking {
		return // it goes on by itself
	}
	if n := h.take(f, h.in.bytes()); f.phase == serving && f.http == h {
		h.in.pop(n)
	}
}

// take uses as much of p as it can and returns how much that was.
func (h *exchange) take(f *flow, p []byte) (used int) {
	h.taking = true
	defer func() { h.taking = false }()
	for f.phase == serving && f.http == h && !h.stalled {
		var n int
		if h.stalled = used > 0 && h.late(f); h.stalled {
			break
		}
		switch h.stage {
		case awaiting:
			n = h.takeHead(f, p[used:])
		case sending:
			n = h.takeBody(f, p[used:])
		}
		if n == 0 {
			break
		}
		used += n
	}
	return used
}

// late reports whether the rest waits for the flow's next turn.
func (h *exchange) late(f *flow) bool {
	if !f.loop.late() {
		return false
	}
	f.loop.goOnLater(f)
	return true
}

// takeHead takes a head if it is complete.
func (h *exchange) takeHead(f *flow, p []byte) int {
	if len(p) == 0 {
		if f.clientDone || f.loop.draining {
			f.end(causeDone, whole)
		}
		return 0
	}
	l, o := f.loop, f.listener.HTTP
	if h.stalled = !l.hasRoom(&f.out); h.stalled {
		return 0 // who asks without reading would fill the memory with answers
	}
	if h.began == 0 {
		h.began = l.tick
	}
	n := http1.HeadLen(p, h.seen)
	if n == 0 {
		if err := o.Limits.Partial(p, h.seen); err != nil {
			h.begin(f, p)
			f.refuse(err)
		} else if h.seen = len(p); f.clientDone {
			// A reset would take back the answers to what came before.
			f.end(causeTruncated, whole)
		}
		return 0
	}
	h.seen = 0
	h.takeWhole(f, p[:n])
	return n
}

// takeWhole takes a head that is complete.
func (h *exchange) takeWhole(f *flow, head []byte) {
	l, o := f.loop, f.listener.HTTP
	h.begin(f, head)
	r := &l.request
	if err := r.Parse(h.head.bytes(), &o.Limits); err != nil {
		l.parsed = nil
		f.refuse(err)
		return
	}
	l.parsed = f
	h.minor, h.keepAlive = r.Minor, r.KeepAlive
	h.isHead, h.idempotent, h.upgrade = string(r.Method) == "HEAD", r.Idempotent(), r.Upgrade != nil
	h.framing, h.personal = r.Framing, authenticatesConnection(r)
	h.body.Start(r.Framing, r.Length, &o.Limits)
	h.body.Without(o.RequestRules)
	switch {
	case f.tls != nil && !f.listener.tls.ClientPolicies().Admits(f.tls.Info().ClientPolicy, r.HostName()):
		f.misdirect()
	case o.MaxBody > 0 && r.Length > o.MaxBody:
		f.reply(413)
	case o.RedirectPort > 0:
		f.redirect(r)
	case !f.chooseFor(r):
		h.why = causeNoPool
		f.reply(404)
	default:
		f.seek()
	}
}

// chooseFor finds the pool of a request. One without Host is for the host that its
// backend is told.
func (f *flow) chooseFor(r *http1.Request) bool {
	host := r.Host
	if len(host) == 0 {
		host = []byte(f.defaultHost())
	}
	return f.choosePool(f.serverName(), host, r.Path)
}

// misdirect answers a request for a name under which clients have to show something
// other than the handshake of this connection asked for: certificates are asked for
// by the name in the handshake, so another name in the request would go round them.
// The client may ask again on a connection of its own (RFC 9110, Section 15.5.20).
func (f *flow) misdirect() {
	h, info := f.http, f.tls.Info()
	f.loop.count.http.refused.inc("misdirected")
	h.why = causeMisdirected
	// No request can succeed here any more if what was met has been done away with.
	h.close = f.listener.tls.ClientPolicies().Renewed(info.ClientPolicy, info.ServerName)
	if h.close && f.stream != nil {
		f.mux.goodbye()
	}
	f.reply(421)
}

// authenticatesConnection reports whether a request may log the connection in, and
// not only itself, as Microsoft's schemes do: whoever came next on it would be
// served under that name.
func authenticatesConnection(r *http1.Request) bool {
	for i := range r.Fields {
		field := &r.Fields[i]
		if !field.Is("Authorization") {
			continue
		}
		scheme, _, _ := strings.Cut(string(field.Value), " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}

// begin starts an exchange with its head.
func (h *exchange) begin(f *flow, head []byte) {
	h.served++
	h.current = current{stage: dispatching, minor: 1}
	h.head.push(head)
	f.tries, f.avoid = 0, nil
	f.loop.count.http.requests.Inc()
}

// parse returns the request whose head is kept.
func (h *exchange) parse(f *flow) *http1.Request {
	l := f.loop
	if l.parsed != f {
		// What was accepted once is accepted again.
		_ = l.request.Parse(h.head.bytes(), &f.listener.HTTP.Limits)
		l.parsed = f
	}
	return &l.request
}

// linked sends the request's head to the backend, whose connection is ready.
func (h *exchange) linked(f *flow) {
	l, ln, sendProxy := f.loop, f.listener, f.route.pool.Options().SendProxy > 0
	r := h.parse(f)
	isUWSGI := f.node.Protocol() == backend.UWSGI
	if h.holding = isUWSGI && r.Framing == http1.Chunked && !ln.HTTP.ChunkedInput; h.holding {
		h.go100(f, r)
		h.startBody(f)
		return
	}
	if isUWSGI {
		h.go100(f, r)
		length := r.Length
		if r.Framing != http1.ByLength {
			length = -1
		}
		if !h.sendVars(f, r, length) {
			return
		}
	} else {
		if !h.reused && sendProxy {
			f.in.pending.push(f.proxyHeader())
		}
		l.forward = http1.Forward{
			Client: f.peer, Secure: f.tls != nil, ListenPort: ln.port, Trusted: h.trusted,
			KeepAlive: ln.HTTP.BackendIdle > 0 && !sendProxy, Host: f.defaultHost(),
			Rules: ln.HTTP.RequestRules, Facts: h.facts, Nth: uint32(h.served),
		}
		l.message = http1.AppendRequest(l.message[:0], r, &l.forward)
		f.in.pending.push(l.message)
	}
	h.startBody(f)
}

// startBody goes on with the body, of which some may have come already.
func (h *exchange) startBody(f *flow) {
	h.stage = sending
	if h.body.Done() {
		h.bodyDone(f)
		return
	}
	if f.stream != nil {
		p := h.in
		h.in = queue{}
		h.passStream(f, p.bytes())
		p.drop()
		return
	}
	h.advance(f)
}

// go100 tells a client that waits for it to send its body: a uwsgi backend
// cannot.
func (h *exchange) go100(f *flow, r *http1.Request) {
	if r.Expect100 {
		r.Expect100 = false
		if f.stream != nil {
			f.sendInterim(100)
			return
		}
		f.toClient([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}

// sendVars sends a request as a uwsgi packet. It reports whether that was
// possible.
func (h *exchange) sendVars(f *flow, r *http1.Request, length int64) bool {
	l, o := f.loop, f.listener.HTTP
	l.vars = uwsgi.Vars{
		ServerName: o.ServerName, Host: f.defaultHost(), ServerPort: f.listener.port, Remote: f.peer, Trusted: h.trusted, Length: length,
		Rules: o.RequestRules, Facts: h.facts, Nth: uint32(h.served),
	}
	if f.tls != nil {
		info := f.tls.Info()
		l.tlsVars = uwsgi.TLS{
			Protocol: info.Protocol(), Cipher: info.Cipher(), ServerName: info.ServerName,
			Resumed: info.Resumed(), Client: h.cert,
		}
		l.vars.TLS = &l.tlsVars
	}
	var err error
	if l.message, err = uwsgi.AppendRequest(l.message[:0], r, &l.vars); err != nil {
		f.refuse(err)
		return false
	}
	f.in.pending.push(l.message)
	return true
}

// takeBody takes what p has of the body.
func (h *exchange) takeBody(f *flow, p []byte) (used int) {
	for pieces := 1; used < len(p) && h.stage == sending && f.phase == serving; pieces++ {
		if h.stalled = pieces%lookEvery == 0 && h.late(f); h.stalled {
			return used
		}
		data, n, err := h.body.Next(p[used:])
		if err != nil {
			f.refuse(err)
			return used
		}
		used += n
		if len(data) > 0 {
			h.passBody(f, data)
		}
		if h.body.Done() {
			h.bodyDone(f)
		} else if n == 0 {
			break
		}
	}
	if used == 0 && f.clientDone {
		f.end(causeTruncated, atOnce)
	}
	return used
}

// passBody passes a piece of the body on, as the backend is to get it.
func (h *exchange) passBody(f *flow, data []byte) {
	l, o := f.loop, f.listener.HTTP
	if h.bodyLen += int64(len(data)); o.MaxBody > 0 && h.bodyLen > o.MaxBody {
		f.reply(413)
		return
	}
	switch {
	case h.holding:
		if h.held.len()+len(data) > o.BodyBuffer {
			f.reply(413)
			return
		}
		h.held.push(data)
	case h.framing == http1.Chunked:
		l.message = http1.AppendChunk(l.message[:0], data)
		f.toBackend(l.message)
	default:
		f.toBackend(data)
	}
}

// bodyDone ends the request.
func (h *exchange) bodyDone(f *flow) {
	l := f.loop
	if f.phase != serving || h.stage != sending {
		return // it was too long
	}
	h.stage = sent
	switch {
	case h.holding:
		if h.sendVars(f, h.parse(f), int64(h.held.len())) {
			f.in.pending.push(h.held.bytes())
		}
		h.held.drop()
	case h.framing == http1.Chunked:
		trailer := h.body.Trailer()
		if f.stream != nil {
			trailer = h.trailer
		}
		l.message = http1.AppendLastChunk(l.message[:0], trailer)
		f.toBackend(l.message)
	}
}

// inputDone handles a client that will say no more. What it asked for before is
// still answered.
func (h *exchange) inputDone(f *flow) {
	switch h.stage {
	case awaiting, sending:
		h.advance(f) // which finds that something is missing, or nothing more to do
	}
}

// deadline is when the client or the backend has taken too long.
func (h *exchange) deadline(f *flow) uint64 {
	o := f.listener.HTTP
	switch {
	case h.stage != awaiting:
		return f.active + ticks(f.listener.IdleTimeout)
	case h.began != 0:
		return h.began + ticks(o.HeadersTimeout)
	case h.served == 0:
		return f.active + ticks(o.HeadersTimeout)
	default:
		return f.active + ticks(o.KeepAlive)
	}
}

// timeout acts on it.
func (h *exchange) timeout(f *flow) {
	switch {
	case h.stage == awaiting && h.began == 0:
		f.end(causeIdle, whole)
	case h.stage == awaiting:
		h.begin(f, h.in.bytes())
		h.close = true
		f.reply(408)
	case h.answering:
		f.end(causeIdle, atOnce)
	case h.stage == sending && f.in.pending.len() == 0:
		f.reply(408)
	default: // it answers nothing, or does not even read
		if f.loop.idleOf(f.node).answered < h.began {
			// Nobody else was answered meanwhile: one slow request says
			// nothing of the node, and whoever knows one must not be able
			// to take it out of use.
			f.node.Failed(f.loop.now)
		}
		f.reply(504)
	}
}

// drop frees what the exchange holds.
func (h *exchange) drop() {
	h.in.drop()
	h.current.drop()
}

func (c *current) drop() {
	c.head.drop()
	c.held.drop()
	c.out.drop()
}

// refuse answers a request that cannot be served.
func (f *flow) refuse(err error) {
	status := 400
	if e, ok := errors.AsType[*http1.Error](err); ok {
		status = e.Status
		f.loop.count.http.refused.inc(e.Reason)
	}
	if f.http.answering {
		// Too late for words: the response ends in mid-stream.
		f.end(causeBadRequest, inWords)
		return
	}
	f.http.close = true
	f.reply(status)
}

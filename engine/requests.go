package engine

import (
	"encoding/binary"
	"strings"
	"time"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
	"reprise/internal/queue"
)

// requests are the HTTP side of a flow: the client's connection as a value, and the times of its
// requests.
type requests struct {
	exchange.Conn
	client exchange.Client
	began  uint64        // tick of a request's first byte, 0 if there is none yet
	first  uint64        // tick of the response's first byte
	start  time.Duration // the exact time of began, since the reactor's epoch
	route  *route        // the request's route, nil before it is known

	// For a stream, which uses only the exchange of Conn.
	body    queue.Queue // parts of its body that came too early to be used
	trailer []byte

	unserved    uint8  // how often an h2c backend has not processed the request
	callTrailer []byte // follows the pending part of a body to an h2c backend
}

// begin records that a request has come.
func (h *requests) begin(l *loop) { h.began, h.start = l.tick, l.sinceEpoch() }

// serving reports whether a request is being served.
func (h *requests) serving() bool { return h.Exchange().State() != exchange.Idle }

func (h *requests) drop() {
	h.Drop()
	h.body.Drop()
}

// exchangeOptions converts o for exchanges.
func (o *HTTP) exchangeOptions(log bool) *exchange.Options {
	return &exchange.Options{
		Limits: o.Limits, MaxBody: o.MaxBody, BodyBuffer: o.BodyBuffer,
		ChunkedInput: o.ChunkedInput,
		RedirectPort: o.RedirectPort, KeepAlive: o.KeepAlive > 0, KeepHead: log,
		ServerName: o.ServerName, Challenges: o.Challenges, ServeChallenges: o.ServeChallenges,
		RequestRules: o.RequestRules, ResponseRules: o.ResponseRules,
	}
}

// serveRequests begins to serve HTTP/1.
func (f *flow) serveRequests() {
	h := &requests{client: f.aboutClient()}
	h.Start(f.settings.exchange, &h.client)
	f.http = h
}

// aboutClient is what exchanges need to know of the client.
func (f *flow) aboutClient() exchange.Client {
	o := f.settings.HTTP
	c := exchange.Client{
		Remote: f.peer, ListenPort: f.listener.port, Trusted: trusted(o.Trusted, f.peer.Addr()),
		Host: o.DefaultHost,
	}
	if f.tls != nil {
		info := f.tls.Info()
		c.TLS = &uwsgi.TLS{
			Protocol: info.Protocol(), Cipher: info.Cipher(), ServerName: info.ServerName,
			Resumed: info.Resumed(),
		}
		if cert := f.tls.ClientCertificate(); cert != nil {
			c.TLS.Client = uwsgi.NewClient(cert, o.ExportCert)
		}
		// The client's server name is not yet a valid host: with a port in it, it would equal none
		// of the names that have a policy, and be served as one of them.
		if http1.IsHost(info.ServerName) && !strings.ContainsRune(info.ServerName, ':') {
			c.Host = info.ServerName
		}
	}
	if o.RequestRules != nil || o.ResponseRules != nil {
		c.Facts = f.facts(c.TLS)
	}
	return c
}

// facts are the connection's facts for rules.
func (f *flow) facts(t *uwsgi.TLS) *http1.Facts {
	facts := &http1.Facts{Client: f.peer, ID: f.loop.connectionID()}
	if t != nil {
		facts.Protocol, facts.Cipher, facts.ServerName, facts.Resumed = t.Protocol, t.Cipher,
			t.ServerName, t.Resumed
		if t.Client != nil {
			t.Client.Tell(facts)
		}
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

// exchanges returns the loop's scratch for them.
func (f *flow) exchanges() *exchange.Scratch {
	l := f.loop
	l.messages.Date, l.messages.Leaving, l.messages.Draining = l.date.Line(l.now), f.leaving(),
		l.draining
	return &l.messages
}

// leaving reports whether the client is asked to go elsewhere: the node ends, or no longer listens
// at the address of its connection.
func (f *flow) leaving() bool { return f.loop.leaving || f.listener.removed }

// renew uses the configuration changed since the last request.
func (f *flow) renew() {
	f.settings = f.listener.settings
	h := f.http
	facts := h.client.Facts
	if h.client = f.aboutClient(); facts != nil && h.client.Facts != nil {
		h.client.Facts.ID = facts.ID // it is the same connection
	}
	h.Start(f.settings.exchange, &h.client)
	if f.trace == nil && f.loop.o.Access != nil {
		f.trace = &trace{start: f.loop.now}
	}
}

// request handles the client's bytes. It keeps those that the flow's turn leaves for the next.
func (f *flow) request(p []byte) {
	h := f.http
	h.Give(p)
	if !f.deferred {
		f.nextRequests()
	}
	if f.http == h {
		h.Keep()
	}
}

// nextRequests processes the client's bytes, within the turn's time. It reports whether there was
// anything to do.
func (f *flow) nextRequests() (some bool) {
	l, h := f.loop, f.http
	for f.phase == serving && f.http == h && h.Ready(f.clientDone || l.draining) {
		if some && l.late() {
			l.goOnLater(f)
			break
		}
		if f.settings != f.listener.settings && !h.serving() {
			f.renew()
		}
		step := h.Next(f.exchanges(), exchange.Around{Room: l.hasRoom(&f.out), Ended: f.clientDone})
		if h.began == 0 && !h.Between() {
			h.begin(l)
		}
		if step.Idle {
			break
		}
		some = true
		f.act(&step)
	}
	return some
}

// respond handles the backend's bytes.
func (f *flow) respond(p []byte) {
	h := f.http
	if h.first == 0 {
		h.first = f.loop.tick
	}
	if f.stream != nil {
		f.respondByFrames(p)
		return
	}
	step := h.FromBackend(f.exchanges(), p)
	f.act(&step)
}

// backendEnded handles the end of the backend's stream.
func (f *flow) backendEnded(broken bool) {
	if f.stream != nil {
		f.actOn(f.http.Exchange().BackendEnded(broken))
		return
	}
	step := f.http.BackendEnded(f.exchanges(), broken)
	f.act(&step)
}

// refuse answers the request in place of a backend; with last, no other request of the client can
// succeed.
func (f *flow) refuse(status int, why exchange.Why, last bool) {
	if f.stream != nil {
		if last {
			f.mux.goAway()
		}
		f.actOn(f.http.Exchange().Refuse(status, why))
		return
	}
	step := f.http.Refuse(f.exchanges(), status, why, last)
	f.act(&step)
}

// requestTimeout handles a request in which nothing has moved for too long.
func (f *flow) requestTimeout() {
	if f.stream != nil {
		f.actOn(f.http.Exchange().TimeUp(f.in.pending.Len() == 0))
		return
	}
	step := f.http.TimeUp(f.exchanges(), f.in.pending.Len() == 0)
	f.act(&step)
}

// requestLinked sends the request to its backend.
func (f *flow) requestLinked(reused bool) {
	isHTTP, sendProxy := f.node.Protocol() == backend.HTTP, f.route.pool.Options().SendProxy > 0
	if isHTTP && !reused && sendProxy && f.backend.tls == nil { // otherwise sent before TLS
		f.in.pending.Push(f.proxyHeader())
	}
	link := exchange.Link{
		Protocol: f.node.Protocol(), Reused: reused, Keep: isHTTP &&
			f.settings.HTTP.BackendKeepAlive > 0 && !sendProxy,
	}
	if f.stream != nil {
		f.actOn(f.http.Exchange().Linked(f.exchanges(), link))
		f.passKept()
		return
	}
	step := f.http.Linked(f.exchanges(), link)
	f.act(&step)
}

// act carries out a step of the exchange.
func (f *flow) act(step *exchange.Step) {
	c := &f.loop.count.HTTP
	if step.Began {
		c.Requests.Inc()
	}
	if f.shared != nil {
		f.toCall(step)
	} else {
		f.toBackend(step.ToBackend)
		f.toBackend(step.Held)
	}
	if f.log != nil && step.Reason != "" {
		f.log.Debug("not served", "reason", step.Reason)
	}
	switch step.Why {
	case exchange.BadRequest:
		c.Refused.Inc(step.Reason)
	case exchange.Misdirected:
		c.Refused.Inc("misdirected")
	case exchange.Limited:
		c.Refused.Inc(step.Reason)
	case exchange.BadAnswer:
		c.BadAnswers.Inc(step.Reason)
		if f.node != nil {
			f.node.Misanswered(step.Reason, f.loop.now)
		}
	}
	if len(step.ToClient) > 0 && !f.toClient(step.ToClient) {
		return
	}
	switch step.Do {
	case exchange.Dial:
		f.dial()
	case exchange.Release:
		f.released(step)
	case exchange.Tunnel:
		f.tunnel()
	case exchange.CloseClient:
		f.end(causesOf[step.Why], whole)
	case exchange.Cut:
		how := inWords
		if step.Why == exchange.Truncated || step.Why == exchange.Stalled {
			how = atOnce // the client is gone, or does not read
		}
		f.end(causesOf[step.Why], how)
	}
}

// causesOf are the causes of a flow's end that follow from faults of a request.
var causesOf = [...]cause{
	exchange.Fine: causeDone, exchange.BadRequest: causeBadRequest,
	exchange.Truncated:  causeTruncated,
	exchange.SlowClient: causeIdle, exchange.NoBackend: causeNoBackend,
	exchange.NoPool: causeNoPool, exchange.Misdirected: causeMisdirected,
	exchange.Limited:     causeLimitRequests,
	exchange.BackendGone: causeBackendReset, exchange.BadAnswer: causeBadAnswer,
	exchange.SlowBackend: causeIdle,
	exchange.Stalled:     causeIdle, exchange.Misused: causePanic,
}

// dial finds a backend for the request, or another one if the first has broken off.
func (f *flow) dial() {
	l, x := f.loop, f.http.Exchange()
	if f.link == linked {
		l.count.HTTP.Retried.Inc()
		if x.Reused() && f.shared == nil {
			f.tries-- // the node was not asked for a connection
		}
		// Also if only a kept connection has ended: a process that dies closes its connections
		// before it stops listening.
		f.avoid = f.node
		f.unlink()
		f.seek()
		return
	}
	if f.limited() {
		return
	}
	f.tries, f.avoid, f.noTLS = 0, nil, false
	r := x.Request(&l.messages)
	host, name := r.Host, r.HostName()
	if len(host) == 0 { // a request without one is for the backend's default host
		host = []byte(x.Client().Host)
		name = host
	}
	if f.tls != nil {
		info, policies := f.tls.Info(), f.settings.tls.ClientPolicies()
		if !policies.Admits(info.ClientPolicy, name) {
			// No request can succeed here any more if the policy of the handshake has been removed.
			f.refuse(421, exchange.Misdirected,
				policies.Renewed(info.ClientPolicy, info.ServerName))
			return
		}
	}
	if !f.choosePool(f.serverName(), host, r.Path) {
		f.refuse(404, exchange.NoPool, false)
		return
	}
	f.http.route = f.route
	if f.log != nil {
		f.tellRequest()
	}
	if f.stream != nil && f.mux.conn.Cancels() {
		f.link = postponed
		l.goOnLater(f)
		return
	}
	f.seek()
}

// released ends a request whose response is complete.
func (f *flow) released(step *exchange.Step) {
	l, h := f.loop, f.http
	f.answered(h.Exchange().Status())
	if f.link == linked {
		switch list := l.idleOf(f.node); {
		case step.Why == exchange.Fine:
			list.answered = l.tick
			f.node.Answered()
		case step.Why == exchange.SlowBackend && list.answered < h.began:
			// No other was answered meanwhile: one slow request proves nothing about the node, and
			// a client that knows one must not be able to take the node out of use.
			f.node.Failed(l.now)
		}
	}
	f.releaseBackend(step)
	f.endRequest(causeDone)
	h.Released()
	h.began, h.first, h.unserved, f.active = 0, 0, 0, l.tick
	if f.stream != nil {
		f.end(causeDone, whole)
	}
}

// answered counts a request whose response is complete, or that became a tunnel.
func (f *flow) answered(status int) {
	l, h := f.loop, f.http
	l.count.HTTP.Responses.Inc(backend.ClassOf(status))
	if f.log != nil {
		f.log.Debug("response", "status", status, "took", l.sinceEpoch()-h.start)
	}
	if h.route != nil {
		h.route.served.Observe(backend.ClassOf(status), l.sinceEpoch()-h.start)
		h.route = nil
	}
}

// releaseBackend keeps the backend's connection for another request, or closes it.
func (f *flow) releaseBackend(step *exchange.Step) {
	if f.shared != nil {
		if step.Why == exchange.SlowBackend && f.shared.heard < f.http.began {
			f.shared.retire() // it may be dead: no later request should find that out
		}
		f.unlink()
		return
	}
	b := &f.backend
	sent := f.in.end == open && f.in.pending.Len() == 0
	switch {
	case step.Keep && sent && b.input == inputOpen && !f.loop.hasMore(b):
		f.park()
		return
	case step.Why != exchange.Fine && b.open():
		resetOnClose(b.fd)
	}
	f.unlink()
}

// tunnel makes the flow relay bytes unchanged.
func (f *flow) tunnel() {
	h := f.http
	f.answered(101)
	if f.trace != nil {
		f.trace.keepRequest(h.Exchange())
	}
	f.http = nil
	f.toBackend(h.Rest())
	f.toBackend(h.body.Bytes())
	if f.clientDone {
		f.in.finish()
	}
	h.drop()
}

// requestPatience is when the client or the backend has taken too long.
func (f *flow) requestPatience() uint64 {
	h, o := f.http, f.settings.HTTP
	switch {
	case h.serving():
		return f.active + ticks(f.settings.IdleTimeout)
	case h.began != 0:
		return h.began + ticks(o.HeadersTimeout)
	case h.Served() == 0:
		return f.loop.firstRequest(f.active, o.HeadersTimeout)
	default:
		return f.active + ticks(o.KeepAlive)
	}
}

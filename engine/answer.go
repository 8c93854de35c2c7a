package engine

import (
	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/http1"
)

// output takes what the backend says.
func (h *exchange) output(f *flow, p []byte) {
	kept := h.out.len() > 0
	if kept {
		h.out.push(p)
		p = h.out.bytes()
	}
	served := h.served
	n := h.pass(f, p)
	switch {
	case f.phase != serving: // all is dropped
	case f.http != h: // upgraded: the rest is not HTTP
		rest := p[n:]
		if len(rest) > 0 {
			f.toClient(rest)
		}
		h.drop()
	case h.stage == awaiting || h.served != served:
		// The exchange is over, and the backend with it: what came behind the
		// response is no part of the next one, which may have begun.
		h.out.drop()
	case kept:
		h.out.pop(n)
	default:
		h.out.push(p[n:])
	}
}

// pass passes a response on, as far as p goes, and returns how much it used.
func (h *exchange) pass(f *flow, p []byte) (used int) {
	l := f.loop
	if f.stream != nil {
		return h.passFrames(f, p)
	}
	out := l.message[:0]
	for used < len(p) && !h.answering {
		n, ok := h.takeAnswer(f, p[used:])
		used += n
		if !ok {
			return used
		}
		out = l.message
	}
	// Out of l.message, which holds the head, goes whatever body came with it.
	for used < len(p) && !h.answer.Done() {
		data, n, err := h.answer.Next(p[used:])
		if err != nil {
			f.toClient(out)
			f.loop.count.http.badAnswers.inc(err.(*http1.Error).Reason)
			f.end(causeBadAnswer, inWords)
			return used
		}
		used += n
		switch {
		case len(data) == 0:
		case h.answerAs == http1.Chunked:
			out = http1.AppendChunk(out, data)
		case len(out) > 0:
			out = append(out, data...)
		case !f.toClient(data):
			return used
		}
		if n == 0 {
			break
		}
	}
	done := h.answering && h.answer.Done()
	if done && h.answerAs == http1.Chunked {
		out = http1.AppendLastChunk(out, h.answer.Trailer())
	}
	l.message = out[:0]
	if len(out) > 0 && !f.toClient(out) {
		return used
	}
	if done && f.phase == serving {
		h.backendStays = h.backendStays && used == len(p) // what nobody asked for makes it suspect
		h.answered(f)
	}
	return used
}

// passFrames is pass for a stream.
func (h *exchange) passFrames(f *flow, p []byte) (used int) {
	for used < len(p) && !h.answering {
		n, ok := h.takeAnswer(f, p[used:])
		used += n
		if !ok {
			return used
		}
	}
	for used < len(p) && !h.answer.Done() {
		data, n, err := h.answer.Next(p[used:])
		if err != nil {
			f.loop.count.http.badAnswers.inc(err.(*http1.Error).Reason)
			f.end(causeBadAnswer, inWords)
			return used
		}
		used += n
		if len(data) > 0 {
			f.sendData(data)
		}
		if n == 0 {
			break
		}
	}
	if h.answering && h.answer.Done() {
		f.sendEnd(h.answer.Trailer())
		h.backendStays = h.backendStays && used == len(p)
		h.answered(f)
	}
	return used
}

// takeAnswer takes the head of a response and leaves in l.message what the client
// gets of it. It reports false if there is nothing to go on with.
func (h *exchange) takeAnswer(f *flow, p []byte) (n int, ok bool) {
	l, o := f.loop, f.listener.HTTP
	if h.first == 0 {
		h.first = l.tick
	}
	if n = http1.HeadLen(p, h.outSeen); n == 0 {
		if h.outSeen = len(p); len(p) >= o.Limits.HeadLen {
			f.badAnswer("head too long")
		}
		return 0, false
	}
	h.outSeen = 0
	r := &l.response
	if err := r.Parse(p[:n], h.method(), &o.Limits); err != nil {
		f.badAnswer(err.(*http1.Error).Reason)
		return 0, false
	}
	l.message = l.message[:0]
	switch {
	case r.Status == 101:
		if !h.upgrade || r.Upgrade == nil {
			f.badAnswer("unasked upgrade")
			return 0, false
		}
		h.switchProtocols(f, r)
		return n, false
	case r.Status < 200:
		if f.stream != nil {
			f.sendHead(r, h.outgoing(f, http1.NoBody, -1))
			return n, true
		}
		if h.minor == 0 { // RFC 9110, Section 15.2: HTTP/1.0 knows none
			return n, true
		}
		l.message = http1.AppendResponse(l.message, r, h.outgoing(f, http1.NoBody, -1))
		if !f.toClient(l.message) {
			return n, false
		}
		l.message = l.message[:0]
		return n, true
	}
	h.startAnswer(f, r)
	return n, true
}

// startAnswer decides how the client gets the response.
func (h *exchange) startAnswer(f *flow, r *http1.Response) {
	l, o := f.loop, f.listener.HTTP
	h.answering, h.status = true, r.Status
	h.answer.StartResponse(r.Framing, r.Length, &o.Limits)
	h.answer.Without(o.ResponseRules)
	h.backendStays = r.KeepAlive && r.Framing != http1.UntilClose && f.node.Protocol() == backend.HTTP && !h.personal
	h.answerAs = r.Framing
	if r.Framing == http1.UntilClose {
		h.answerAs = http1.Chunked
	}
	if h.answerAs == http1.Chunked && h.minor == 0 {
		h.answerAs, h.close = http1.UntilClose, true
	}
	h.close = h.close || h.mustClose(f)
	if out := h.outgoing(f, h.answerAs, r.Length); f.stream != nil {
		f.sendHead(r, out)
	} else {
		l.message = http1.AppendResponse(l.message, r, out)
	}
	if f.trace == nil && h.stage == sent {
		h.head.drop()
		l.parsed = nil
	}
}

var methodHEAD, methodGET = []byte("HEAD"), []byte("GET")

// method returns one that a response is framed for in the same way.
func (c *current) method() []byte {
	if c.isHead {
		return methodHEAD
	}
	return methodGET
}

// mustClose reports whether the client's connection cannot serve another request.
// One whose body is not complete when the response begins would have to be read
// to its end first.
func (h *exchange) mustClose(f *flow) bool {
	return !h.keepAlive || h.stage != sent || f.listener.HTTP.KeepAlive == 0 || f.loop.draining
}

// answered ends an exchange whose response is complete.
func (h *exchange) answered(f *flow) {
	f.loop.count.http.status[h.status/100].Inc()
	f.loop.idleOf(f.node).answered = f.loop.tick
	f.node.Answered()
	h.releaseBackend(f)
	h.over(f)
}

// over ends an exchange and turns to the next.
func (h *exchange) over(f *flow) {
	f.endRequest(h.why)
	last := h.close || f.stream != nil
	h.current.drop()
	h.current, h.began = current{}, 0
	f.loop.parsed = nil
	if last {
		f.end(causeDone, whole)
		return
	}
	f.active = f.loop.tick
	h.advance(f)
}

// releaseBackend keeps the backend's connection for another request, or closes it.
func (h *exchange) releaseBackend(f *flow) {
	b := &f.backend
	whole := h.stage == sent && f.in.end == open && f.in.pending.len() == 0
	if h.backendStays && whole && b.input == inputOpen && f.route.pool.Options().SendProxy == 0 && !(b.readable && stale(b.fd)) {
		f.park()
		return
	}
	if b.open() && !h.answer.Done() {
		resetOnClose(b.fd)
	}
	f.unlink()
}

// switchProtocols makes the flow one that relays bytes as they are.
func (h *exchange) switchProtocols(f *flow, r *http1.Response) {
	l := f.loop
	h.status = 101
	l.count.http.status[1].Inc()
	l.message = http1.AppendResponse(l.message, r, h.outgoing(f, http1.NoBody, -1))
	f.http = nil
	if f.stream != nil {
		f.sendHead(r, &l.outgoing)
		l.message = l.message[:0]
	}
	if f.trace != nil {
		f.trace.keepRequest(h)
	}
	if f.toClient(l.message) {
		f.toBackend(h.in.bytes())
		if f.clientDone {
			f.in.finish()
		}
	}
}

// outputDone handles the end of the backend's stream.
func (h *exchange) outputDone(f *flow) {
	if h.answering && h.answer.End() == nil {
		if f.stream != nil {
			f.sendEnd(nil)
		} else if h.answerAs == http1.Chunked {
			f.toClient(http1.AppendLastChunk(f.loop.message[:0], nil))
		}
		if f.phase == serving {
			h.backendStays = false
			h.answered(f)
		}
		return
	}
	f.backendGone()
}

// backendGone handles a backend that broke off, and reports whether that was all
// there is to do. If the client has got nothing yet it need not notice, or is told
// in words.
func (h *exchange) backendGone(f *flow) bool {
	if h.answering {
		return false
	}
	nothingBack := h.out.len() == 0 && h.first == 0
	if nothingBack && !h.retried && h.idempotent && h.framing == http1.NoBody {
		f.loop.count.http.retried.Inc()
		h.retried = true
		if h.reused {
			f.tries-- // the node was not asked for a connection
		}
		// Also if only a kept connection has ended: a process that dies closes its
		// connections before it stops listening.
		f.avoid = f.node
		f.unlink()
		h.stage, h.reused = dispatching, false
		f.seek()
		return true
	}
	f.reply(502)
	return true
}

// badAnswer refuses what a backend answered.
func (f *flow) badAnswer(reason string) {
	f.loop.count.http.badAnswers.inc(reason)
	f.reply(502)
}

// reply answers the request in place of a backend.
func (f *flow) reply(status int) {
	h := f.http
	if h.answering {
		f.end(causeBackendReset, inWords)
		return
	}
	l, own := f.loop, h.ownAnswer(f, status)
	if l.message = l.message[:0]; f.stream != nil {
		f.sendOwnFrames(status, own)
	} else {
		l.message = http1.AppendError(l.message, status, own)
	}
	h.sendOwn(f)
}

// redirect sends the client to the same place by https.
func (f *flow) redirect(r *http1.Request) {
	h, o := f.http, f.listener.HTTP
	if r.Host == nil {
		f.reply(400)
		return
	}
	f.loop.message = http1.AppendRedirect(f.loop.message[:0], r, o.RedirectPort, h.ownAnswer(f, 301))
	h.sendOwn(f)
}

// ownAnswer prepares a response that no backend gave.
func (h *exchange) ownAnswer(f *flow, status int) *http1.Outgoing {
	if h.stage == dispatching && h.body.Done() {
		h.stage = sent
	}
	h.status, h.answering = status, true
	h.close = h.close || h.mustClose(f)
	return h.outgoing(f, http1.NoBody, -1)
}

// outgoing says how the client gets a response. It is good until the next call.
func (h *exchange) outgoing(f *flow, framing http1.Framing, length int64) *http1.Outgoing {
	l := f.loop
	l.outgoing = http1.Outgoing{
		Close: h.close, Head: h.isHead, Minor: h.minor, Framing: framing, Length: length, Date: l.date.Line(l.now),
		Rules: f.listener.HTTP.ResponseRules, Facts: h.facts, Nth: uint32(h.served),
	}
	return &l.outgoing
}

func (h *exchange) sendOwn(f *flow) {
	l := f.loop
	l.count.http.status[h.status/100].Inc()
	if f.backend.open() {
		resetOnClose(f.backend.fd)
	}
	f.unlink()
	if f.toClient(l.message) {
		h.over(f)
	}
}

// stale reports whether a connection that has waited was ended by the backend
// meanwhile, as far as the kernel knows.
func stale(fd int) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n >= 0 && err == nil || err != unix.EAGAIN
}

package engine

import (
	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/backend/http2"
)

// The rest is a flow's side of a call on a shared connection. Data for the backend that the windows
// do not allow yet are pending in f.in, as for a socket, and so stop the client by themselves; the
// end of f.in is the end of the request.

// linkShared takes a place on a connection to the node, or waits for one.
func (f *flow) linkShared() error {
	l := f.loop
	g := l.sharedOf(f.node)
	if c := g.withRoom(); c != nil && g.waiting.first == nil {
		f.linkTo(c)
		return nil
	}
	o := f.route.pool.Options()
	if len(g.conns) >= maxSharedConns && g.waiting.len >= o.QueueLen {
		f.unlink()
		f.noBackend()
		return nil
	}
	timeout := ticks(o.ConnectTimeout)
	f.link, f.began, f.until = connecting, l.tick, l.tick+timeout
	g.waiting.push(f)
	err := g.grow(l, f.settings, timeout)
	if err != nil && len(g.conns) == 0 {
		f.leaveShared()
		return err
	}
	return nil
}

// linkTo makes the flow's request a call on c, which must have room.
func (f *flow) linkTo(c *sharedConn) {
	f.shared, f.link, f.active = c, linked, f.loop.tick
	reused := c.used
	if c.used = true; reused {
		f.loop.count.HTTP.Reused.Inc()
	}
	f.requestLinked(reused)
}

// waitsForCall reports whether the flow is in the list of those that wait for a place.
func (f *flow) waitsForCall() bool {
	return f.link == connecting && f.node != nil && f.node.Protocol() == backend.H2C
}

// leaveShared ends the flow's call, or the wait for one. An unfinished call is cancelled.
func (f *flow) leaveShared() {
	if f.waitsForCall() {
		f.loop.shared[f.node].waiting.remove(f)
		f.link = unlinked
	}
	c := f.shared
	if c == nil {
		return
	}
	if call := f.call; call != nil {
		c.set(c.conn.Reset(c.buffer(), call, http2.Cancel))
		call.Owner = nil
		c.group.node.Pool().Shared().Streams.Dec()
	}
	f.shared, f.call = nil, nil
	if c.phase != sharedServing {
		return
	}
	if c.conn.Len() == 0 {
		c.since = c.loop.tick
		if _, ok := c.timer.IsSet(); !ok {
			c.loop.reactor.SetTimer(&c.timer, c.since+c.idleTimeout)
		}
		if c.conn.Leaves() || c.loop.draining || c.group.node.Removed() {
			c.loop.shareLater(c)
		}
	}
	if c.group.waiting.first != nil {
		c.loop.shareLater(c)
	}
}

// toCall sends a step's output for the backend. The head of the request opens the call.
func (f *flow) toCall(step *exchange.Step) {
	c, p, trailer := f.shared, step.ToBackend, step.TrailerToBackend
	if f.call == nil {
		if len(p) == 0 {
			return // the request was refused
		}
		out, call := c.conn.Open(c.buffer(), p, step.EndToBackend)
		c.set(out)
		call.Owner, f.call = f, call
		c.group.node.Pool().Shared().Streams.Inc()
		if step.EndToBackend {
			f.in.end = closed
		}
		return
	}
	if f.in.end != open {
		return
	}
	if step.EndToBackend {
		f.in.finish()
		f.http.callTrailer = append(f.http.callTrailer[:0], trailer...)
	}
	if f.in.pending.Len() == 0 && len(p) > 0 && c.hasRoom() {
		p = p[f.sendCall(p):]
	}
	f.in.pending.Push(p)
	f.flushCall()
}

// sendCall sends as much of p, the last of the data, as the windows allow.
func (f *flow) sendCall(p []byte) int {
	c := f.shared
	end := f.in.end == closing && len(f.http.callTrailer) == 0
	out, n := c.conn.Send(c.buffer(), f.call, p, end)
	c.set(out)
	if n > 0 {
		f.active = f.loop.tick
	}
	switch {
	case n < len(p):
		c.turn = f.call.ID
	case end:
		f.in.end = closed
	}
	return n
}

// flushCall sends pending data to the backend.
func (f *flow) flushCall() {
	c := f.shared
	if f.call == nil || f.in.end == closed {
		return
	}
	if f.in.pending.Len() > 0 {
		if !c.hasRoom() {
			c.full = true
			return
		}
		if f.in.pending.Pop(f.sendCall(f.in.pending.Bytes())); f.in.pending.Len() > 0 {
			return
		}
	}
	if f.in.end == closing {
		c.set(c.conn.End(c.buffer(), f.call, f.http.callTrailer))
		f.in.end = closed
	}
}

// fromCall handles a part of the response.
func (f *flow) fromCall(e *http2.CallEvent) {
	l, h := f.loop, f.http
	x := h.Exchange()
	if f.active = l.tick; h.first == 0 {
		h.first = l.tick
	}
	switch e.Kind {
	case http2.Response:
		f.answer(x.AnswerHead(f.exchanges(), e.Head, e.End))
	case http2.Data:
		f.answer(x.AnswerData(e.Data, e.End))
		f.creditCall()
	case http2.Trailers:
		f.answer(x.AnswerEnd(e.Trailer))
	}
}

// maxUnserved bounds how often a request is sent again only because a backend has not processed it.
const maxUnserved = 8

// callReset handles an early end of a call.
func (f *flow) callReset(e *http2.CallEvent) {
	x := f.http.Exchange()
	switch {
	case e.Unprocessed:
		// A backend that goes away has not failed. But it may do so each time.
		if f.http.unserved < maxUnserved {
			f.http.unserved++
			f.tries--
		}
		out := x.Unprocessed()
		// the client has all of it, and may send it again
		if out.Head == exchange.Own && f.stream != nil {
			f.resetStream(http2.RefusedStream)
		}
		f.answer(out)
	case e.Reason != "":
		f.answer(x.BadAnswer(e.Reason))
	default:
		responded := x.Responded()
		out := x.BackendEnded(true)
		if f.stream != nil && tellsCode(e.Code, responded, out.Head == exchange.Own) {
			f.resetStream(e.Code)
		}
		f.answer(out)
	}
}

// tellsCode reports whether a client of HTTP/2 gets the code with which a backend has reset its
// request: in the middle of a response, unless it is NO_ERROR; and in place of a 502, if the
// backend only gave it up, as gRPC's do when the client's deadline has passed.
func tellsCode(code http2.Code, responded, inWords bool) bool {
	if responded {
		return code != http2.NoError && code != http2.RefusedStream
	}
	return inWords && code == http2.Cancel
}

// resetStream resets the client's stream; its pending data are dropped.
func (f *flow) resetStream(code http2.Code) {
	m := f.mux
	m.set(m.conn.Reset(m.buffer(), f.stream, code))
}

// callLost handles the end of a connection in the middle of a call.
func (f *flow) callLost() { f.answer(f.http.Exchange().BackendEnded(true)) }

// callFailed tries another backend: no connection to this one was established.
func (f *flow) callFailed() {
	f.leaveShared()
	node := f.node
	f.node, f.avoid = nil, node
	node.Release()
	f.seek()
}

// callTimeout gives up the wait for a place. If there are connections and all are full, another
// backend is as likely to be full.
func (f *flow) callTimeout() {
	if !f.loop.shared[f.node].serves() {
		f.callFailed()
		return
	}
	f.unlink()
	f.noBackend()
}

// answer acts on the result of a backend's input.
func (f *flow) answer(out exchange.Output) {
	if f.stream != nil {
		f.actOn(out)
		return
	}
	step := f.http.Answered(f.exchanges(), out)
	f.act(&step)
}

// creditCall lets the backend send more of the response, if the client has taken what came of it.
// The connection's window is always open, so a client that stops does not hold up others.
func (f *flow) creditCall() {
	if f.call == nil || f.call.Held() == 0 {
		return
	}
	n := f.call.Held()
	if f.stream == nil {
		if !f.loop.hasRoom(&f.out) {
			return
		}
	} else {
		if !f.mux.hasRoom() {
			f.mux.full = true
			return
		}
		n -= f.stream.Pending()
	}
	if c := f.shared; n > 0 {
		c.set(c.conn.Consumed(c.buffer(), f.call, n))
	}
}

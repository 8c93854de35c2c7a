package engine

import (
	"cmp"
	"net/http"
	"strconv"

	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/backend/http2"
	"reprise/internal/queue"
)

// open makes a flow of a stream and begins to serve its request.
func (m *mux) open(e *http2.Event) {
	c, l := m.flow, m.flow.loop
	if c.settings != c.listener.settings {
		m.renew()
	}
	f := l.newStreamFlow()
	f.loop, f.listener, f.settings, f.phase, f.peer, f.origin, f.tls = l, c.listener, c.settings,
		serving, c.peer, c.origin, c.tls
	f.mux, f.stream, f.clientDone, f.active = m, e.Stream, e.End, l.tick
	f.client.fd, f.backend.fd = -1, -1
	f.timer.Owner = f
	e.Stream.Owner = f
	if c.trace != nil {
		f.trace = &trace{start: l.now, handshake: c.trace.handshake}
	}
	if c.log != nil {
		f.log = c.log.With("stream", e.Stream.ID)
	}
	l.count.HTTP2.Streams.Inc()
	f.http.begin(l)
	x, nth := f.http.Exchange(), e.Stream.ID/2+1 // clients use odd ones
	l.count.HTTP.Requests.Inc()
	if e.Refusal != nil {
		f.actOn(x.BeginRefused(f.exchanges(), c.settings.exchange, m.client, nth, e.Head,
			e.Refusal))
	} else {
		f.actOn(x.Begin(f.exchanges(), c.settings.exchange, m.client, nth, e.Head))
	}
	f.flushStream()
}

// fromStream handles a piece of a request's body, or of a tunnel, or their end.
func (f *flow) fromStream(e *http2.Event) {
	l := f.loop
	f.active = l.tick
	if f.trace != nil {
		f.trace.in += int64(len(e.Data))
	}
	f.clientDone = e.End
	switch h := f.http; {
	case h == nil:
		f.toBackend(e.Data)
		if e.End {
			f.in.finish()
			l.goOnLater(f)
		}
	default:
		h.trailer = append(h.trailer[:0], e.Trailer...)
		if h.Exchange().WantsBody() && h.body.Len() == 0 {
			f.passStream(e.Data)
		} else {
			h.body.Push(e.Data)
		}
	}
	f.flushStream()
}

// flushStream sends a step's remaining output to the backend. More must not be done now: the loop's
// buffers hold the client's data.
func (f *flow) flushStream() {
	if f.phase == serving && f.flush() {
		f.credit()
		f.arm()
	}
}

// passStream passes on a piece of the body of a stream, which has no framing of its own.
func (f *flow) passStream(p []byte) {
	h, x := f.http, f.http.Exchange()
	if len(p) > 0 {
		f.actOn(x.Body(f.exchanges(), p))
	}
	if f.clientDone && f.phase == serving && f.http == h && x.WantsBody() {
		f.actOn(x.End(f.exchanges(), h.trailer))
	}
}

// passKept passes on the part of the body that came while a backend was sought.
func (f *flow) passKept() {
	h := f.http
	if f.phase != serving || h == nil || !h.Exchange().WantsBody() {
		return
	}
	kept := h.body
	h.body = queue.Queue{}
	f.passStream(kept.Bytes())
	kept.Drop()
}

// actOn carries out an output of a stream's exchange.
func (f *flow) actOn(out exchange.Output) {
	switch out.Head {
	case exchange.Interim, exchange.Final:
		f.sendHead(&out)
	case exchange.Own:
		f.sendOwnFrames(&out)
	}
	if len(out.Data) > 0 {
		f.sendData(out.Data)
	}
	if out.End {
		f.sendEnd(out.Trailer)
	}
	f.act(&exchange.Step{
		ToBackend: out.ToBackend, Held: out.Held, EndToBackend: out.EndToBackend,
		TrailerToBackend: out.TrailerToBackend, Do: out.Do, Keep: out.Keep, Why: out.Why,
		Reason: out.Reason,
	})
}

// respondByFrames handles the backend's bytes for a stream.
func (f *flow) respondByFrames(p []byte) {
	x := f.http.Exchange()
	for len(p) > 0 && f.phase == serving {
		out := x.FromBackend(f.exchanges(), p)
		p = p[out.Used:]
		if f.actOn(out); out.Do == exchange.Tunnel {
			f.toClient(p)
		}
		if out.Do != exchange.Continue {
			break
		}
	}
}

// credit opens the stream's window by what no longer waits here for the backend. A body held for a
// uwsgi backend that must know its length has its own bound.
func (f *flow) credit() {
	if f.phase != serving || f.stream.Ended() {
		return
	}
	waiting := f.in.pending.Len()
	if f.http != nil {
		waiting += f.http.body.Len()
	}
	if n := f.stream.Held() - waiting; n > 0 {
		m := f.mux
		m.set(m.conn.Consumed(m.buffer(), f.stream, n))
	}
}

// firstRead is the length of a read from a backend whose response has not begun, whatever the
// client's windows: they do not count its head.
const firstRead = 4 << 10

// room is how much may be read from the backend.
func (f *flow) room() int {
	l := f.loop
	if f.stream == nil {
		if l.hasRoom(&f.out) {
			return len(l.in)
		}
		return 0
	}
	if !f.mux.hasRoom() {
		f.mux.full = true
		return 0
	}
	n := f.mux.conn.Room(f.stream)
	if f.http != nil && !f.http.Exchange().Responded() {
		n = max(n, firstRead)
	}
	return min(n, len(l.in))
}

// sendHead sends the head of a response as a frame.
func (f *flow) sendHead(out *exchange.Output) {
	m, c, r := f.mux, f.mux.conn, out.Response
	c.BeginHead(f.stream, out.Status)
	if r != nil { // otherwise a 100 of our own
		rules, dated := f.settings.exchange.ResponseRules, false
		for i := range r.Fields {
			field := &r.Fields[i]
			if r.Passes(field) && !rules.Drops(field.Name) {
				c.Field(field.Name, field.Value)
				dated = dated || field.Is("Date")
			}
		}
		if out.Head == exchange.Final {
			if !dated {
				c.Lines(f.loop.messages.Date)
			}
			f.addFields(out.Length)
		}
	}
	m.set(c.AppendHead(m.buffer(), f.stream, out.End && len(out.Data) == 0 && out.Trailer == nil))
}

// addFields adds the length of a response's body, if known, and the fields of rules.
func (f *flow) addFields(length int64) {
	c, l, rules := f.mux.conn, f.loop, f.settings.exchange.ResponseRules
	if length >= 0 {
		l.value = strconv.AppendInt(l.value[:0], length, 10)
		c.Field(contentLength, l.value)
	}
	for i := range rules.Len() {
		if l.value = rules.AppendValue(l.value[:0], i, f.http.Exchange().Client().Facts,
			f.http.Exchange().Nth()); len(l.value) > 0 {
			l.name = append(l.name[:0], rules.Name(i)...)
			c.Field(l.name, l.value)
		}
	}
}

var (
	contentLength, contentType, plainText = []byte("Content-Length"), []byte("Content-Type"),
		[]byte("text/plain")
	retryAfterName = []byte("Retry-After")
)

// sendData sends a piece of a response.
func (f *flow) sendData(p []byte) {
	if f.trace != nil {
		f.trace.out += int64(len(p))
	}
	m := f.mux
	m.set(m.conn.AppendData(m.buffer(), f.stream, p, false))
}

// sendEnd ends a response.
func (f *flow) sendEnd(trailer []byte) {
	m := f.mux
	m.set(m.conn.AppendEnd(m.buffer(), f.stream, trailer))
}

// sendOwnFrames answers in place of a backend with a status and a text, the status's name by
// default.
func (f *flow) sendOwnFrames(answer *exchange.Output) {
	m, c := f.mux, f.mux.conn
	text := append([]byte(cmp.Or(answer.Text, http.StatusText(answer.Status))), '\n')
	headOnly := answer.Framing == http1.NoBody
	c.BeginHead(f.stream, answer.Status)
	c.Lines(f.loop.messages.Date)
	c.Field(contentType, plainText)
	f.addFields(int64(len(text)))
	if answer.RetryAfter > 0 {
		l := f.loop
		l.value = strconv.AppendInt(l.value[:0], int64(answer.RetryAfter), 10)
		c.Field(retryAfterName, l.value)
	}
	out := c.AppendHead(m.buffer(), f.stream, headOnly)
	if !headOnly {
		out = c.AppendData(out, f.stream, text, true)
	}
	m.set(out)
}

// endStream ends a stream's flow. The last output may still wait in the connection for a window.
func (f *flow) endStream(why cause) {
	if f.phase == gone {
		return
	}
	l, m := f.loop, f.mux
	f.endTrace(why)
	if f.log != nil {
		f.tellEnd(why)
	}
	if !m.over && !f.stream.Ended() {
		m.set(m.conn.Reset(m.buffer(), f.stream, http2.InternalError))
	}
	f.stream.Owner = nil
	if why.cuts() && f.backend.open() && f.in.end != closed {
		resetOnClose(f.backend.fd)
	}
	f.unlink()
	f.phase = gone
	l.reactor.StopTimer(&f.timer)
	if f.http != nil {
		f.http.drop()
	}
	if !f.deferred {
		l.streamFlows.leave(f)
	}
	if !m.over {
		m.streamOver()
	}
}

// streamOver checks whether the connection has a reason to go on.
func (m *mux) streamOver() {
	f := m.flow
	f.active = f.loop.tick
	if m.conn.Len() == 0 && f.settings.HTTP.KeepAlive == 0 {
		m.goAway()
	}
	if m.conn.Drained() || f.clientDone {
		f.loop.goOnLater(f)
	}
}

package engine

import (
	"net/http"
	"strconv"

	"reprise/backend/http1"
	"reprise/backend/http2"
)

// open makes a flow of a stream and begins to serve its request.
func (m *mux) open(e *http2.Event) {
	c, l := m.flow, m.flow.loop
	f := &flow{
		loop: l, listener: c.listener, phase: serving, peer: c.peer, tls: c.tls, mux: m, stream: e.Stream,
		clientDone: e.End, active: l.tick,
	}
	f.client.fd, f.backend.fd = -1, -1
	f.timer.Owner = f
	e.Stream.Owner = f
	if c.trace != nil {
		f.trace = &trace{start: l.now, handshake: c.trace.handshake}
	}
	l.count.http2.streams.Inc()
	h := &exchange{trusted: m.trusted, cert: m.cert, facts: m.facts, began: l.tick, served: int(e.Stream.ID / 2)}
	f.http = h
	if e.Refusal != nil {
		h.begin(f, e.Head)
		f.refuse(e.Refusal)
	} else {
		h.takeWhole(f, e.Head)
	}
	f.flushStream()
}

// fromStream takes a piece of a request's body, or of a tunnel, or their end.
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
		if h.stage == sending && h.in.len() == 0 {
			h.passStream(f, e.Data)
		} else {
			h.in.push(e.Data)
		}
	}
	f.flushStream()
}

// flushStream sends what a step has left for the backend. More must not be done now: the
// loop's buffers hold what the client has said.
func (f *flow) flushStream() {
	if f.phase == serving && f.flush() {
		f.credit()
		f.arm()
	}
}

// passStream passes on a piece of the body of a stream, which has no framing of its own.
func (h *exchange) passStream(f *flow, p []byte) {
	if len(p) > 0 {
		h.passBody(f, p)
	}
	if f.clientDone && f.phase == serving && f.http == h {
		h.bodyDone(f)
	}
}

// credit opens the stream's window for what no longer waits here for the backend. What is
// held for a uwsgi backend that must know its length is bounded by itself.
func (f *flow) credit() {
	if f.phase != serving || f.stream.Ended() {
		return
	}
	waiting := f.in.pending.len()
	if f.http != nil {
		waiting += f.http.in.len()
	}
	if n := f.stream.Held() - waiting; n > 0 {
		m := f.mux
		m.set(m.conn.Consumed(m.buffer(), f.stream, n))
	}
}

// firstRead is what is read of a backend whose response has not begun, whatever the
// client's windows: its head is not counted by them.
const firstRead = 4 << 10

// room is how much may be read of the backend.
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
	if f.http != nil && !f.http.answering {
		n = max(n, firstRead)
	}
	return min(n, len(l.in))
}

// sendHead sends the head of a response as a frame.
func (f *flow) sendHead(r *http1.Response, o *http1.Outgoing) {
	m, c := f.mux, f.mux.conn
	final := r.Status >= 200 || r.Status == 101
	c.BeginHead(f.stream, r.Status)
	dated := false
	for i := range r.Fields {
		field := &r.Fields[i]
		if !field.HopByHop() && !field.Is("Content-Length") && !o.Rules.Drops(field.Name) {
			c.Field(field.Name, field.Value)
			dated = dated || field.Is("Date")
		}
	}
	if final {
		if !dated {
			c.Lines(o.Date)
		}
		f.addFields(o, r.Length)
	}
	end := r.Status >= 200 && (r.Framing == http1.NoBody || r.Framing == http1.ByLength && r.Length == 0)
	m.set(c.AppendHead(m.buffer(), f.stream, end))
}

// addFields adds the length of a response's body, if it is known, and what rules add.
func (f *flow) addFields(o *http1.Outgoing, length int64) {
	c, l := f.mux.conn, f.loop
	if length >= 0 {
		l.value = strconv.AppendInt(l.value[:0], length, 10)
		c.Field(contentLength, l.value)
	}
	for i := range o.Rules.Len() {
		if l.value = o.Rules.AppendValue(l.value[:0], i, o.Facts, o.Nth); len(l.value) > 0 {
			l.name = append(l.name[:0], o.Rules.Name(i)...)
			c.Field(l.name, l.value)
		}
	}
}

var contentLength, contentType, plainText = []byte("Content-Length"), []byte("Content-Type"), []byte("text/plain")

// sendInterim sends a 1xx that no backend gave.
func (f *flow) sendInterim(status int) {
	c := f.mux.conn
	c.BeginHead(f.stream, status)
	f.mux.set(c.AppendHead(f.mux.buffer(), f.stream, false))
}

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

// sendOwnFrames answers in place of a backend with a status and its name.
func (f *flow) sendOwnFrames(status int, o *http1.Outgoing) {
	m, c := f.mux, f.mux.conn
	text := append([]byte(http.StatusText(status)), '\n')
	c.BeginHead(f.stream, status)
	c.Lines(o.Date)
	c.Field(contentType, plainText)
	f.addFields(o, int64(len(text)))
	out := c.AppendHead(m.buffer(), f.stream, f.http.isHead)
	if !f.http.isHead {
		out = c.AppendData(out, f.stream, text, true)
	}
	m.set(out)
}

// endStream ends a stream's flow. What was sent last may still wait in the connection for a
// window.
func (f *flow) endStream(why cause) {
	if f.phase == gone {
		return
	}
	l, m := f.loop, f.mux
	f.endTrace(why)
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
	if !m.over {
		m.streamOver()
	}
}

// streamOver looks whether the connection has a reason to go on.
func (m *mux) streamOver() {
	f := m.flow
	f.active = f.loop.tick
	if m.conn.Len() == 0 && f.listener.HTTP.KeepAlive == 0 {
		m.goodbye()
	}
	if m.conn.Drained() || f.clientDone {
		f.loop.goOnLater(f)
	}
}

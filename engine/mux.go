package engine

import (
	"reprise/backend/exchange"
	"reprise/backend/http2"
	"reprise/internal/queue"
)

// A mux replaces a flow's exchange when its client speaks HTTP/2. Each stream is a flow of its own,
// whose client is not a socket but this mux: finding a backend, waiting for it, using it and
// keeping it are the same for both.
//
// The output of streams is gathered as frames, and sent when the connection's own turn comes at the
// end of the round: in few records and one system call, however many backends have answered
// meanwhile.
type mux struct {
	flow    *flow // of the connection
	conn    *http2.Conn
	in      queue.Queue // an incomplete frame
	out     []byte      // frames to be sent
	frameAt uint64      // tick at which in began, 0 if it is empty
	served  bool        // there was a stream
	paused  bool        // the contents of in wait for the next turn
	full    bool        // streams wait for room on the way to the client
	over    bool        // the connection ends: streams' output is discarded
	failed  bool        // because the client violated the protocol

	client *exchange.Client // of later streams; earlier ones may have another
}

// maxSpareFrames bounds the buffers that a loop keeps for later muxes.
const maxSpareFrames = 64

// newMux begins an HTTP/2 connection.
func (f *flow) newMux() *mux {
	l := f.loop
	m := &mux{flow: f, conn: http2.New(f.settings.http2, &l.scratch)}
	m.renew()
	m.set(m.conn.Start(m.buffer()))
	l.count.HTTP2.Connections.Inc()
	return m
}

// renew uses the current configuration for later streams.
func (m *mux) renew() {
	f, before := m.flow, m.client
	f.settings = f.listener.settings
	client := f.aboutClient()
	client.HTTP2 = true
	if m.client = &client; before != nil && before.Facts != nil && client.Facts != nil {
		client.Facts.ID = before.Facts.ID // it is the same connection
	}
	if f.trace == nil && f.loop.o.Access != nil {
		f.trace = &trace{start: f.loop.now}
	}
}

// buffer returns the slice to append frames to, and set takes it back.
func (m *mux) buffer() []byte {
	l := m.flow.loop
	if n := len(l.spareFrames); m.out == nil && n > 0 {
		m.out, l.spareFrames = l.spareFrames[n-1], l.spareFrames[:n-1]
	}
	return m.out
}

func (m *mux) set(out []byte) {
	if m.out = out; len(out) > 0 {
		m.flow.loop.goOnLater(m.flow)
	}
}

// flush encrypts and sends the frames. It reports whether the flow lives.
func (m *mux) flush() bool {
	l := m.flow.loop
	out := m.out
	m.out = nil
	if len(out) > 0 && m.conn.Len() > 0 {
		m.flow.active = l.tick
	}
	for rest := out; len(rest) > 0; {
		n := min(len(rest), l.o.ReadSize)
		if !m.flow.toClient(rest[:n]) {
			return false
		}
		rest = rest[n:]
	}
	if cap(out) > 0 && cap(out) <= 4*l.o.ReadSize && len(l.spareFrames) < maxSpareFrames {
		l.spareFrames = append(l.spareFrames, out[:0])
	}
	return m.flow.phase == serving
}

// hasRoom reports whether the client takes more: its pending data are bounded.
func (m *mux) hasRoom() bool {
	l := m.flow.loop
	return l.hasRoom(&m.flow.out) && len(m.out) < l.o.HighWatermark
}

// wantsInput reports whether to read more from the client: not while it does not take the output of
// what it sent.
func (m *mux) wantsInput() bool { return !m.paused && m.hasRoom() }

// input handles the client's bytes.
func (m *mux) input(p []byte) {
	f := m.flow
	m.conn.Tick(f.loop.tick)
	if m.in.Len() > 0 {
		m.in.Push(p)
		m.in.Pop(m.take(m.in.Bytes()))
	} else {
		m.in.Push(p[m.take(p):])
	}
	switch {
	case m.over || f.phase != serving:
		m.in.Drop()
	case m.in.Len() == 0, m.paused:
		m.frameAt = 0
	case m.frameAt == 0:
		m.frameAt = f.loop.tick
	}
}

// take uses as much of p as it can and returns how much.
func (m *mux) take(p []byte) (used int) {
	for m.flow.phase == serving && !m.over {
		out, n, e := m.conn.Next(m.buffer(), p[used:])
		m.set(out)
		used += n
		if e.Kind == http2.None {
			break
		}
		m.on(&e)
		if used < len(p) && m.flow.loop.late() {
			m.paused = true
			m.flow.loop.goOnLater(m.flow)
			break
		}
	}
	return used
}

// on acts on an event.
func (m *mux) on(e *http2.Event) {
	var s *flow
	if e.Stream != nil {
		s, _ = e.Stream.Owner.(*flow)
	}
	switch e.Kind {
	case http2.Request:
		if m.served = true; m.flow.leaving() {
			m.shutdown()
		}
		m.flow.active = m.flow.loop.tick
		m.open(e)
	case http2.Data, http2.Trailers:
		m.flow.active = m.flow.loop.tick
		if s != nil {
			s.fromStream(e)
		}
	case http2.Reset:
		if e.Reason != "" {
			m.flow.loop.count.HTTP2.Faults.Inc(e.Reason)
		} else {
			m.flow.loop.count.HTTP2.Cancelled.Inc()
		}
		if s != nil {
			s.end(causeClientGone, atOnce)
		}
	case http2.Window:
		if s != nil {
			s.goOn()
		} else {
			m.wake()
		}
	case http2.Failed:
		m.flow.loop.count.HTTP2.Faults.Inc(e.Reason)
		m.failed = true
		if m.flush() {
			m.flow.end(causeProtocol, inWords)
		}
	}
}

// wake continues streams that waited for room on the way to the client.
func (m *mux) wake() {
	for stream := range m.conn.Streams {
		if s, ok := stream.Owner.(*flow); ok {
			s.goOn()
		}
	}
}

// goOn continues a stream whose backend has more, later: the loop's buffers are in use.
func (f *flow) goOn() {
	if f.backend.open() && f.backend.readable || f.call != nil && f.call.Held() > 0 {
		f.loop.goOnLater(f)
	}
}

// turn is a connection's turn.
func (m *mux) turn() bool {
	if m.paused {
		m.paused = false
		if m.input(nil); m.flow.phase != serving {
			return false
		}
		m.flow.loop.goOnLater(m.flow) // to read on
	}
	if !m.flush() {
		return false
	}
	if m.full && m.hasRoom() {
		m.full = false
		m.wake()
	}
	if m.conn.Drained() || m.flow.clientDone && m.conn.Len() == 0 {
		m.flow.end(causeDone, whole)
		return false
	}
	return true
}

// shutdown begins the end of the connection: requests under way are still served.
func (m *mux) shutdown() { m.set(m.conn.Shutdown(m.buffer())) }

// goAway refuses further requests.
func (m *mux) goAway() { m.set(m.conn.GoAway(m.buffer())) }

// inputDone handles a client that will send no more, and so cannot ask for more than its windows
// allow. Its calls to h2c backends are cancelled, as those expect of a client that goes away: they
// may be endless streams that send nothing for hours.
func (m *mux) inputDone() {
	for {
		var unfinished *flow
		for stream := range m.conn.Streams {
			if s, ok := stream.Owner.(*flow); ok &&
				(!s.clientDone || s.call != nil || s.waitsForCall()) {
				unfinished = s
				break
			}
		}
		if unfinished == nil {
			break
		}
		unfinished.end(causeTruncated, atOnce)
	}
	m.flow.loop.goOnLater(m.flow)
}

// closeStreams ends all streams with the connection.
func (m *mux) closeStreams(why cause) {
	if m.over {
		return
	}
	m.over = true
	for stream := range m.conn.Streams {
		if s, ok := stream.Owner.(*flow); ok {
			s.end(why, atOnce)
		}
	}
	m.in.Drop()
	m.out = nil
}

// deadline is when the client has taken too long.
func (m *mux) deadline() uint64 {
	f, o := m.flow, m.flow.settings.HTTP
	// Each stream has its own patience. Beyond it there may be answers that the windows do not
	// allow.
	at := f.active + 2*ticks(f.settings.IdleTimeout)
	if m.conn.Len() == 0 {
		at = f.active + ticks(o.KeepAlive)
		if !m.served {
			at = f.loop.firstRequest(f.active, o.HeadersTimeout)
		}
	}
	if m.frameAt != 0 {
		at = min(at, m.frameAt+ticks(o.HeadersTimeout))
	}
	return at
}

// timeout acts on the deadline.
func (m *mux) timeout() {
	if m.conn.Len() > 0 {
		m.flow.end(causeIdle, atOnce)
		return
	}
	m.goAway()
	if m.flush() {
		m.flow.end(causeIdle, whole)
	}
}

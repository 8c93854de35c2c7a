package engine

import (
	"time"

	"reprise/backend/tlsclient"
	"reprise/tlsconn"
)

// begin enters a phase with a deadline.
func (f *flow) begin(p phase, limit time.Duration) {
	f.phase, f.began, f.until = p, f.loop.tick, f.loop.tick+ticks(limit)
}

// restAfter is the idle time after which a connection gives up memory: the next record then costs a
// microsecond more.
const restAfter = uint64(time.Second / tick)

// stir records that TLS has work.
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
	case f.phase != serving, f.link.seeks():
		return f.until
	case f.http != nil:
		return f.requestPatience()
	case f.mux != nil && f.stream == nil:
		return f.mux.deadline()
	case f.out.end == closed && f.in.pending.Len() == 0:
		// The answer is complete and no data are pending for the backend; a client that merely does
		// not close need not keep two descriptors for long.
		return f.active + ticks(f.loop.o.LingerTimeout)
	default:
		return f.active + ticks(f.settings.IdleTimeout)
	}
}

// firstRequest is the tick by which the first request of a connection must have come that waits for
// it since then.
func (l *loop) firstRequest(since uint64, limit time.Duration) uint64 {
	at := since + ticks(limit)
	if l.draining {
		at = min(at, max(since, l.drainAt)+ticks(unusedGrace))
	}
	return at
}

// arm sets the timer if it would fire too late. A timer that fires early costs one check, which is
// cheaper than moving it whenever data move.
func (f *flow) arm() {
	if f.phase == gone {
		return
	}
	d := f.deadline()
	if at, ok := f.timer.IsSet(); !ok || d < at {
		f.loop.reactor.SetTimer(&f.timer, d)
	}
}

// OnTimer acts on a deadline that may have come.
func (f *flow) OnTimer() {
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
			f.handshakeStep(f.tls.GiveUp(l.out))
			f.progress()
			return
		}
		f.end(causeHandshakeTimeout, atOnce)
	case prefixing:
		f.end(causeHandshakeTimeout, atOnce)
	case peeking:
		f.peekTimeout()
		f.progress()
	case serving:
		f.servingTimer()
	default:
		f.end(causeNone, atOnce)
	}
}

// servingTimer is onTimer while serving.
func (f *flow) servingTimer() {
	switch f.link {
	case connecting:
		if f.waitsForCall() {
			f.callTimeout()
		} else {
			f.connectFailed()
		}
		f.progress()
		return
	case securing:
		f.securingFailed(tlsclient.ErrTooSlow)
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
	} else if f.stream != nil && !f.mux.hasRoom() && f.mux.flow.active > f.active {
		f.active = f.mux.flow.active // the client reads, but not as fast
	} else if f.http != nil {
		f.requestTimeout()
	} else if f.mux != nil && f.stream == nil {
		f.mux.timeout()
	} else {
		f.end(causeIdle, atOnce)
	}
	f.progress()
}

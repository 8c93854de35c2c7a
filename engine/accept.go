package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/reactor"
)

// accept takes waiting connections, as many as the budget allows so that a burst does not hold up
// established flows.
func (l *loop) accept(ln *listener) {
	if ln.held {
		ln.more = true // see Change.Commit
		return
	}
	from, extra := ln.fd, ln.extra
	for i := 0; i < l.o.AcceptBudget && (i == 0 || !l.late()); i++ {
		if l.count.Flows.Open.Load() >= int64(l.o.maxConnections()) {
			// They wait in the kernel's backlog, for as long as the clients wait.
			ln.paused = true
			l.count.Flows.Paused.Inc()
			return
		}
		fd, peer, err := rawAccept(from)
		switch err {
		case nil:
			client, why := l.connectClient(ln, peer)
			if why != causeNone {
				l.turnAway(ln, fd, why)
				continue
			}
			if l.handshakes.len >= l.o.maxHandshakes() &&
				(ln.tls != nil || ln.AcceptProxy != nil || ln.Peek != nil) {
				l.evictHandshake()
			}
			l.start(ln, fd, peer, client)
		case unix.EAGAIN:
			if len(extra) == 0 {
				return
			}
			from, extra = extra[0], extra[1:]
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EMFILE, unix.ENFILE:
			l.shed(ln, from)
			return
		default: // ENOBUFS and the like: later there may be room
			l.count.Flows.AcceptErrors.Inc()
			l.acceptAgain(ln)
			return
		}
	}
	l.acceptLater(ln)
}

// acceptLater accepts from ln again after the events that are waiting.
func (l *loop) acceptLater(ln *listener) {
	ln.more, l.turns.accept = true, true
}

// acceptOn continues what acceptLater has put off.
func (l *loop) acceptOn(ln *listener) {
	if ln.more && ln.fd >= 0 {
		l.reactor.Enter()
		defer l.reactor.Leave(ln)
		ln.more = false
		ln.OnEvent(ln.fd, 0)
	}
}

// OnEvent implements reactor.Handler.
func (ln *listener) OnEvent(int, reactor.Events) {
	if l := ln.loop; l.turns.steps.len() < maxSteps {
		l.accept(ln)
	} else {
		l.acceptLater(ln) // waiting connections have waited long enough
	}
}

// OnTimer ends the pause of acceptAgain.
func (ln *listener) OnTimer() { ln.loop.resumeAccept() }

// close implements member. Waiting connections are reset.
func (ln *listener) close(cause) {
	ln.loop.reactor.StopTimer(&ln.again)
	for _, fd := range ln.fds() {
		ln.loop.reactor.Unwatch(fd) // a successor may have the socket too
		unix.Close(fd)
	}
	ln.fd, ln.extra = -1, nil
}

// fds are the sockets of a listener that is not closed.
func (ln *listener) fds() []int {
	if ln.fd < 0 {
		return nil
	}
	return append([]int{ln.fd}, ln.extra...)
}

// shed refuses a connection when the process has no descriptor left: with an edge-triggered
// listener it would otherwise wait unnoticed until the next one.
func (l *loop) shed(ln *listener, from int) {
	l.count.Flows.NoDescriptor.Inc()
	if l.reserve < 0 {
		l.acceptAgain(ln)
		return
	}
	unix.Close(l.reserve)
	if fd, _, err := unix.Accept4(from, unix.SOCK_CLOEXEC); err == nil {
		unix.Close(fd)
	}
	l.reserve, _ = openReserve()
	l.acceptLater(ln)
}

// acceptAgainAfter is the delay after which a loop that could not accept tries again.
const acceptAgainAfter = 100 * time.Millisecond

// acceptAgain stops accepting until a flow ends, or for a while: the missing resource may be in use
// elsewhere, and this loop may have no flows.
func (l *loop) acceptAgain(ln *listener) {
	ln.paused = true
	ln.again.Owner = ln
	l.reactor.SetTimer(&ln.again, l.tick+ticks(acceptAgainAfter))
}

// resumeAccept accepts again after a flow has ended.
func (l *loop) resumeAccept() {
	if l.reserve < 0 {
		l.reserve, _ = openReserve()
	}
	for _, ln := range l.listeners {
		if ln.paused && ln.fd >= 0 {
			ln.paused = false
			l.acceptLater(ln)
		}
	}
	if l.draining {
		l.endIfDrained()
	}
}

// leaveLoop accepts as before, but asks clients to go elsewhere: HTTP/1 with each response, HTTP/2
// after its first request. It closes no connection that a client may be about to use.
func leaveLoop(arg any) {
	l := arg.(*loop)
	l.reactor.Enter()
	defer l.reactor.Leave(nil)
	l.leaving = true
	l.askToLeave()
}

// askToLeave begins the shutdown of used HTTP/2 connections whose clients are to go elsewhere.
func (l *loop) askToLeave() {
	l.reactor.Each(func(_ int, h reactor.Handler) {
		if f, ok := h.(*flow); ok && f.mux != nil && f.stream == nil && f.phase == serving &&
			f.mux.served && f.leaving() {
			f.mux.shutdown()
		}
	})
}

// unusedGrace is how long, while the loop drains, a client may take for the first request of a
// connection, which may have been made just before.
const unusedGrace = 2 * time.Second

// drainLoop stops accepting. Connections in the backlog are still served: closing the listener
// would reset them. HTTP connections between two requests are closed, the others after the current
// request, or after their first.
func drainLoop(arg any) {
	l := arg.(*loop)
	l.reactor.Enter()
	defer l.reactor.Leave(nil)
	for _, ln := range l.listeners {
		l.stopAccepting(ln)
	}
	l.leaving, l.draining, l.drainAt = true, true, l.tick
	for n := range l.idle {
		l.closeIdle(n)
	}
	l.reactor.Each(func(_ int, h reactor.Handler) {
		if c, ok := h.(*sharedConn); ok {
			l.shareLater(c) // to close it when it has no calls
			return
		}
		f, ok := h.(*flow)
		switch {
		case !ok || f.phase != serving || f.stream != nil:
			return
		case f.mux != nil && f.mux.served:
			f.mux.shutdown()
		case f.http != nil && f.http.Between() && f.http.Served() > 0:
			f.end(causeDone, whole)
		}
		f.arm() // an unused one has less time from now on
	})
	l.endIfDrained()
}

// stopAccepting accepts the connections in ln's queue, which the close would reset, and closes it.
// It accepts no more than the queue holds, or a flood would keep it busy.
func (l *loop) stopAccepting(ln *listener) {
	if ln.fd < 0 {
		return
	}
	most := l.count.Flows.Accepted.Load() + uint64(l.o.Backlog)
	for before := uint64(0); before != l.count.Flows.Accepted.Load() && before < most; {
		before = l.count.Flows.Accepted.Load()
		l.accept(ln)
	}
	ln.close(causeShutdown)
}

func (l *loop) endIfDrained() {
	if l.count.Flows.Open.Load() == 0 {
		select {
		case <-l.drained:
		default:
			close(l.drained)
		}
	}
}

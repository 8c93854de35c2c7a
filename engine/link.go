package engine

import (
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/reactor"
)

// link is how far a flow's backend connection is.
type link uint8

const (
	unlinked   link = iota
	queued          // every backend that is well has as many connections as it may
	connecting      // to node
	linked
)

// seek finds a backend and starts a connection to it, or takes one that waits.
func (f *flow) seek() {
	if f.listener.waiting.first != nil {
		f.joinQueue() // nobody overtakes those who wait, or they might wait for ever
		return
	}
	f.seekFrom(f.pick())
}

func (f *flow) pick() (*backend.Node, backend.Verdict) {
	ln := f.listener
	if int(f.tries) > ln.MaxRetries {
		return nil, backend.Down
	}
	return ln.Backends.Pick(&ln.cursor, f.peer.Addr(), f.avoid, f.loop.now)
}

// seekFrom is seek after the first pick.
func (f *flow) seekFrom(node *backend.Node, verdict backend.Verdict) {
	for ; ; node, verdict = f.pick() {
		switch verdict {
		case backend.Full:
			f.joinQueue()
			return
		case backend.Down:
			f.noBackend()
			return
		}
		f.node = node
		f.tries++
		if f.http != nil && f.reuse() {
			return
		}
		switch f.connect() {
		case nil:
			return
		case unix.EMFILE, unix.ENFILE:
			f.end(causeSystem, atOnce)
			return
		}
		f.nodeFailed()
	}
}

// beginElsewhere makes each loop's round begin with another backend: the first one
// would else get more than its share of little traffic.
func (ln *listener) beginElsewhere() {
	for range ln.loop.id {
		if node, verdict := ln.Backends.Pick(&ln.cursor, netip.Addr{}, nil, ln.loop.now); verdict == backend.Picked {
			node.Release()
		}
	}
}

// connect starts a connection to the node.
func (f *flow) connect() error {
	l := f.loop
	fd, err := l.connect(f.node, &f.listener.cursor)
	if err != nil {
		return err
	}
	f.backend = socket{fd: fd}
	if err := l.reactor.Watch(fd, f); err != nil {
		unix.Close(fd)
		f.backend.fd = -1
		return unix.EMFILE
	}
	f.link, f.began, f.until = connecting, l.tick, l.tick+ticks(f.listener.ConnectTimeout)
	// On this machine the connection may stand already; if not, the write says so.
	f.backend.writable = f.in.pending.len() > 0
	return nil
}

// connectEvent learns how a connection attempt ended.
func (f *flow) connectEvent(e reactor.Events) {
	if !e.Failed() && !e.Writable() {
		return
	}
	// The event may belong to the descriptor's predecessor, so ask the socket.
	switch connected, err := connectResult(f.backend.fd); {
	case err != nil:
		f.connectFailed()
	case connected:
		f.connected()
	}
}

func (f *flow) connected() {
	l := f.loop
	f.node.Connected()
	took := l.now.Sub(l.timeOf(f.began))
	l.count.connect.Observe(took)
	if f.trace != nil {
		f.trace.connect = took
	}
	f.link, f.active = linked, l.tick
	if f.http != nil {
		f.http.linked(f)
	}
}

// connectFailed turns to the next backend. Nothing has been sent to the one
// that failed, so the client need not notice.
func (f *flow) connectFailed() {
	f.loop.closeSocket(&f.backend)
	f.nodeFailed()
	f.seek()
}

// nodeFailed gives up the node, with the connections to it that wait: they would
// only make the next request fail, and hide from the pool that it is well again.
func (f *flow) nodeFailed() {
	f.node.Failed(f.loop.now)
	f.loop.closeIdle(f.node)
	f.node.Release()
	f.node, f.avoid, f.link = nil, f.node, unlinked
}

// noBackend tells the client that nobody can serve it.
func (f *flow) noBackend() {
	if f.http != nil {
		f.reply(503)
		return
	}
	f.end(causeNoBackend, atOnce)
}

// A waitingList holds flows in the order in which they are to get a backend.
type waitingList struct {
	flowList
	posted atomic.Bool // roomTask is on its way to the loop
	some   atomic.Bool // written by the loop
}

// joinQueue waits for a backend with room, if not too many do.
func (f *flow) joinQueue() {
	l, ln := f.loop, f.listener
	if f.link == queued {
		return // it was asked to try again, and somebody else was faster
	}
	if !ln.Backends.Enqueue() {
		f.noBackend()
		return
	}
	f.link, f.until = queued, l.tick+ticks(ln.ConnectTimeout)
	ln.waiting.push(f)
	ln.waiting.some.Store(true)
	// A place that was given back between Pick and now was not told of.
	ln.roomMade()
}

// leaveQueue ends the wait.
func (f *flow) leaveQueue() {
	if f.link != queued {
		return
	}
	w := &f.listener.waiting
	w.remove(f)
	f.link = unlinked
	w.some.Store(w.first != nil)
	f.listener.Backends.Dequeue()
}

// roomMade tells the loop that a backend has room. It may be called from any
// goroutine.
func (ln *listener) roomMade() {
	if ln.waiting.some.Load() && ln.waiting.posted.CompareAndSwap(false, true) {
		ln.loop.reactor.Post(roomTask, ln)
	}
}

// roomTask lets those who wait try again, until one finds no room.
func roomTask(arg any) {
	ln := arg.(*listener)
	ln.waiting.posted.Store(false)
	for f := ln.waiting.first; f != nil && ln.loop.seekAgain(f); f = ln.waiting.first {
	}
}

// seekAgain reports whether f need not wait any more.
func (l *loop) seekAgain(f *flow) bool {
	l.reactor.Enter()
	defer l.reactor.Leave(f)
	node, verdict := f.pick()
	if verdict == backend.Full {
		return false
	}
	f.leaveQueue()
	f.seekFrom(node, verdict)
	f.progress()
	return true
}

package engine

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/internal/metric"
	"reprise/internal/reactor"
)

// link is the state of a flow's backend connection.
type link uint8

const (
	unlinked   link = iota
	postponed       // until the end of the round: the client may cancel the request at once
	queued          // all healthy backends are full
	connecting      // to node
	securing        // the connection is established, and TLS with the backend is being negotiated
	linked
)

// seeks reports whether a backend is being looked for, or connected to.
func (k link) seeks() bool { return k == queued || k == connecting || k == securing }

// A route is one loop's state for a pool.
type route struct {
	loop    *loop
	pool    *backend.Pool
	cursor  backend.Cursor
	waiting waitingList                      // flows that wait for a backend with room
	served  metric.Histograms[backend.Class] // how long requests took
}

// routeTo returns the route to a pool, and makes it if there is none. Pools come and go with their
// subscribers; routes to closed ones are removed when one is added.
func (l *loop) routeTo(pool *backend.Pool) *route {
	r := l.routes[pool]
	if r != nil {
		return r
	}
	l.forgetRoutes()
	r = &route{loop: l, pool: pool}
	l.routes[pool] = r
	pool.OnRoom(r.roomMade)
	pool.Observe(&r.served)
	r.beginElsewhere()
	return r
}

// forgetRoutes removes routes to pools that no rule leads to any more.
func (l *loop) forgetRoutes() {
	for pool, r := range l.routes {
		if pool.Closed() && r.waiting.first == nil {
			delete(l.routes, pool)
		}
	}
}

// choosePool finds the pool of a connection or request by its names and path, and reports whether
// there is one. seek uses it from then on.
func (f *flow) choosePool(serverName string, host, path []byte) bool {
	pool := f.settings.Pools.Pool(serverName, host, path)
	if pool == nil {
		f.route = nil
		return false
	}
	if f.route == nil || f.route.pool != pool {
		f.route = f.loop.routeTo(pool)
	}
	return true
}

// serverName returns the server name of the client's TLS handshake.
func (f *flow) serverName() string {
	if f.tls == nil {
		return ""
	}
	return f.tls.Info().ServerName
}

// seek finds a backend and starts a connection to it, or takes a waiting one.
func (f *flow) seek() {
	if f.route.waiting.first != nil {
		f.joinQueue() // a new flow must not overtake waiting ones, which might wait for ever
		return
	}
	f.seekFrom(f.pick())
}

func (f *flow) pick() (*backend.Node, backend.Verdict) {
	r := f.route
	if int(f.tries) > r.pool.Options().Retries {
		return nil, backend.Down
	}
	return r.pool.Pick(&r.cursor, f.peer.Addr(), f.avoid, f.loop.now)
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
		if f.log != nil {
			f.tellBackend("backend chosen")
		}
		if f.http != nil && f.reuse() {
			return
		}
		var err error
		if node.Protocol() == backend.H2C {
			err = f.linkShared()
		} else {
			err = f.connect()
		}
		switch err {
		case nil:
			return
		case unix.EMFILE, unix.ENFILE:
			f.end(causeSystem, atOnce)
			return
		}
		f.nodeFailed()
	}
}

// beginElsewhere makes each loop's round begin with another backend: otherwise the first one would
// get too much of little traffic.
func (r *route) beginElsewhere() {
	for range r.loop.id {
		if node, verdict := r.pool.Pick(&r.cursor, netip.Addr{}, nil,
			r.loop.now); verdict == backend.Picked {
			node.Release()
		}
	}
}

// connect starts a connection to the node.
func (f *flow) connect() error {
	l := f.loop
	f.noTLS = false
	early := f.in.pending.Len() > 0
	fd, err := l.connect(f.node, &f.route.cursor, early || f.http != nil || f.node.TLS() != nil)
	if err != nil {
		return err
	}
	f.backend = socket{fd: fd}
	if err := l.reactor.Watch(fd, f); err != nil {
		unix.Close(fd)
		f.backend.fd = -1
		return unix.EMFILE
	}
	f.link, f.began, f.until = connecting, l.tick,
		l.tick+ticks(f.route.pool.Options().ConnectTimeout)
	// A connection on this machine may be established already; if not, the write fails.
	f.backend.writable = early && f.node.TLS() == nil
	return nil
}

// connectEvent handles the end of a connection attempt.
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
	if f.link == connecting && f.node.TLS() != nil {
		f.beginSecuring()
		return
	}
	f.node.Connected()
	took := l.now.Sub(l.timeOf(f.began))
	l.count.Flows.Connect.Observe(took)
	if f.trace != nil {
		f.trace.connect = took
	}
	f.link, f.active = linked, l.tick
	if f.log != nil {
		f.tellBackend("backend connected")
	}
	if f.http != nil {
		f.requestLinked(false)
	}
}

// connectFailed tries the next backend. Nothing has been sent to the failed one, so the client need
// not notice.
func (f *flow) connectFailed() {
	f.loop.closeSocket(&f.backend)
	f.nodeFailed()
	f.seek()
}

// nodeFailed gives up the node and its waiting connections: those would only make the next request
// fail, and hide from the pool that the node is up again.
func (f *flow) nodeFailed() {
	if f.log != nil {
		f.tellBackend("backend failed")
	}
	f.node.Failed(f.loop.now)
	f.loop.closeIdle(f.node)
	f.node.Release()
	f.node, f.avoid, f.link = nil, f.node, unlinked
}

// noBackend tells the client that no backend can serve it.
func (f *flow) noBackend() {
	if f.http != nil {
		status := 503
		if f.noTLS {
			status = 502
		}
		f.refuse(status, exchange.NoBackend, false)
		return
	}
	f.end(causeNoBackend, atOnce)
}

// A waitingList holds flows in the order in which they are to get a backend.
type waitingList struct {
	flowList
	posted atomic.Bool // roomTask is posted to the loop
	some   atomic.Bool // written by the loop
}

// joinQueue waits for a backend with room, unless too many flows wait.
func (f *flow) joinQueue() {
	l, r := f.loop, f.route
	if f.link == queued {
		return // it was asked to try again, but another flow was faster
	}
	if !r.pool.Enqueue() {
		f.noBackend()
		return
	}
	f.link, f.until = queued, l.tick+ticks(r.pool.Options().ConnectTimeout)
	r.waiting.push(f)
	r.waiting.some.Store(true)
	// There was no wake-up for a slot released between Pick and now.
	r.roomMade()
}

// leaveQueue ends the wait.
func (f *flow) leaveQueue() {
	if f.link != queued {
		return
	}
	w := &f.route.waiting
	w.remove(f)
	f.link = unlinked
	w.some.Store(w.first != nil)
	f.route.pool.Dequeue()
}

// roomMade tells the loop that a backend has room. It may be called from any
// goroutine.
func (r *route) roomMade() {
	if r.waiting.some.Load() && r.waiting.posted.CompareAndSwap(false, true) {
		r.loop.reactor.Post(roomTask, r)
	}
}

// roomTask lets waiting flows try again, until one finds no room. If that takes long, because there
// is room for all or the last backend has gone, the rest follows in the next round.
func roomTask(arg any) {
	r := arg.(*route)
	r.waiting.posted.Store(false)
	start := time.Now()
	for f := r.waiting.first; f != nil && r.loop.seekAgain(f); f = r.waiting.first {
		if time.Since(start) >= turnTime {
			r.roomMade()
			return
		}
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

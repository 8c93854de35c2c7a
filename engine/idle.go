package engine

import (
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/reactor"
)

// An idleConn is a backend connection that waits for the next request. It belongs to its loop. Any
// event ends it: no request is under way on it.
type idleConn struct {
	loop *loop
	list *idleList
	socket
	timer reactor.Timer

	prev, next *idleConn // prev is the older one
	parked     uint64    // the reactor's last look before
}

// An idleList is the connections of one backend, the last used at its end: the backend is the least
// likely to close that one, and the others may time out.
type idleList struct {
	last, first *idleConn
	// the first of those parked since the reactor's last look, if its parked says so
	unseen   *idleConn
	len      int
	answered uint64 // tick of the backend's last complete response
}

// idleOf returns the list of n.
func (l *loop) idleOf(n *backend.Node) *idleList {
	list := l.idle[n]
	if list == nil {
		l.forgetNodes()
		list = new(idleList)
		l.idle[n] = list
	}
	return list
}

// forgetNodes removes nodes that are in no pool any more: members come and go.
func (l *loop) forgetNodes() {
	for n := range l.idle {
		if n.Removed() {
			l.closeIdle(n)
			delete(l.idle, n)
		}
	}
	for n, g := range l.shared {
		for _, c := range g.conns {
			if n.Removed() {
				l.shareLater(c) // to close it when it has no calls
			}
		}
	}
}

// maxFreeConns bounds the structures kept for later connections.
const maxFreeConns = 256

// park keeps the backend's connection for the next request of any client, and releases the slot.
func (f *flow) park() {
	l, o := f.loop, f.settings.HTTP
	list := l.idleOf(f.node)
	if o.BackendKeepAlive == 0 || l.draining || f.node.Removed() {
		f.unlink()
		return
	}
	if list.len >= o.BackendKeepAlive {
		list.first.close(causeNone)
	}
	var c *idleConn
	if n := len(l.freeConns); n > 0 {
		c, l.freeConns = l.freeConns[n-1], l.freeConns[:n-1]
	} else {
		c = &idleConn{loop: l}
		c.timer.Owner = c
	}
	c.list, c.socket = list, f.backend
	f.backend = socket{fd: -1}
	f.unlink()
	l.reactor.GiveFirst(c.fd, c)
	c.parked = l.reactor.Looks()
	if list.unseen == nil || list.unseen.parked != c.parked {
		list.unseen = c
	}
	if c.prev = list.last; c.prev != nil {
		c.prev.next = c
	} else {
		list.first = c
	}
	list.last = c
	list.len++
	l.reactor.SetTimer(&c.timer, l.tick+ticks(o.BackendIdleTimeout))
}

// reuse takes a waiting connection to the node, if there is one.
func (f *flow) reuse() bool {
	l := f.loop
	list := l.idle[f.node]
	if f.route.pool.Options().SendProxy > 0 {
		return false // a waiting connection may be from before the pool's backends got headers
	}
	for list != nil && list.len > 0 && !f.http.Exchange().Retried() {
		c, seen := list.newest(l)
		if !(seen && f.http.Exchange().Repeatable() && c.tls == nil) && c.stale(f.node) {
			c.close(causeNone)
			continue
		}
		f.backend = c.socket
		c.leave()
		l.reactor.Give(f.backend.fd, f)
		l.count.HTTP.Reused.Inc()
		if f.log != nil {
			f.tellBackend("backend's kept connection is used")
		}
		f.link, f.active = linked, l.tick
		f.requestLinked(true)
		return true
	}
	return false
}

// knownFor is how old a look at a waiting connection may be.
const knownFor = time.Millisecond

// newest returns the connection to use next. It reports whether that is known to be quiet:
// unsolicited data of a backend would be taken for the answer.
//
// The reactor has checked all that were parked before this round, and reported their events first;
// asking the kernel again costs 3 % of a small request. The check may be a millisecond old, about
// as long as a backend's data are under way anyway. A request that cannot be repeated if the
// connection turns out to have ended asks nevertheless.
func (list *idleList) newest(l *loop) (c *idleConn, seen bool) {
	c = list.last
	if c.parked == l.reactor.Looks() && list.unseen.prev != nil {
		c = list.unseen.prev
	}
	return c, c.parked != l.reactor.Looks() && l.reactor.Known(knownFor)
}

// leave takes c out of its list, for use or for good.
func (c *idleConn) leave() {
	if c.list.unseen == c {
		c.list.unseen = c.next
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		c.list.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		c.list.last = c.prev
	}
	c.list.len--
	l := c.loop
	l.reactor.StopTimer(&c.timer)
	c.list, c.prev, c.next = nil, nil, nil
	c.socket = socket{fd: -1}
	if len(l.freeConns) < maxFreeConns {
		l.freeConns = append(l.freeConns, c)
	}
}

func (c *idleConn) OnEvent(_ int, e reactor.Events) {
	// An edge for room to write is no news.
	if e.Readable() || e.Ended() || e.Failed() {
		if c.tls != nil && !e.Ended() && !e.Failed() {
			if c.note(e); c.loop.quiet(&c.socket) {
				return // a session, which a backend may send at any time
			}
		}
		c.close(causeNone)
	}
}

func (c *idleConn) OnTimer() { c.close(causeNone) }

// close implements member; no data are lost whatever the cause.
func (c *idleConn) close(cause) {
	if c.list == nil {
		return
	}
	c.sendCloseNotify()
	c.loop.closeSocket(&c.socket)
	c.leave()
}

// closeIdle closes the waiting connections to n.
func (l *loop) closeIdle(n *backend.Node) {
	for list := l.idle[n]; list != nil && list.first != nil; {
		list.first.close(causeNone)
	}
}

// stale reports whether c must not be used for a request to n.
func (c *idleConn) stale(n *backend.Node) bool {
	if c.tls == nil {
		return stale(c.fd)
	}
	c.readable = true // as far as is known
	return c.tls.client != n.TLS() || !c.loop.quiet(&c.socket)
}

// hasMore reports whether a backend has sent unsolicited data.
func (l *loop) hasMore(s *socket) bool {
	if s.tls == nil {
		return s.readable && stale(s.fd)
	}
	return !l.quiet(s)
}

// stale reports whether the backend of a waiting connection has ended it meanwhile, or sent
// something, as far as the kernel knows.
func stale(fd int) bool {
	_, err := rawPeek(fd)
	return err != unix.EAGAIN
}

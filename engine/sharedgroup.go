package engine

import (
	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/http2"
)

// A sharedGroup is a loop's connections to one backend, and the flows that wait for a place on one.
type sharedGroup struct {
	node    *backend.Node
	cursor  backend.Cursor
	conns   []*sharedConn // that take calls, or will
	waiting flowList
	limit   int    // calls that a connection takes, as far as is known
	retryAt uint64 // tick before which no connection is added to others
}

// maxSharedConns bounds a loop's connections to a backend: if that allows few calls on each,
// requests wait.
const maxSharedConns = 16

// sharedOf returns the group of a backend, and makes it if there is none.
func (l *loop) sharedOf(n *backend.Node) *sharedGroup {
	g := l.shared[n]
	if g == nil {
		for other, g := range l.shared { // members of a pool come and go
			if other.Removed() && len(g.conns) == 0 && g.waiting.first == nil {
				delete(l.shared, other)
			}
		}
		g = &sharedGroup{node: n}
		if l.shared == nil {
			l.shared = make(map[*backend.Node]*sharedGroup)
		}
		l.shared[n] = g
	}
	return g
}

// withRoom returns a connection that takes a call: the first, so that there are as few as possible,
// and those added by a burst end.
func (g *sharedGroup) withRoom() *sharedConn {
	for _, c := range g.conns {
		if c.phase == sharedServing && c.conn.Room() > 0 {
			return c
		}
	}
	return nil
}

// serves reports whether there is an established connection.
func (g *sharedGroup) serves() bool {
	for _, c := range g.conns {
		if c.phase == sharedServing {
			return true
		}
	}
	return false
}

func (g *sharedGroup) remove(c *sharedConn) {
	for i := range g.conns {
		if g.conns[i] == c {
			g.conns = append(g.conns[:i], g.conns[i+1:]...)
			return
		}
	}
}

// grow makes another connection if those under way have no place for all waiting flows.
func (g *sharedGroup) grow(l *loop, s *settings, connectTimeout uint64) error {
	expected := 0
	for _, c := range g.conns {
		if c.phase < sharedServing {
			expected += max(g.limit, 1)
		} else {
			expected += c.conn.Room()
		}
	}
	if g.waiting.len <= expected || len(g.conns) >= maxSharedConns || len(g.conns) > 0 &&
		l.tick < g.retryAt {
		return nil
	}
	fd, err := l.connect(g.node, &g.cursor, true)
	if err != nil {
		return err
	}
	c := &sharedConn{
		loop: l, group: g, socket: socket{fd: fd}, since: l.tick, connectTimeout: connectTimeout,
		idleTimeout: ticks(s.HTTP.BackendIdleTimeout),
		conn:        http2.NewBackend(s.http2Backend, &l.scratch),
	}
	c.timer.Owner = c
	if err := l.reactor.Watch(fd, c); err != nil {
		unix.Close(fd)
		return unix.EMFILE
	}
	if g.limit == 0 {
		g.limit = s.http2Backend.MaxCalls
	}
	g.conns = append(g.conns, c)
	g.node.Pool().Shared().Conns.Inc()
	l.reactor.SetTimer(&c.timer, l.tick+connectTimeout)
	return nil
}

// serve gives waiting flows a place on a connection, for as long as c's turn lasts.
func (c *sharedConn) serve() {
	l, g := c.loop, c.group
	for f := g.waiting.first; f != nil; f = g.waiting.first {
		to := g.withRoom()
		if to == nil {
			// Flows that cannot be served now wait; a timer ends their wait.
			_ = g.grow(l, f.settings, ticks(f.route.pool.Options().ConnectTimeout))
			return
		}
		g.waiting.remove(f)
		c.turnOf(f)
		f.linkTo(to)
		if c.leave(f); l.late() {
			l.shareLater(c)
			return
		}
	}
}

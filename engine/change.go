package engine

import (
	"slices"
)

// A Change replaces the listeners and limits of a running engine. Preparing does all that may fail;
// nothing takes effect before Commit, which cannot fail. Either Commit or Discard must be called,
// and no other Change made before.
//
// Existing connections go on, also those of removed listeners. A relayed connection keeps the
// settings that it began with. An HTTP client's next request uses the new ones; if its listener is
// gone, the next response asks it to go elsewhere.
type Change struct {
	Added, Removed []string // addresses of listeners

	e     *Engine
	o     Options
	bound []*bound               // in the new order
	fresh map[*bound][]*settings // of those that stay
	added []*bound
	// of another kind at the same address, by the listener whose sockets they take
	heirs  map[*bound]*bound
	leaves []*bound
}

// Prepare makes a change. It uses those fields of o that NewOptions lists; existing addresses stay
// bound. An error changes nothing.
func (e *Engine) Prepare(o Options, listeners []Listener) (c *Change, err error) {
	c = &Change{
		e: e, o: e.live(&o), fresh: make(map[*bound][]*settings),
		heirs: make(map[*bound]*bound),
	}
	defer func() {
		if err != nil {
			c.Discard()
			c = nil
		}
	}()
	made := make([][]*settings, len(listeners))
	for i := range listeners {
		if made[i], err = e.prepareSettings(&listeners[i], &c.o); err != nil {
			return c, err
		}
	}
	c.match(listeners, made)
	var leaving []string
	for _, b := range c.leaves {
		c.Removed = append(c.Removed, b.address)
		leaving = append(leaving, b.address)
	}
	for i := range listeners {
		if c.bound[i] != nil {
			continue
		}
		b, err := e.bind(listeners[i], made[i], leaving)
		if b != nil {
			c.added = append(c.added, b) // which Discard closes
		}
		if err != nil {
			return c, err
		}
		c.bound[i] = b
		c.Added = append(c.Added, b.address)
	}
	return c, c.watch()
}

// match gives listeners what is bound already: of the same kind, or only at the same address, which
// is then another's. The others are removed.
func (c *Change) match(listeners []Listener, made [][]*settings) {
	c.bound, c.leaves = make([]*bound, len(listeners)), slices.Clone(c.e.bound)
	take := func(i int, fits func(*bound) bool) *bound {
		at := slices.IndexFunc(c.leaves,
			func(b *bound) bool { return b.asked == listeners[i].Address && fits(b) })
		if c.bound[i] != nil || at < 0 {
			return nil
		}
		b := c.leaves[at]
		c.leaves = slices.Delete(c.leaves, at, at+1)
		return b
	}
	for i := range listeners {
		if b := take(i, func(b *bound) bool { return b.kind == kindOf(&listeners[i]) }); b != nil {
			c.bound[i], c.fresh[b] = b, made[i]
			setAddress(made[i], b.address)
		}
	}
	for i := range listeners {
		if b := take(i, func(b *bound) bool { return b.Network == listeners[i].Network }); b != nil {
			c.bound[i] = b.heir(&listeners[i], made[i])
			c.heirs[b] = c.bound[i]
		}
	}
}

// live returns the options of the start with the changeable ones of o.
func (e *Engine) live(o *Options) Options {
	live := e.o
	live.HighWatermark = o.HighWatermark
	live.MaxConnections, live.MaxHandshakes = o.MaxConnections, o.MaxHandshakes
	live.HandshakeTimeout, live.LookupTimeout, live.LingerTimeout = o.HandshakeTimeout,
		o.LookupTimeout, o.LingerTimeout
	live.Access, live.Limits = o.Access, o.limits()
	return live
}

func setAddress(made []*settings, address string) {
	for _, s := range made {
		s.Address = address
	}
}

// heir makes a listener of another kind that takes over the sockets of b.
func (b *bound) heir(ln *Listener, made []*settings) *bound {
	setAddress(made, b.address)
	h := &bound{kind: kindOf(ln), asked: b.asked, address: b.address, path: b.path}
	for i, own := range b.own {
		h.own = append(h.own, &listener{settings: made[i], loop: own.loop, fd: -1, port: own.port})
	}
	return h
}

// watch makes the loops watch the added sockets. Their connections wait for Commit.
func (c *Change) watch() error {
	errs := make([]error, len(c.e.loops))
	c.e.everywhere(func(l *loop) {
		for _, b := range c.added {
			own := b.own[l.id]
			own.held = true
			if err := l.reactor.WatchInput(own.fd, own); err != nil {
				errs[l.id] = listenError(b.address, err)
			}
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard frees the prepared resources.
func (c *Change) Discard() {
	c.e.everywhere(func(l *loop) {
		for _, b := range c.added {
			if l.id < len(b.own) {
				b.own[l.id].close(causeShutdown)
			}
		}
	})
	for _, b := range c.added {
		b.removePath()
	}
}

// Commit makes the change on all loops, and returns when all have made it.
func (c *Change) Commit() {
	c.e.mu.Lock()
	c.e.bound = c.bound
	c.e.mu.Unlock()
	c.e.everywhere(c.commitOn)
	for _, b := range c.leaves {
		b.removePath()
	}
}

// commitOn makes the change on one loop, between two turns of any flow.
func (c *Change) commitOn(l *loop) {
	gone := len(c.leaves)+len(c.heirs) > 0
	for _, b := range c.leaves {
		own := b.own[l.id]
		l.stopAccepting(own)
		own.leave()
	}
	for b, heir := range c.heirs {
		before, own := b.own[l.id], heir.own[l.id]
		own.fd, own.extra, before.fd, before.extra = before.fd, before.extra, -1, nil
		for _, fd := range own.fds() {
			l.reactor.Give(fd, own)
		}
		before.leave()
	}
	for b, fresh := range c.fresh {
		b.own[l.id].replace(fresh[l.id])
	}
	l.o, l.listeners = c.o, nil
	for _, b := range c.bound {
		own := b.own[l.id]
		own.held = false
		l.listeners = append(l.listeners, own)
		if l.draining {
			own.close(causeShutdown)
		} else if own.fd >= 0 {
			own.paused = false
			l.acceptLater(own)
		}
	}
	l.forgetRoutes()
	l.forgetNodes()
	if gone {
		l.askToLeave()
	}
}

// leave removes ln; its existing connections go on.
func (ln *listener) leave() {
	ln.removed = true
	if ln.tls != nil {
		ln.tls.Close()
	}
}

// everywhere runs f on each loop, as a turn of its own, and returns when all have. It must not be
// called before Start; loops that have ended skip it.
func (e *Engine) everywhere(f func(l *loop)) {
	done := make([]chan struct{}, len(e.loops))
	for i, l := range e.loops {
		done[i] = make(chan struct{})
		l.reactor.Post(func(any) {
			defer close(done[i])
			l.reactor.Enter()
			defer l.reactor.Leave(nil)
			f(l)
		}, nil)
	}
	for i, l := range e.loops {
		select {
		case <-done[i]:
		case <-l.over:
		}
	}
}

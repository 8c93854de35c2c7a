package engine

import (
	"time"

	"reprise/backend/http2"
	"reprise/internal/queue"
	"reprise/internal/reactor"
)

// A sharedConn is a loop's connection to a backend of HTTP/2. It is bound to no client: the
// requests of many are calls on it, be they streams of HTTP/2 or not. What they send is
// gathered as frames and leaves at the end of the round in one system call; what comes is
// handed to their flows piece by piece.
type sharedConn struct {
	loop  *loop
	group *sharedGroup
	socket
	way    way         // frames that the socket has not taken yet
	frames []byte      // to be sent
	in     queue.Queue // an incomplete frame, or what the last turn did not get to
	conn   *http2.Backend
	phase  sharedPhase

	deferred bool // has a turn at the end of the round
	paused   bool // what is in in waits for it
	full     bool // flows wait for room on the way to the backend
	used     bool // it has served a request
	toDrop   int  // flows that waited for it in vain, and have not been told

	turn  uint32 // call that was the last to be let out by a window in part
	heard uint64 // tick at which the backend said something
	since uint64 // tick at which the phase began, or since which there is no call
	last  *flow  // whose output the turn gathers

	before *http2.Call // that it had before what the turn does with it

	idleTimeout, connectTimeout uint64
	timer                       reactor.Timer
}

// sharedPhase is how far a shared connection is.
type sharedPhase uint8

const (
	sharedConnecting sharedPhase = iota
	sharedGreeting               // its settings are awaited
	sharedServing
	sharedLost // it is closed, and the flows that it served are told in turn
)

// OnEvent notes what epoll said. What there is to read is read at once, unless that has been
// put off.
func (c *sharedConn) OnEvent(_ int, e reactor.Events) {
	c.note(e)
	if c.phase == sharedConnecting && (e.Failed() || e.Writable()) {
		switch connected, err := connectResult(c.fd); {
		case err != nil:
			c.connectFailed()
		case connected:
			c.phase = sharedGreeting
			c.set(c.conn.Start(c.buffer()))
		}
	}
	c.read()
	if c.way.pending.Len() > 0 || c.full {
		c.loop.shareLater(c)
	}
}

// OnTimer ends a connection that does not come to stand, or is of no use.
func (c *sharedConn) OnTimer() {
	l := c.loop
	switch {
	case c.phase == sharedLost || c.conn.Len() > 0:
	case c.phase < sharedServing && l.tick >= c.since+c.connectTimeout:
		c.connectFailed()
	case c.phase == sharedServing && l.tick >= c.since+c.idleTimeout:
		c.goodbye()
	case c.phase == sharedServing:
		l.reactor.SetTimer(&c.timer, c.since+c.idleTimeout)
	}
}

// close implements member. After a panic nobody knows what became of what the turn had
// gathered.
func (c *sharedConn) close(why cause) {
	if f := c.last; f != nil && why == causePanic {
		c.last = nil
		f.end(why, atOnce)
	}
	c.lose()
}

// shareLater gives c a turn at the end of the round.
func (l *loop) shareLater(c *sharedConn) {
	if !c.deferred {
		c.deferred = true
		l.turns.shared.push(c)
	}
}

// goOn is the turn of a connection at the end of a round.
func (c *sharedConn) goOn() {
	c.deferred = false
	if c.phase == sharedLost {
		c.tell()
		c.settleLast()
		return
	}
	c.serve() // first: there may be more to read each time than a turn takes
	if c.paused {
		c.paused = false
		c.input(nil)
	}
	if c.read(); c.flush() {
		if c.look(); c.readable && c.hasRoom() {
			c.loop.shareLater(c) // to read on: there was no room for what that leads to
		}
	}
	c.settleLast()
}

// look ends a connection that takes no more calls when it has served those it has.
func (c *sharedConn) look() {
	if c.phase != sharedServing {
		return
	}
	if c.conn.Leaves() {
		c.group.remove(c)
	}
	if c.conn.Len() == 0 && (c.conn.Leaves() || c.loop.draining || c.group.node.Removed()) {
		c.goodbye()
	}
}

// retire takes no more calls.
func (c *sharedConn) retire() {
	c.set(c.conn.GoAway(c.buffer()))
	c.group.remove(c)
}

// goodbye ends a connection that has no calls.
func (c *sharedConn) goodbye() {
	c.retire()
	if c.flush() {
		c.lose()
	}
}

// read reads what the backend says, within the turn's time and budget.
func (c *sharedConn) read() {
	l := c.loop
	for budget := l.o.TurnBudget; c.phase == sharedGreeting || c.phase == sharedServing; {
		if !c.readable || c.paused || !c.hasRoom() {
			break
		}
		n, err := c.socket.read(l.in)
		if err != nil || c.ended() {
			c.lose()
			break
		}
		if n > 0 {
			l.count.Flows.PlainOutBytes.Add(uint64(n))
			c.heard = l.tick
			c.input(l.in[:n])
		}
		if budget -= n; budget <= 0 || l.late() {
			l.shareLater(c)
			break
		}
	}
	if c.conn.Leaves() {
		l.shareLater(c) // to look whether it has calls
	}
	c.settleLast()
}

// input takes what the backend said.
func (c *sharedConn) input(p []byte) {
	c.conn.Tick(c.loop.tick)
	if c.in.Len() > 0 {
		c.in.Push(p)
		c.in.Pop(c.take(c.in.Bytes()))
	} else {
		c.in.Push(p[c.take(p):])
	}
	if c.phase == sharedLost {
		c.in.Drop()
	}
}

// take uses as much of p as it can and returns how much that was.
func (c *sharedConn) take(p []byte) (used int) {
	for c.phase != sharedLost {
		out, n, e := c.conn.Next(c.buffer(), p[used:])
		c.set(out)
		used += n
		if e.Kind == http2.None {
			break
		}
		c.on(&e)
		if c.loop.late() {
			c.paused = true
			c.loop.shareLater(c)
			break
		}
	}
	return used
}

// on acts on an event.
func (c *sharedConn) on(e *http2.CallEvent) {
	l := c.loop
	var f *flow
	if e.Call != nil {
		f, _ = e.Call.Owner.(*flow)
	}
	if e.Reason != "" {
		l.count.HTTP2.BackendFaults.Inc(e.Reason)
	}
	switch e.Kind {
	case http2.Settled:
		c.settled()
	case http2.Failed:
		if c.phase == sharedGreeting {
			c.connectFailed()
		} else if c.flush() { // it is told why
			c.lose()
		}
	case http2.Window:
		if f != nil {
			l.goOnLater(f)
		} else {
			c.wake()
		}
	case http2.Reset:
		if e.Reason == "" {
			l.count.HTTP2.BackendResets.Inc()
		}
		if f != nil {
			c.turnOf(f)
			f.callReset(e)
			c.leave(f)
		}
	default:
		if f != nil {
			c.turnOf(f)
			f.fromCall(e)
			c.leave(f)
		}
	}
}

// settled takes calls from now on: the backend has shown that it speaks HTTP/2.
func (c *sharedConn) settled() {
	l := c.loop
	if c.phase == sharedGreeting {
		c.phase = sharedServing
		c.group.node.Connected()
		l.count.Flows.Connect.Observe(l.now.Sub(l.timeOf(c.since)))
		c.since = l.tick
		l.reactor.StopTimer(&c.timer)
		l.reactor.SetTimer(&c.timer, l.tick+c.idleTimeout)
	}
	c.group.limit = max(c.conn.Len()+c.conn.Room(), 1)
	c.wake()
	l.shareLater(c) // for those who wait
}

// wake lets flows go on that have something to send, in turn.
func (c *sharedConn) wake() {
	n, start := c.conn.Len(), 0
	for start < n && c.conn.Call(start).ID <= c.turn {
		start++
	}
	for i := range n {
		if f, ok := c.conn.Call((start + i) % n).Owner.(*flow); ok && f.in.pending.Len() > 0 {
			c.loop.goOnLater(f)
		}
	}
}

// turnOf lets f gather its output: that of the one before leaves first.
func (c *sharedConn) turnOf(f *flow) {
	if c.last != f {
		c.settleLast()
		c.last = f
	}
	c.before = f.call
}

// settleLast sends what the last flow has gathered.
func (c *sharedConn) settleLast() {
	f := c.last
	if c.last = nil; f != nil && f.stream == nil {
		f.settle()
		f.arm()
	}
}

// leave ends what f did in c's turn.
func (c *sharedConn) leave(f *flow) {
	if f.phase == gone {
		return
	}
	// Its request is over, and the next may be here; or there is a call now for what has come
	// of it.
	if f.call != c.before && (f.stream == nil || f.call != nil) {
		c.loop.goOnLater(f)
	}
	f.arm()
}

// buffer returns what frames are to be appended to, and set takes it back with them.
func (c *sharedConn) buffer() []byte {
	l := c.loop
	if n := len(l.spareFrames); c.frames == nil && n > 0 {
		c.frames, l.spareFrames = l.spareFrames[n-1], l.spareFrames[:n-1]
	}
	return c.frames
}

func (c *sharedConn) set(out []byte) {
	if c.frames = out; len(out) > 0 {
		c.loop.shareLater(c)
	}
}

// hasRoom reports whether the backend takes more: what waits for it is bounded.
func (c *sharedConn) hasRoom() bool {
	return c.loop.hasRoom(&c.way) && len(c.frames) < c.loop.o.HighWatermark
}

// flush sends the frames. It reports whether the connection lives.
func (c *sharedConn) flush() bool {
	l := c.loop
	if c.phase == sharedLost || c.phase == sharedConnecting {
		return c.phase != sharedLost
	}
	out := c.frames
	c.frames = nil
	err := c.way.send(&c.socket, out)
	if err == nil && len(out) == 0 {
		err = c.way.write(&c.socket)
	}
	if cap(out) > 0 && cap(out) <= 4*l.o.ReadSize && len(l.spareFrames) < maxSpareFrames {
		l.spareFrames = append(l.spareFrames, out[:0])
	}
	if err != nil {
		c.lose()
		return false
	}
	if c.full && c.hasRoom() {
		c.full = false
		c.wake()
	}
	return true
}

// retryAfter is how long no further connection is tried where one has failed, and others
// stand.
const retryAfter = time.Second

// connectFailed gives up a connection that has not come to stand. Those who wait for one turn to
// another backend if there is no other here.
func (c *sharedConn) connectFailed() {
	g := c.group
	g.node.Failed(c.loop.now)
	g.retryAt = c.loop.tick + ticks(retryAfter)
	c.lose()
	if len(g.conns) == 0 {
		c.toDrop = g.waiting.len
	}
}

// lose closes the connection. Whom it served is told in its turns.
func (c *sharedConn) lose() {
	if c.phase == sharedLost {
		return
	}
	l := c.loop
	c.phase, c.paused = sharedLost, false
	c.group.remove(c)
	c.group.node.Pool().Shared().Conns.Dec()
	l.closeSocket(&c.socket)
	l.reactor.StopTimer(&c.timer)
	c.way.drop()
	c.frames = nil
	l.shareLater(c)
}

// tell tells flows that the connection is lost.
func (c *sharedConn) tell() {
	l, g := c.loop, c.group
	for told := 0; c.conn.Len() > 0 || c.toDrop > 0 && g.waiting.first != nil; told++ {
		if told > 0 && l.late() {
			l.shareLater(c)
			return
		}
		if n := c.conn.Len(); n > 0 {
			call := c.conn.Call(n - 1)
			if f, ok := call.Owner.(*flow); ok {
				c.turnOf(f)
				f.callLost()
				c.leave(f)
			}
			c.conn.Reset(nil, call, http2.Cancel)
			continue
		}
		c.toDrop--
		f := g.waiting.first
		c.turnOf(f)
		f.callFailed()
		if f.phase != gone && f.stream == nil {
			l.goOnLater(f) // it may have its answer, and no more to say
		}
		c.leave(f)
	}
	c.toDrop, c.frames = 0, nil
	c.in.Drop()
	c.serve()
}

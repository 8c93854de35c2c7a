package engine

import (
	"time"

	"reprise/backend/http2"
	"reprise/internal/queue"
	"reprise/internal/reactor"
)

// A sharedConn is a loop's connection to a backend of HTTP/2. It is bound to no client: the
// requests of many are calls on it, from streams of HTTP/2 or not. Their output is gathered as
// frames and sent at the end of the round in one system call; input is passed to their flows piece
// by piece.
type sharedConn struct {
	loop  *loop
	group *sharedGroup
	socket
	way    way         // frames that the socket has not taken yet
	frames []byte      // to be sent
	in     queue.Queue // an incomplete frame, or the input that the last turn left
	conn   *http2.Backend
	phase  sharedPhase

	deferred bool // has a turn at the end of the round
	paused   bool // the contents of in wait for it
	full     bool // flows wait for room on the way to the backend
	used     bool // it has served a request
	toDrop   int  // flows that waited for it in vain, and do not know it yet

	turn  uint32 // call that was the last to be sent in part
	heard uint64 // tick at which the backend sent something
	since uint64 // tick at which the phase began, or since which there is no call
	last  *flow  // whose output the turn gathers

	before *http2.Call // its call before the current action of the turn

	idleTimeout, connectTimeout uint64
	timer                       reactor.Timer
}

// sharedPhase is the state of a shared connection.
type sharedPhase uint8

const (
	sharedConnecting sharedPhase = iota
	sharedGreeting               // its settings are awaited
	sharedServing
	sharedLost // it is closed, and its flows are told in turns
)

// OnEvent records the event. Input is read at once, unless reading has been put off.
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

// OnTimer ends a connection that is not established in time, or not used.
func (c *sharedConn) OnTimer() {
	l := c.loop
	switch {
	case c.phase == sharedLost || c.conn.Len() > 0:
	case c.phase < sharedServing && l.tick >= c.since+c.connectTimeout:
		c.connectFailed()
	case c.phase == sharedServing && l.tick >= c.since+c.idleTimeout:
		c.goAway()
	case c.phase == sharedServing:
		l.reactor.SetTimer(&c.timer, c.since+c.idleTimeout)
	}
}

// close implements member. After a panic the state of the turn's output is unknown.
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

// goOn is a connection's turn at the end of a round.
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
			c.loop.shareLater(c) // to read on: there was no room for the output
		}
	}
	c.settleLast()
}

// look ends a connection that takes no more calls once it has served those it has.
func (c *sharedConn) look() {
	if c.phase != sharedServing {
		return
	}
	if c.conn.Leaves() {
		c.group.remove(c)
	}
	if c.conn.Len() == 0 && (c.conn.Leaves() || c.loop.draining || c.group.node.Removed()) {
		c.goAway()
	}
}

// retire takes no more calls.
func (c *sharedConn) retire() {
	c.set(c.conn.GoAway(c.buffer()))
	c.group.remove(c)
}

// goAway ends a connection that has no calls.
func (c *sharedConn) goAway() {
	c.retire()
	if c.flush() {
		c.lose()
	}
}

// read reads the backend's bytes, within the turn's time and budget.
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
		l.shareLater(c) // to check whether it has calls
	}
	c.settleLast()
}

// input handles the backend's bytes.
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

// take uses as much of p as it can and returns how much.
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
		} else if c.flush() { // it gets the reason
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
	l.shareLater(c) // for waiting flows
}

// wake continues flows that have something to send, in turn.
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

// turnOf lets f gather its output; the output of the flow before is sent first.
func (c *sharedConn) turnOf(f *flow) {
	if c.last != f {
		c.settleLast()
		c.last = f
	}
	c.before = f.call
}

// settleLast sends the last flow's gathered output.
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
	// Its request is over, and the next may be here; or data have come for it before its call.
	if f.call != c.before && (f.stream == nil || f.call != nil) {
		c.loop.goOnLater(f)
	}
	f.arm()
}

// buffer returns the slice to append frames to, and set takes it back.
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

// hasRoom reports whether the backend takes more: its pending data are bounded.
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

// retryAfter is how long no further connection is tried after one has failed, while there are
// others.
const retryAfter = time.Second

// connectFailed gives up a connection that was not established. Flows that wait for one try another
// backend if there is no other connection here.
func (c *sharedConn) connectFailed() {
	g := c.group
	g.node.Failed(c.loop.now)
	g.retryAt = c.loop.tick + ticks(retryAfter)
	c.lose()
	if len(g.conns) == 0 {
		c.toDrop = g.waiting.len
	}
}

// lose closes the connection. Its flows are told in its turns.
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
			l.goOnLater(f) // it may have its answer, and have sent everything
		}
		c.leave(f)
	}
	c.toDrop, c.frames = 0, nil
	c.in.Drop()
	c.serve()
}

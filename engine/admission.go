package engine

import (
	"time"

	"reprise/tlsconn"
)

// A full handshake costs ten times as much as reading a ClientHello and finding its session. So
// when a loop is late, hellos are only read: those that resume go on at once, those that lead to a
// full handshake wait until no hello does. A loop is late if the last handshake step has waited
// long for its turn.
const (
	// stepsTime bounds the time for handshake steps in a round, except for the last step.
	stepsTime = 200 * time.Microsecond
	// maxSteps is the number of waiting steps at which accepting stops: connections can wait in the
	// kernel's queue too, and cost less there.
	maxSteps = 256
	// busyAfter is how many ticks a step has waited in a loop that is late.
	busyAfter = 3
	// fullEvery is the number of ticks after which a full handshake is made whatever else waits, so
	// that new clients are not shut out while others come.
	fullEvery = 5
	// patient is how many ticks the oldest may have waited while the queue is served in order.
	// After that the newest goes first: serving all of them late would serve none in time.
	patient = 100
	// maxSigning bounds a loop's signatures at key workers: later ones would wait there with their
	// key exchange already made.
	maxSigning = 64
)

// An admission is the state of a flow's full handshake.
type admission uint8

const (
	notAsked admission = iota
	waiting            // for its turn
	admitted
	refused // its client makes too many
)

// fullHandshakes are a loop's waiting full handshakes, and the data that decide whether they wait.
type fullHandshakes struct {
	fast, slow flowRing // by the kind of key that signs
	lag        uint64   // ticks that the last step has waited
	last       uint64   // tick at which the last one was admitted
	made       bool     // one was admitted in this round
	signing    int      // signatures under way at key workers
}

// ready reports whether a waiting one could be admitted.
func (h *fullHandshakes) ready() bool {
	return h.fast.len > 0 || h.slow.len > 0 && h.signing < maxSigning
}

// takeSteps continues handshakes with new input: as many as time allows, but none after a full
// handshake was begun.
func (l *loop) takeSteps() {
	steps, h := &l.turns.steps, &l.full
	h.made = false
	n := steps.len()
	if n == 0 {
		h.lag = 0
		return
	}
	start := time.Now()
	for now := start; n > 0; n-- {
		f := steps.pop()
		h.lag = uint64(now.Sub(l.reactor.Epoch())/tick) - f.since
		l.goOnWith(f)
		if now = time.Now(); h.made || now.Sub(start) >= stepsTime {
			return
		}
	}
}

// Admit implements tlsconn.Admitter.
func (f *flow) Admit(slow bool) bool {
	l := f.loop
	h := &l.full
	if f.admission != notAsked {
		return f.admission == admitted
	}
	queue, room := &h.fast, true
	if slow {
		queue, room = &h.slow, h.signing < maxSigning
	}
	switch {
	case !l.o.Limits.Handshake(l.o.Clients, f.origin, l.now):
		f.admission = refused
		return false
	case room && queue.len == 0 && h.lag < busyAfter && !h.made:
		f.admit()
		return true
	}
	if queue.len > 2*l.handshakes.len+64 {
		l.count.Flows.FullWaiting.Add(-int64(queue.sweep()))
	}
	f.admission = waiting
	queue.push(f, l.tick)
	l.count.Flows.FullWaiting.Inc()
	l.count.Flows.FullDelayed.Inc()
	return false
}

func (f *flow) admit() {
	h := &f.loop.full
	f.admission, h.made, h.last = admitted, true, f.loop.tick
}

// admitOne admits one full handshake if no other step waits, or if none was made for long.
func (l *loop) admitOne() {
	h := &l.full
	if h.made || !h.ready() || l.turns.steps.len() > 0 && l.tick-h.last < fullEvery {
		return
	}
	if f := l.nextWaiting(); f != nil {
		f.admit()
		l.takeUp(f)
	}
}

// nextWaiting returns the flow whose full handshake is made next, nil if none waits.
func (l *loop) nextWaiting() *flow {
	h := &l.full
	for _, q := range [...]*flowRing{&h.fast, &h.slow} {
		for q.len > 0 && (q == &h.fast || h.signing < maxSigning) {
			var f *flow
			if q.oldest().since+patient < l.tick {
				f = q.popNewest()
			} else {
				f = q.popOldest()
			}
			l.count.Flows.FullWaiting.Dec()
			if f.waits() {
				return f
			}
		}
	}
	return nil
}

// waits reports whether the flow still exists and waits to be admitted.
func (f *flow) waits() bool {
	return f.phase == handshaking && f.admission == waiting &&
		f.tls.State() == tlsconn.AwaitAdmission
}

// dropWaiting ends the oldest of q, and reports whether there was one.
func (l *loop) dropWaiting(q *flowRing) bool {
	for q.len > 0 {
		f := q.popOldest()
		l.count.Flows.FullWaiting.Dec()
		if f.waits() {
			f.end(causeOverload, atOnce)
			return true
		}
	}
	return false
}

// evictHandshake makes room for another one: it ends the oldest of those that wait for admission,
// RSA first, else the oldest of all, which under attack is the likeliest to be a client that will
// never continue.
func (l *loop) evictHandshake() {
	if l.dropWaiting(&l.full.slow) || l.dropWaiting(&l.full.fast) {
		return
	}
	l.handshakes.first.end(causeHandshakeEvicted, atOnce)
}

// signs records whether a key worker makes the flow's signature.
func (f *flow) signs(is bool) {
	if f.signing == is {
		return
	}
	if f.signing = is; is {
		f.loop.full.signing++
	} else {
		f.loop.full.signing--
	}
}

// A flowRing holds waiting flows, with the tick since which they wait. Ended ones stay until their
// turn, or until most have ended.
type flowRing struct {
	ring  []waitingFlow // a power of two
	first int
	len   int
}

type waitingFlow struct {
	flow  *flow
	since uint64
}

func (q *flowRing) at(i int) *waitingFlow { return &q.ring[(q.first+i)&(len(q.ring)-1)] }

func (q *flowRing) oldest() *waitingFlow { return q.at(0) }

func (q *flowRing) push(f *flow, since uint64) {
	if q.len == len(q.ring) {
		grown := make([]waitingFlow, max(64, 2*len(q.ring)))
		for i := range q.len {
			grown[i] = *q.at(i)
		}
		q.ring, q.first = grown, 0
	}
	q.len++
	*q.at(q.len - 1) = waitingFlow{f, since}
}

// sweep removes ended flows and returns their number.
func (q *flowRing) sweep() int {
	kept := 0
	for i := range q.len {
		if e := *q.at(i); e.flow.waits() {
			*q.at(kept) = e
			kept++
		}
	}
	for i := kept; i < q.len; i++ {
		*q.at(i) = waitingFlow{}
	}
	gone := q.len - kept
	q.len = kept
	return gone
}

func (q *flowRing) popOldest() *flow {
	e := q.at(0)
	f := e.flow
	*e = waitingFlow{}
	q.first = (q.first + 1) & (len(q.ring) - 1)
	q.len--
	return f
}

func (q *flowRing) popNewest() *flow {
	e := q.at(q.len - 1)
	f := e.flow
	*e = waitingFlow{}
	q.len--
	return f
}

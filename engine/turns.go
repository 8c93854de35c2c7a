package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"reprise/internal/reactor"
)

// leftTime is how long all flows together that used up a turn may continue at the end of a round:
// the longest time that the others wait for them.
const leftTime = time.Millisecond

// turnTime is how long a turn may take before its flow lets others go first. The clock is checked
// between pieces, so a turn may exceed it by its last piece. A test sets it to zero.
var turnTime = 400 * time.Microsecond

// turns are a loop's work put off to the end of the round, or later.
type turns struct {
	left   turnQueue[flow]       // used up their turn, or their last one
	steps  turnQueue[flow]       // in their handshake
	shared turnQueue[sharedConn] // have frames to send, or more to do
	accept bool                  // a listener must be checked again
}

// A turnQueue holds waiting turns in order of arrival.
type turnQueue[T any] struct {
	list []*T
	head int
}

func (q *turnQueue[T]) len() int { return len(q.list) - q.head }

func (q *turnQueue[T]) push(t *T) { q.list = append(q.list, t) }

func (q *turnQueue[T]) pop() *T {
	t := q.list[q.head]
	q.list[q.head] = nil
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	} else if q.head >= 1024 && q.head >= len(q.list)/2 {
		q.list = q.list[:copy(q.list, q.list[q.head:])]
		q.head = 0
	}
	return t
}

// keep removes elements for which is returns false.
func (q *turnQueue[T]) keep(is func(t *T) bool) {
	q.list = slices.DeleteFunc(slices.Delete(q.list, 0, q.head), func(t *T) bool { return !is(t) })
	q.head = 0
}

// late reports whether the turn has used up its time. Code with several pieces calls it between
// them, calls goOnLater if it returns true, and returns.
func (l *loop) late() bool { return time.Since(l.now) >= turnTime }

// goOnLater lets the other flows have their turn first.
//
// A handshake step takes as long as dozens of small requests, and in a storm of new clients a round
// of epoll brings many: so all of them follow the events of the round, a few in each (takeSteps).
func (l *loop) goOnLater(f *flow) {
	switch {
	case f.deferred, f.phase == gone:
		return
	case f.phase == handshaking:
		l.turns.steps.push(f)
	default:
		l.turns.left.push(f)
	}
	f.deferred, f.since = true, l.tick
}

// TurnBegins implements reactor.Host.
func (l *loop) TurnBegins(now time.Time, tick uint64) { l.now, l.tick = now, tick }

// TurnEnds implements reactor.Host. A panic costs the flow it happened in, not the node.
func (l *loop) TurnEnds(h reactor.Handler, took time.Duration, panicked any) {
	if panicked != nil {
		l.count.Flows.Panics.Inc()
		slog.Error("panic in a connection, which is closed", "panic", fmt.Sprint(panicked), "stack",
			string(debug.Stack()))
		if m, ok := h.(member); ok {
			m.close(causePanic)
		}
	}
	l.dropOut()
	l.count.Flows.Turn.Observe(took)
}

// RoundEnds implements reactor.Host: it does the work put off.
func (l *loop) RoundEnds() (more bool) {
	l.streamFlows.renew()
	t := &l.turns
	l.takeSteps()
	l.admitOne()
	// Those put off again have their next turn in the next round.
	if n := t.left.len(); n > 0 {
		for start := l.reactor.Now(); n > 0 && l.reactor.Now().Sub(start) < leftTime; n-- {
			l.goOnWith(t.left.pop())
		}
	}
	// These follow the flows, whose frames they send.
	if n := t.shared.len(); n > 0 {
		for start := l.reactor.Now(); n > 0 && l.reactor.Now().Sub(start) < leftTime; n-- {
			l.goOnWithShared(t.shared.pop())
		}
	}
	if t.accept {
		t.accept = false
		for _, ln := range l.listeners {
			l.acceptOn(ln)
		}
	}
	return t.steps.len() > 0 || t.left.len() > 0 || t.shared.len() > 0 || t.accept || l.full.ready()
}

// goOnWith gives f the turn it has waited for. If f uses up that one too, its next one will not be
// at an event's time either: so all such flows share leftTime.
func (l *loop) goOnWith(f *flow) {
	f.deferred = false
	if f.phase == gone {
		if f.stream != nil {
			l.streamFlows.leave(f)
		}
		return
	}
	l.takeUp(f)
}

// takeUp gives f a turn.
func (l *loop) takeUp(f *flow) {
	l.reactor.Enter()
	defer l.reactor.Leave(f)
	f.progress()
}

// goOnWithShared is goOnWith for a connection that requests share.
func (l *loop) goOnWithShared(c *sharedConn) {
	l.reactor.Enter()
	defer l.reactor.Leave(c)
	c.goOn()
}

package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"reprise/internal/reactor"
)

// turns are what a loop has put off to the end of the round, or later.
type turns struct {
	again  []*flow // used up their budget
	spare  []*flow // the other buffer of again
	steps  []*flow // in their handshake
	accept bool    // some listener is to be looked at again
}

// goOnLater lets the other flows have their turn first.
//
// A step of a handshake takes as long as dozens of small requests, and in a storm of
// new clients a round of epoll brings many: so all of them come after the events of the
// round, a few in each.
func (l *loop) goOnLater(f *flow) {
	if f.deferred {
		return
	}
	f.deferred = true
	if f.phase == handshaking {
		l.turns.steps = append(l.turns.steps, f)
	} else {
		l.turns.again = append(l.turns.again, f)
	}
}

// TurnBegins implements reactor.Host.
func (l *loop) TurnBegins(now time.Time, tick uint64) { l.now, l.tick = now, tick }

// TurnEnds implements reactor.Host. A panic costs the flow it happened in, not the node.
func (l *loop) TurnEnds(h reactor.Handler, took time.Duration, panicked any) {
	if panicked != nil {
		l.count.panics.Inc()
		slog.Error("panic in a connection, which is closed", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		if m, ok := h.(member); ok {
			m.close(causePanic)
		}
	}
	l.parsed = nil
	l.count.turn.Observe(took)
}

// RoundEnds implements reactor.Host: it takes up what was put off.
func (l *loop) RoundEnds() (more bool) {
	t := &l.turns
	l.stepOn()
	list := t.again
	t.again = t.spare[:0]
	for i, f := range list {
		list[i] = nil
		l.goOnWith(f)
	}
	t.spare = list
	if t.accept {
		t.accept = false
		for _, ln := range l.listeners {
			ln.acceptOn()
		}
	}
	return len(t.steps) > 0 || len(t.again) > 0 || t.accept
}

// stepBudget is how long handshakes may take before established flows have a turn: two
// full ones, several that resume.
const stepBudget = 300 * time.Microsecond

// stepOn takes the next handshakes that wait.
func (l *loop) stepOn() {
	t := &l.turns
	for start := time.Now(); len(t.steps) > 0 && time.Since(start) < stepBudget; {
		f := t.steps[0]
		t.steps[0] = nil
		if t.steps = t.steps[1:]; len(t.steps) == 0 {
			t.steps = nil
		}
		l.goOnWith(f)
	}
}

func (l *loop) goOnWith(f *flow) {
	l.reactor.Enter()
	defer l.reactor.Leave(f)
	f.deferred = false
	f.progress()
}

package backend

import (
	"log/slog"
	"sync"
	"time"
)

// tellEvery is the interval between lines of the log about one node, plus one more for a different
// reason: a failing node is tried again and again.
const tellEvery = 10 * time.Second

// told is the state of the log about a node. The zero value has logged nothing.
type told struct {
	mu      sync.Mutex // guards what follows
	why     string
	at      time.Time
	changed bool // a line with a new reason was logged before its time
	more    int  // events not logged
}

// due reports whether to log now, and how many events the line stands for.
func (t *told) due(why string, now time.Time) (times int, isDue bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	early := now.Sub(t.at) < tellEvery
	if early && (t.why == why || t.changed) {
		t.more++
		return 0, false
	}
	times = t.more + 1
	t.why, t.at, t.changed, t.more = why, now, early, 0
	return times, true
}

// Misanswered logs that an answer of the node was refused, and why.
func (n *Node) Misanswered(reason string, now time.Time) {
	times, isDue := n.answersTold.due(reason, now)
	if !isDue {
		return
	}
	facts := []any{
		"backend", n.Name(), "pool", n.pool.Options().Name, "reason", reason, "times",
		times,
	}
	if n.Protocol() == UWSGI && reason == "malformed status line" {
		// What an HTTP server answers to a uwsgi packet is mostly not even HTTP/1.1.
		facts = append(facts, "hint", "if it speaks HTTP, write http://"+n.Name())
	}
	slog.Warn("an answer of a backend was refused", facts...)
}

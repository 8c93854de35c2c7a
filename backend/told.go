package backend

import (
	"log/slog"
	"sync"
	"time"
)

// tellEvery is how often the log has a line about a node, and one more if that is of another
// kind: one that fails is tried again and again.
const tellEvery = 10 * time.Second

// told is what the log has been told of a node. Its zero value has told nothing.
type told struct {
	mu      sync.Mutex // guards what follows
	why     string
	at      time.Time
	changed bool // it was told of why before its time, since that was new
	more    int  // that were not told
}

// due reports whether the log is to be told now, and for how many times that is.
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

// Misanswered tells the log that an answer of the node was refused, and why.
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
		// What a server of HTTP says to a packet of uwsgi is mostly not even HTTP/1.1.
		facts = append(facts, "hint", "if it speaks HTTP, write http://"+n.Name())
	}
	slog.Warn("an answer of a backend was refused", facts...)
}

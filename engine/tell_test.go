package engine

import (
	"sync"
	"testing"
	"time"
)

// TestFailureLinesAreFew: of 10,000 failures in each second, seen by two loops, no second has more
// than 9 lines, and all others are counted.
func TestFailureLinesAreFew(t *testing.T) {
	const seconds, rate = 5, 10_000
	g := &failureLog{began: time.Now()}
	lines := make([]time.Duration, 0, 100)
	var mu sync.Mutex
	for i := range seconds * rate / 2 {
		at := time.Duration(i) * 2 * time.Second / rate
		var loops sync.WaitGroup
		for range 2 {
			loops.Go(func() {
				if g.allows(g.began.Add(at)) {
					mu.Lock()
					lines = append(lines, at)
					mu.Unlock()
				}
			})
		}
		loops.Wait()
	}
	for i, from := range lines {
		n := 0
		for _, at := range lines[i:] {
			if at < from+time.Second {
				n++
			}
		}
		if n > 9 {
			t.Fatalf("%d lines in the second from %v, want 9 at most", n, from)
		}
	}
	if len(lines) < 4*seconds {
		t.Errorf("%d lines in %d seconds, want some in each", len(lines), seconds)
	}
	if got := int(g.untold.Load()) + len(lines); got != seconds*rate {
		t.Errorf("%d with a line or counted, want %d", got, seconds*rate)
	}
}

// TestFirstFailuresHaveALineEach: a few simultaneous failures have a line each, also after a pause.
func TestFirstFailuresHaveALineEach(t *testing.T) {
	g := &failureLog{began: time.Now()}
	for _, at := range []time.Duration{0, time.Hour} {
		for i := range failureBurst + 1 {
			if got, want := g.allows(g.began.Add(at)), i < failureBurst; got != want {
				t.Errorf("after %v, failure %d: got %v, want %v", at, i, got, want)
			}
		}
	}
}

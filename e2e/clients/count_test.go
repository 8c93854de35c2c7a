package clients

import (
	"sync"
	"testing"
)

// counted is how many handshakes a node must have counted, by version and kind.
// It may be used by several goroutines.
type counted struct {
	mu    sync.Mutex // guards kinds
	kinds map[string]uint64
}

func (c *counted) add(e entry) {
	kind := map[string]string{"TLSv1.2": "tls12", "TLSv1.3": "tls13"}[e.TLS] + "_full"
	if e.Resumed != "" {
		kind = kind[:len("tls12")] + "_resumed"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds == nil {
		c.kinds = make(map[string]uint64)
	}
	c.kinds[kind]++
}

// compare holds the statistics against what was counted.
func (c *counted) compare(t *testing.T, before, after tally) {
	t.Helper()
	for kind, n := range after.Handshakes {
		if got, want := n-before.Handshakes[kind], c.kinds[kind]; got != want {
			t.Errorf("handshakes counted as %s: got %d, want %d", kind, got, want)
		}
	}
	for reason, n := range after.Failures {
		if got := n - before.Failures[reason]; got != 0 {
			t.Errorf("%d handshakes failed: %s", got, reason)
		}
	}
}

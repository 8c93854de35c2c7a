package clients

import (
	"sync"
	"testing"
)

// counted is how many handshakes a node must have counted. It may be used by
// several goroutines.
type counted struct {
	mu        sync.Mutex        // guards what follows
	kinds     map[string]uint64 // by version and kind
	resumed12 map[string]uint64 // by how the session was offered
}

func (c *counted) add(e entry, by offer) {
	version := map[string]string{"TLSv1.2": "tls12", "TLSv1.3": "tls13"}[e.TLS]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds == nil {
		c.kinds, c.resumed12 = make(map[string]uint64), make(map[string]uint64)
	}
	if e.Resumed == "" {
		c.kinds[version+"_full"]++
		return
	}
	c.kinds[version+"_resumed"]++
	if version == "tls12" {
		c.resumed12[string(by)]++
	}
}

// compare compares the statistics with the counts.
func (c *counted) compare(t *testing.T, before, after tally) {
	t.Helper()
	for kind, n := range after.Handshakes {
		if got, want := n-before.Handshakes[kind], c.kinds[kind]; got != want {
			t.Errorf("handshakes counted as %s: got %d, want %d", kind, got, want)
		}
	}
	for by, n := range after.Resumed12 {
		if got, want := n-before.Resumed12[by], c.resumed12[by]; got != want {
			t.Errorf("TLS 1.2 handshakes counted as resumed by %s: got %d, want %d", by, got, want)
		}
	}
	for reason, n := range after.Failures {
		if got := n - before.Failures[reason]; got != 0 {
			t.Errorf("%d handshakes failed: %s", got, reason)
		}
	}
}

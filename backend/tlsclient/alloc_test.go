//go:build !race

// Under the race detector sync.Pool, from which crypto/tls takes its buffers, drops some of those
// returned to it.

package tlsclient

import (
	"crypto/tls"
	"testing"
)

// TestExchangeAllocations: a request and its answer on an established connection allocate what
// crypto/tls does for a record, and nothing of ours.
func TestExchangeAllocations(t *testing.T) {
	for _, version := range versions {
		answers := make(chan struct{}, 1)
		c, f := connected(t, version, func(conn *tls.Conn) {
			for range answers {
				if _, err := conn.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		})
		defer close(answers)
		p, out := make([]byte, 4096), make([]byte, 0, 4096)
		const runs = 50
		records := make([][]byte, runs+1) // AllocsPerRun has a run before
		for i := range records {
			answers <- struct{}{}
			for n := 0; n < 1000; n = len(records[i]) {
				records[i] = append(records[i], <-f.sent...)
			}
		}
		i := 0
		allocs := testing.AllocsPerRun(runs, func() {
			out = c.Write(out[:0], p[:500])
			c.Feed(records[i])
			i++
			for n := 1; n > 0; {
				n, out = c.Read(out[:0], p)
			}
		})
		if allocs > 2 {
			t.Errorf("%s: %v allocations, want at most 2, those of crypto/tls", tls.VersionName(version), allocs)
		}
	}
}

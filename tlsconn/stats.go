package tlsconn

import (
	"crypto/tls"

	"reprise/internal/metric"
)

// counts are written by the loop and read by anybody.
type counts struct {
	outcomes     [outcomes]metric.Counter
	full         [2]metric.Counter // TLS 1.2, TLS 1.3
	resumed      [2]metric.Counter
	failed       [reasons]metric.Counter
	signedOnLoop metric.Counter
}

func (c *counts) done(info *Info) {
	version := 0
	if info.Version >= tls.VersionTLS13 {
		version = 1
	}
	if info.Resumed() {
		c.resumed[version].Inc()
	} else {
		c.full[version].Inc()
	}
	c.outcomes[info.Outcome].Inc()
}

// Stats counts handshakes. Handshakes and Outcomes each add up to the completed
// ones.
type Stats struct {
	Handshakes   map[string]uint64 `json:"handshakes" metric:"counter" label:"kind" help:"Completed handshakes by version and kind."`
	Outcomes     map[string]uint64 `json:"outcomes" metric:"counter" label:"outcome" help:"How the session a client offered fared, for each completed handshake."`
	Failures     map[string]uint64 `json:"failures" metric:"counter" label:"reason" help:"Handshakes that failed, by reason."`
	SignedOnLoop uint64            `json:"signed_on_loop" metric:"counter" help:"RSA signatures made on a loop because the key workers' queue was full."`
}

// Add adds the counts of s to the sums in t. It may be called from any
// goroutine.
func (t *Stats) Add(s *Server) {
	if t.Handshakes == nil {
		t.Handshakes, t.Outcomes, t.Failures = map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	}
	for i, version := range [...]string{"tls12", "tls13"} {
		t.Handshakes[version+"_full"] += s.counts.full[i].Load()
		t.Handshakes[version+"_resumed"] += s.counts.resumed[i].Load()
	}
	for i := range s.counts.outcomes {
		t.Outcomes[Outcome(i).String()] += s.counts.outcomes[i].Load()
	}
	for i := range s.counts.failed {
		t.Failures[Reason(i).String()] += s.counts.failed[i].Load()
	}
	t.SignedOnLoop += s.counts.signedOnLoop.Load()
}

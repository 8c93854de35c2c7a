package tlsconn

import (
	"crypto/tls"

	"reprise/internal/metric"
)

// Counts are written by one loop and read by anybody.
type Counts struct {
	outcomes         [outcomes]metric.Counter
	full             [2]metric.Counter // TLS 1.2, TLS 1.3
	resumed          [2]metric.Counter
	byID             metric.Counter // of the resumed TLS 1.2 ones
	failed           [reasons]metric.Counter
	earlyDataSkipped metric.Counter
	trailingDot      metric.Counter
	signedOnLoop     metric.Counter
}

// Done counts a completed handshake.
func (c *Counts) Done(info *Info) {
	version := 0
	if info.Version >= tls.VersionTLS13 {
		version = 1
	}
	if info.Resumed() {
		c.resumed[version].Inc()
	} else {
		c.full[version].Inc()
	}
	if info.ByID {
		c.byID.Inc()
	}
	c.outcomes[info.Outcome].Inc()
}

// Failed counts a handshake that failed.
func (c *Counts) Failed(r Reason) { c.failed[r].Inc() }

// EarlyDataSkipped counts a handshake whose early data was skipped.
func (c *Counts) EarlyDataSkipped() { c.earlyDataSkipped.Inc() }

// TrailingDot counts a client that ended the server name with a dot.
func (c *Counts) TrailingDot() { c.trailingDot.Inc() }

// SignedOnLoop counts a signature that no key worker had room for.
func (c *Counts) SignedOnLoop() { c.signedOnLoop.Inc() }

// Stats counts handshakes. Handshakes and Outcomes each add up to the completed
// ones.
type Stats struct {
	Handshakes       map[string]uint64 `json:"handshakes" metric:"counter" label:"kind" help:"Completed handshakes by version and kind."`
	Outcomes         map[string]uint64 `json:"outcomes" metric:"counter" label:"outcome" help:"How the session a client offered fared, for each completed handshake."`
	Resumed12        map[string]uint64 `json:"tls12_resumed" metric:"counter" label:"by" help:"Resumed TLS 1.2 handshakes by what named the session."`
	Failures         map[string]uint64 `json:"failures" metric:"counter" label:"reason" help:"Handshakes that failed, by reason."`
	EarlyDataSkipped uint64            `json:"early_data_skipped" metric:"counter" help:"Handshakes whose early data was skipped."`
	TrailingDot      uint64            `json:"server_name_trailing_dot" metric:"counter" help:"ClientHellos whose server name ended with a dot, which was dropped."`
	SignedOnLoop     uint64            `json:"signed_on_loop" metric:"counter" help:"RSA signatures made on a loop because the key workers' queue was full."`
}

// Add adds what s has counted to the sums in t. It may be called from any
// goroutine.
func (t *Stats) Add(s Server) {
	if t.Handshakes == nil {
		t.Handshakes, t.Outcomes = map[string]uint64{}, map[string]uint64{}
		t.Resumed12, t.Failures = map[string]uint64{}, map[string]uint64{}
	}
	c := s.Counts()
	for i, version := range [...]string{"tls12", "tls13"} {
		t.Handshakes[version+"_full"] += c.full[i].Load()
		t.Handshakes[version+"_resumed"] += c.resumed[i].Load()
	}
	byID := c.byID.Load() // first: it must not exceed the others' sum
	t.Resumed12["id"] += byID
	t.Resumed12["ticket"] += c.resumed[0].Load() - byID
	for i := range c.outcomes {
		t.Outcomes[Outcome(i).String()] += c.outcomes[i].Load()
	}
	for i := range c.failed {
		t.Failures[Reason(i).String()] += c.failed[i].Load()
	}
	t.EarlyDataSkipped += c.earlyDataSkipped.Load()
	t.TrailingDot += c.trailingDot.Load()
	t.SignedOnLoop += c.signedOnLoop.Load()
}

package sessions

import (
	"reprise/internal/metric"
	"reprise/tlsconn"
)

// admit is the one gate: it is called before a session is kept, wherever it comes from, and before
// it is given to a handshake, a peer or a store. It returns the session's birth and end as they
// apply at this node, and Found, or why there is no such session any more: Expired, or Unknown if
// it is forgotten.
//
// born and expires are claims. A birth in the future counts as now, and whatever remaining life is
// claimed, it ends one lifetime after the birth.
func (m *Memory) admit(state []byte, born, expires,
	now instant,
) (instant, instant, tlsconn.Verdict) {
	born = min(born, now)
	expires = min(expires, born+int64(m.lifetime))
	switch {
	case len(state) < tlsconn.StatePrefixLen:
		m.counts.Gate.Inc(refusedMalformed)
		return born, expires, tlsconn.Unknown
	case expires <= now:
		m.counts.Gate.Inc(refusedExpired)
		return born, expires, tlsconn.Expired
	case m.rules.Load().forgets(state, born):
		m.counts.Gate.Inc(refusedForgotten)
		return born, expires, tlsconn.Unknown
	}
	return born, expires, tlsconn.Found
}

// Any goroutine writes counts.
type counts struct {
	Refused metric.Counter           `json:"refused" help:"Look-ups not begun because too many handshakes were waiting."`
	Gate    metric.Counters[refusal] `json:"gate_refused" label:"reason" help:"Sessions that were not kept or not given away, whichever way they came, by reason."`

	RulesGiven metric.Counter `json:"forget_rules_learned" help:"Rules to forget given here or learned from other nodes and stores."`
	Forgotten  metric.Counter `json:"forgotten" help:"Sessions dropped from the cache because a rule forgets them."`
	Purged     metric.Counter `json:"purged" help:"Expired sessions that were overwritten out of their turn."`
	LostRaces  metric.Counter `json:"single_use_lost" help:"Single-use sessions that another handshake spent between this one's finding and spending."`
	Slept      metric.Counter `json:"clock_corrections" help:"Times the machine was found to have been asleep, so that sessions were aged."`
}

// A refusal is the reason why the gate refused a session.
type refusal uint8

const (
	refusedExpired refusal = iota
	refusedForgotten
	refusedMalformed
)

// Names implements metric.Key.
func (refusal) Names() []string { return []string{"expired", "forgotten", "malformed"} }

// Stats are the policy's decisions. The cache reports its contents itself.
type Stats struct {
	Parked int64 `json:"parked" metric:"gauge" help:"Handshakes waiting for a session from another node or a store."`
	Rules  int   `json:"forget_rules" metric:"gauge" help:"Rules to forget that are in force."`
	*counts
}

// Stats may be called by any goroutine. Its counters stay live.
func (m *Memory) Stats() Stats {
	s := Stats{Parked: m.lookups.Load(), counts: &m.counts}
	if book := m.rules.Load(); book != nil {
		s.Rules = len(book.list)
	}
	return s
}

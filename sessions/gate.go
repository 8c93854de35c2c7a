package sessions

import (
	"reprise/internal/metric"
	"reprise/tlsconn"
)

// admit is the one gate: it stands before a session is kept, wherever it comes
// from, and before it is given to a handshake, a peer or a store. It returns when
// the session was born and ends as far as this node is concerned, and Found, or
// why there is no such session any more: Expired, or Unknown if it is forgotten.
//
// born and expires are what is said of it. A birth in the future is one now, and
// whatever is left of a life, it ends one lifetime after the birth.
func (m *Memory) admit(state []byte, born, expires, now instant) (instant, instant, tlsconn.Verdict) {
	born = min(born, now)
	expires = min(expires, born+int64(m.lifetime))
	switch {
	case len(state) < tlsconn.StatePrefixLen:
		m.counts.malformed.Inc()
		return born, expires, tlsconn.Unknown
	case expires <= now:
		m.counts.expired.Inc()
		return born, expires, tlsconn.Expired
	case m.rules.Load().forgets(state, born):
		m.counts.forgotten.Inc()
		return born, expires, tlsconn.Unknown
	}
	return born, expires, tlsconn.Found
}

// counts are written by anybody.
type counts struct {
	expired, forgotten, malformed metric.Counter // refused at the gate
	refusedLookups                metric.Counter
	rules, dropped                metric.Counter
	lostRaces                     metric.Counter
	purged                        metric.Counter
	slept                         metric.Counter
}

// Stats is what the policy has decided. What lies in the cache is the cache's to
// tell.
type Stats struct {
	Parked  int64             `json:"parked" metric:"gauge" help:"Handshakes waiting for a session from another node or a store."`
	Refused uint64            `json:"refused" metric:"counter" help:"Look-ups not begun because too many handshakes were waiting."`
	Gate    map[string]uint64 `json:"gate_refused" metric:"counter" label:"reason" help:"Sessions that were not kept or not given away, whichever way they came, by reason."`
	// Rules is how many are in force, RulesGiven how many ever were.
	Rules      int    `json:"forget_rules" metric:"gauge" help:"Rules to forget that are in force."`
	RulesGiven uint64 `json:"forget_rules_learned" metric:"counter" help:"Rules to forget given here or learned from other nodes and stores."`
	Forgotten  uint64 `json:"forgotten" metric:"counter" help:"Sessions dropped from the cache because a rule forgets them."`
	Purged     uint64 `json:"purged" metric:"counter" help:"Expired sessions that were overwritten out of their turn."`
	LostRaces  uint64 `json:"single_use_lost" metric:"counter" help:"Single-use sessions that another handshake spent between this one's finding and spending."`
	Slept      uint64 `json:"clock_corrections" metric:"counter" help:"Times the machine was found to have been asleep, so that sessions were aged."`
}

// Stats may be called by any goroutine.
func (m *Memory) Stats() Stats {
	c := &m.counts
	s := Stats{
		Parked: m.lookups.Load(), Refused: c.refusedLookups.Load(),
		Gate: map[string]uint64{
			"expired": c.expired.Load(), "forgotten": c.forgotten.Load(), "malformed": c.malformed.Load(),
		},
		RulesGiven: c.rules.Load(), Forgotten: c.dropped.Load(), Purged: c.purged.Load(),
		LostRaces: c.lostRaces.Load(), Slept: c.slept.Load(),
	}
	if book := m.rules.Load(); book != nil {
		s.Rules = len(book.list)
	}
	return s
}

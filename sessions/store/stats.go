package store

import "reprise/internal/metric"

// counts are written by callers of the Store and by its workers. Hits, Misses, Late and Errors add
// up to the look-ups answered; NotAuthentic is part of Misses.
type counts struct {
	Gets         metric.Counter           `json:"gets" help:"Look-ups queued for the session store."`
	Hits         metric.Counter           `json:"hits" help:"Look-ups that found a session."`
	Misses       metric.Counter           `json:"misses" help:"Look-ups that found none."`
	Late         metric.Counter           `json:"late" help:"Look-ups that took longer than the look-up timeout."`
	Errors       metric.Counter           `json:"errors" help:"Look-ups that failed."`
	NotAuthentic metric.Counter           `json:"not_authentic" help:"Values that were not sealed with a live cluster secret, or damaged: counted as misses too."`
	GetRefused   metric.Counters[refusal] `json:"get_refused" label:"reason" help:"Look-ups not queued."`
	Sets         metric.Counter           `json:"sets" help:"Sessions written."`
	Deletes      metric.Counter           `json:"deletes" help:"Sessions deleted."`
	WriteErrors  metric.Counter           `json:"write_errors" help:"Sessions and deletions that could not be written."`
	SetDropped   metric.Counters[refusal] `json:"set_dropped" label:"reason" help:"Sessions and deletions dropped unwritten."`
	Latency      metric.Histogram         `json:"lookup" help:"Time from a look-up to its answer."`
}

// A refusal is the reason why something was not queued, or dropped later.
type refusal uint8

const (
	breakerOpen refusal = iota
	queueFull
	invalid
	closed
	rulesUnknown
)

// Names implements metric.Key.
func (refusal) Names() []string {
	return []string{"breaker_open", "queue_full", "invalid", "closed", "no_rules"}
}

// Stats are a Store's counters so far.
type Stats struct {
	Server string `json:"server"`
	*counts
	WriteQueue  int64           `json:"write_queue" metric:"gauge" help:"Sessions and deletions waiting to be written."`
	BreakerOpen bool            `json:"breaker_open" metric:"gauge" help:"Whether the session store is left alone because it failed."`
	Opened      *metric.Counter `json:"breaker_opened" help:"Times the session store began to be left alone."`
}

// Stats may be called from any goroutine, even after Close. Its counters stay live.
func (s *Store) Stats() Stats {
	var waiting int64
	for _, queue := range s.writes {
		waiting += int64(len(queue))
	}
	return Stats{
		Server: s.location.String(), counts: &s.counts, WriteQueue: waiting,
		BreakerOpen: !s.breaker.allows(), Opened: &s.breaker.openings,
	}
}

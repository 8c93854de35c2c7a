package store

import "reprise/internal/metric"

// counts are written by whoever calls the Store and by its workers.
type counts struct {
	gets, hits, misses, late, errors, notAuthentic metric.Counter
	sets, deletes, writeErrors                     metric.Counter
	getRefused, setDropped                         refusals
	latency                                        metric.Histogram
}

// refusals counts what was not even queued, or dropped later, by reason.
type refusals struct {
	breakerOpen, queueFull, invalid, closed, rulesUnknown metric.Counter
}

func (r *refusals) snapshot() map[string]uint64 {
	return map[string]uint64{
		"breaker_open": r.breakerOpen.Load(),
		"queue_full":   r.queueFull.Load(),
		"invalid":      r.invalid.Load(),
		"closed":       r.closed.Load(),
		"no_rules":     r.rulesUnknown.Load(),
	}
}

// Stats is what a Store has done so far. Hits, Misses, Late and Errors add up to
// the look-ups answered; NotAuthentic is part of Misses.
type Stats struct {
	Server       string                   `json:"server"`
	Gets         uint64                   `json:"gets" metric:"counter" help:"Look-ups queued for the session store."`
	Hits         uint64                   `json:"hits" metric:"counter" help:"Look-ups that found a session."`
	Misses       uint64                   `json:"misses" metric:"counter" help:"Look-ups that found none."`
	Late         uint64                   `json:"late" metric:"counter" help:"Look-ups that took longer than the look-up timeout."`
	Errors       uint64                   `json:"errors" metric:"counter" help:"Look-ups that failed."`
	NotAuthentic uint64                   `json:"not_authentic" metric:"counter" help:"Values that were not sealed with a live cluster secret, or damaged: counted as misses too."`
	GetRefused   map[string]uint64        `json:"get_refused" metric:"counter" label:"reason" help:"Look-ups not queued."`
	Sets         uint64                   `json:"sets" metric:"counter" help:"Sessions written."`
	Deletes      uint64                   `json:"deletes" metric:"counter" help:"Sessions deleted."`
	WriteErrors  uint64                   `json:"write_errors" metric:"counter" help:"Sessions and deletions that could not be written."`
	SetDropped   map[string]uint64        `json:"set_dropped" metric:"counter" label:"reason" help:"Sessions and deletions dropped unwritten."`
	WriteQueue   int64                    `json:"write_queue" metric:"gauge" help:"Sessions and deletions waiting to be written."`
	BreakerOpen  bool                     `json:"breaker_open" metric:"gauge" help:"Whether the session store is left alone because it failed."`
	Opened       uint64                   `json:"breaker_opened" metric:"counter" help:"Times the session store began to be left alone."`
	Latency      metric.HistogramSnapshot `json:"lookup" metric:"histogram" help:"Time from a look-up to its answer."`
}

// Stats returns a snapshot. It may be called from any goroutine, also after Close.
func (s *Store) Stats() Stats {
	c := &s.counts
	var waiting int64
	for _, queue := range s.writes {
		waiting += int64(len(queue))
	}
	return Stats{
		Server: s.location.String(),
		Gets:   c.gets.Load(), Hits: c.hits.Load(), Misses: c.misses.Load(), Late: c.late.Load(),
		Errors: c.errors.Load(), NotAuthentic: c.notAuthentic.Load(), GetRefused: c.getRefused.snapshot(),
		Sets: c.sets.Load(), Deletes: c.deletes.Load(), WriteErrors: c.writeErrors.Load(),
		SetDropped: c.setDropped.snapshot(), WriteQueue: waiting,
		BreakerOpen: !s.breaker.allows(), Opened: s.breaker.openings.Load(),
		Latency: c.latency.Snapshot(),
	}
}

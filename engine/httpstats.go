package engine

import (
	"sync"

	"reprise/internal/metric"
)

// httpCounts are written by the loop and read by anybody.
type httpCounts struct {
	requests, retried, reused metric.Counter
	status                    [6]metric.Counter // by the first digit
	refused, badAnswers       reasons
}

// reasons counts what is too rare, and of too many kinds, for a field each. Its
// keys are constants of package http1 and of this one.
type reasons struct{ byName sync.Map }

func (r *reasons) inc(reason string) {
	c, ok := r.byName.Load(reason)
	if !ok {
		c, _ = r.byName.LoadOrStore(reason, new(metric.Counter))
	}
	c.(*metric.Counter).Inc()
}

func (r *reasons) addTo(sums map[string]uint64) {
	r.byName.Range(func(reason, c any) bool {
		sums[reason.(string)] += c.(*metric.Counter).Load()
		return true
	})
}

// HTTPStats counts requests, responses and the connections to HTTP backends.
type HTTPStats struct {
	Requests   uint64            `json:"requests" metric:"counter" help:"HTTP requests, also those that were refused."`
	Responses  map[string]uint64 `json:"responses" metric:"counter" label:"class" help:"Responses that clients got, by class of their status."`
	Refused    map[string]uint64 `json:"refused" metric:"counter" label:"reason" help:"Requests that were not understood or not accepted, by reason."`
	BadAnswers map[string]uint64 `json:"bad_answers" metric:"counter" label:"reason" help:"Responses of backends that were not passed on, by reason."`
	Retried    uint64            `json:"retried" metric:"counter" help:"Requests sent again because a backend ended the connection without an answer."`
	Reused     uint64            `json:"backend_connections_reused" metric:"counter" help:"Requests sent on a backend connection that had served another."`
}

var statusClasses = [...]string{1: "1xx", "2xx", "3xx", "4xx", "5xx"}

func (s *HTTPStats) init() {
	s.Responses, s.Refused, s.BadAnswers = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
}

func (s *HTTPStats) add(c *httpCounts) {
	s.Requests += c.requests.Load()
	s.Retried += c.retried.Load()
	s.Reused += c.reused.Load()
	for i := 1; i < len(statusClasses); i++ {
		s.Responses[statusClasses[i]] += c.status[i].Load()
	}
	c.refused.addTo(s.Refused)
	c.badAnswers.addTo(s.BadAnswers)
}

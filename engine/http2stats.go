package engine

import "reprise/internal/metric"

// http2Counts are written by the loop and read by anybody.
type http2Counts struct {
	connections, streams, cancelled metric.Counter
	faults                          reasons
	backendResets                   metric.Counter
	backendFaults                   reasons
}

// HTTP2Stats counts what clients do by HTTP/2, and h2c backends. Their requests are in HTTPStats.
type HTTP2Stats struct {
	Connections uint64            `json:"connections" metric:"counter" help:"Client connections that speak HTTP/2."`
	Streams     uint64            `json:"streams" metric:"counter" help:"Requests that came by HTTP/2."`
	Cancelled   uint64            `json:"cancelled" metric:"counter" help:"Streams that clients reset before the response was complete."`
	Faults      map[string]uint64 `json:"faults" metric:"counter" label:"reason" help:"Streams and connections ended because a client broke a rule or a bound of HTTP/2, by reason."`

	BackendResets uint64            `json:"backend_resets" metric:"counter" help:"Requests that h2c backends reset before the response was complete."`
	BackendFaults map[string]uint64 `json:"backend_faults" metric:"counter" label:"reason" help:"Requests and connections ended because an h2c backend broke a rule or a bound of HTTP/2, by reason."`
}

func (s *HTTP2Stats) init() {
	s.Faults, s.BackendFaults = make(map[string]uint64), make(map[string]uint64)
}

func (s *HTTP2Stats) add(c *http2Counts) {
	s.Connections += c.connections.Load()
	s.Streams += c.streams.Load()
	s.Cancelled += c.cancelled.Load()
	c.faults.addTo(s.Faults)
	s.BackendResets += c.backendResets.Load()
	c.backendFaults.addTo(s.BackendFaults)
}

package engine

import (
	"reprise/backend"
	"reprise/internal/metric"
)

// HTTPStats counts requests, responses and the connections to HTTP backends.
type HTTPStats struct {
	Requests   metric.Counter                 `json:"requests" help:"HTTP requests, also those that were refused."`
	Responses  metric.Counters[backend.Class] `json:"responses" label:"class" help:"Responses that clients got, by class of their status."`
	Refused    metric.Reasons                 `json:"refused" label:"reason" help:"Requests that were not understood or not accepted, by reason."`
	BadAnswers metric.Reasons                 `json:"bad_answers" label:"reason" help:"Responses of backends that were not passed on, by reason."`
	Retried    metric.Counter                 `json:"retried" help:"Requests sent again because a backend ended the connection without an answer."`
	Reused     metric.Counter                 `json:"backend_connections_reused" help:"Requests sent on a backend connection that had served another."`
}

// HTTP2Stats counts what clients do by HTTP/2, and h2c backends. Their requests are in HTTPStats.
type HTTP2Stats struct {
	Connections metric.Counter `json:"connections" help:"Client connections that speak HTTP/2."`
	Streams     metric.Counter `json:"streams" help:"Requests that came by HTTP/2."`
	Cancelled   metric.Counter `json:"cancelled" help:"Streams that clients reset before the response was complete."`
	Faults      metric.Reasons `json:"faults" label:"reason" help:"Streams and connections ended because a client broke a rule or a bound of HTTP/2, by reason."`

	BackendResets metric.Counter `json:"backend_resets" help:"Requests that h2c backends reset before the response was complete."`
	BackendFaults metric.Reasons `json:"backend_faults" label:"reason" help:"Requests and connections ended because an h2c backend broke a rule or a bound of HTTP/2, by reason."`
}

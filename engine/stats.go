package engine

import (
	"reprise/internal/clientlimit"
	"reprise/internal/metric"
	"reprise/tlsconn"
)

// cause is why a flow ended.
type cause uint8

const (
	causeDone             cause = iota // both ends finished
	causeClientGone                    // the client reset the connection
	causeTruncated                     // the client ended its stream without close_notify
	causeRecord                        // a record that does not authenticate or parse
	causeHandshake                     // the handshake failed; tls.failures says why
	causeHandshakeTimeout              // the handshake took too long
	causeHandshakeEvicted              // too many handshakes at once, this was the oldest
	causeNoBackend                     // no backend could be reached
	causeNoPool                        // no pool serves this name
	causeBackendReset                  // the backend broke off
	// the body of a response was malformed; http.bad_answers says how
	causeBadAnswer
	causeIdle       // nothing moved for too long
	causeNotReading // the client makes the TLS layer answer and reads nothing
	// a PROXY header is missing, malformed, or from a source that may not send one
	causeProxyHeader
	causeBadRequest // a request's body broke off during the response, or was malformed
	causeSystem     // the kernel refused a descriptor or its registration
	// the client violated HTTP/2's rules or bounds; http2.faults has the reason
	causeProtocol
	causeDenied           // by the list of networks
	causeLimitConnections // its client has as many as allowed
	causeLimitHandshakes  // its client makes too many full ones
	causeOverload         // a full handshake that could not be made in time
	causeShutdown         // the node stops
	causePanic            // our bug
	causeNone             // the cause was counted before, or there is none
	// Causes of requests only: the connection goes on.
	causeMisdirected
	causeLimitRequests
	causes
)

var causeNames = [causes]string{
	"done", "client_gone", "truncated", "bad_record", "handshake_failed", "handshake_timeout",
	"handshake_evicted",
	"no_backend", "no_pool", "backend_reset", "bad_answer", "idle", "not_reading", "proxy_header",
	"bad_request", "system", "http2",
	"denied", "client_connections", "client_handshakes", "overload", "shutdown", "panic", "",
	"misdirected", "client_requests",
}

// Names implements metric.Key: the causes that end connections.
func (cause) Names() []string { return causeNames[:causeNone] }

// cuts reports whether data may be missing when a flow ends this way, so that neither end must take
// its data for complete.
func (c cause) cuts() bool {
	switch c {
	case causeDone, causeNone, causeHandshakeTimeout:
		return false
	}
	return true
}

// counts are a loop's counters: only the loop writes them, any goroutine reads them.
type counts struct {
	Flows      FlowStats
	HTTP       HTTPStats
	HTTP2      HTTP2Stats
	Handshakes metric.Histograms[tlsconn.Kind]
}

// Stats are the engine's counters, summed over its loops.
type Stats struct {
	Flows *FlowStats  `json:"flows"`
	HTTP  *HTTPStats  `json:"http"`
	HTTP2 *HTTP2Stats `json:"http2"`
	TLS   TLSStats    `json:"tls"`
	// Clients are the counters of the table of clients used for limits.
	Clients clientlimit.Stats `json:"clients"`
	// Listeners are in the order of New, or of the last Change.
	Listeners []ListenerStats `json:"listeners"`
	Loops     []LoopStats     `json:"loops"`
}

// TLSStats has the counters of connections, and the durations of their handshakes.
type TLSStats struct {
	*tlsconn.Counts
	Unlogged          *metric.Counter                  `json:"failures_unlogged" help:"Failed handshakes that the log has no line of their own for, because there were too many."`
	HandshakeDuration *metric.Histograms[tlsconn.Kind] `json:"handshake_duration" label:"kind" help:"Time from accept to the end of a successful handshake, by version and kind."`
}

// ListenerStats are the counters of one listener.
type ListenerStats struct {
	Router   string `json:"router" label:"router"`
	Address  string `json:"address" label:"address"`
	Open     int64  `json:"open" metric:"gauge" help:"Client connections of the listener open now."`
	Accepted uint64 `json:"accepted" metric:"counter" help:"Client connections the listener accepted."`
}

// FlowStats counts client connections and their bytes.
type FlowStats struct {
	Open           metric.Gauge           `json:"open" help:"Client connections open now."`
	Accepted       metric.Counter         `json:"accepted" help:"Client connections accepted."`
	Closed         metric.Counters[cause] `json:"closed" label:"cause" help:"Client connections ended, by cause."`
	CipherInBytes  metric.Counter         `json:"ciphertext_in_bytes" help:"Bytes read from clients."`
	PlainInBytes   metric.Counter         `json:"plaintext_in_bytes" help:"Decrypted bytes for backends."`
	PlainOutBytes  metric.Counter         `json:"plaintext_out_bytes" help:"Bytes read from backends."`
	CipherOutBytes metric.Counter         `json:"ciphertext_out_bytes" help:"Encrypted bytes for clients."`
	Paused         metric.Counter         `json:"accept_paused" help:"Times accepting stopped at the limit of connections."`
	AcceptErrors   metric.Counter         `json:"accept_errors" help:"Errors of accept(2) other than those of a single connection."`
	NoDescriptor   metric.Counter         `json:"no_descriptor" help:"Connections refused because the process had no descriptor left."`
	FullWaiting    metric.Gauge           `json:"full_handshakes_waiting" help:"Full handshakes that wait for those that cost less."`
	FullDelayed    metric.Counter         `json:"full_handshakes_delayed" help:"Full handshakes that had to wait because a loop was late."`
	Panics         metric.Counter         `json:"panics" help:"Connections closed because of a bug; the log has the stack."`

	// Handshake is of all kinds: TLSStats has metrics of each.
	Handshake metric.Histogram `json:"handshake" metric:"-"`
	Connect   metric.Histogram `json:"connect" help:"Time to connect to a backend."`
	Turn      metric.Histogram `json:"turn" help:"Time one event kept a loop from the next."`
}

// LoopStats are the counters of one loop, to see whether load is spread.
type LoopStats struct {
	Loop     int    `json:"loop" label:"loop"`
	Open     int64  `json:"open" metric:"gauge" help:"Client connections open on the loop now."`
	Accepted uint64 `json:"accepted" metric:"counter" help:"Client connections the loop accepted."`
	TurnP99  string `json:"turn_p99"`
	TurnMax  string `json:"turn_max"`
}

// Stats may be called from any goroutine.
func (e *Engine) Stats() Stats {
	parts, ciphers := make([]*counts, 0, len(e.loops)), []*tlsconn.Counts{}
	for _, l := range e.loops {
		parts = append(parts, &l.count)
		if first := l.counts.Load(); first != nil {
			ciphers = append(ciphers, (*first).Counts())
		}
	}
	sum := metric.Sum(parts...)
	s := Stats{
		Flows: &sum.Flows, HTTP: &sum.HTTP, HTTP2: &sum.HTTP2, Clients: e.o.Clients.Stats(),
		TLS: TLSStats{metric.Sum(ciphers...), &e.failures.untold, &sum.Handshakes},
	}
	e.mu.Lock()
	bound := e.bound
	e.mu.Unlock()
	s.Listeners = make([]ListenerStats, len(bound))
	for i, b := range bound {
		row := &s.Listeners[i]
		row.Router, row.Address = b.Name, b.address
		for _, ln := range b.own {
			row.Open += ln.open.Load()
			row.Accepted += ln.accepted.Load()
		}
	}
	for _, l := range e.loops {
		c := &l.count.Flows
		turn := c.Turn.Snapshot()
		s.Loops = append(s.Loops, LoopStats{
			Loop: l.id, Open: c.Open.Load(), Accepted: c.Accepted.Load(),
			TurnP99: turn.Quantile(0.99).String(), TurnMax: turn.Max.String(),
		})
	}
	return s
}

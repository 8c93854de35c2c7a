package engine

import (
	"crypto/tls"

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
	causeNoPool                        // no pool is for this name
	causeBackendReset                  // the backend broke off
	causeBadAnswer                     // the body of a response was malformed; http.bad_answers says how
	causeIdle                          // nothing moved for too long
	causeNotReading                    // the client makes the TLS layer answer and reads nothing
	causeProxyHeader                   // a PROXY header is missing, broken, or from somebody who may not send one
	causeBadRequest                    // a request's body broke off in mid-response, or was no body
	causeSystem                        // the kernel refused a descriptor or its registration
	causeProtocol                      // the client broke HTTP/2's rules or bounds; http2.faults says how
	causeDenied                        // the list of networks says so
	causeLimitConnections              // its client has as many as it may
	causeLimitHandshakes               // its client makes too many full ones
	causeOverload                      // a full handshake that could not be made in time
	causeShutdown                      // the node stops
	causePanic                         // our bug
	causeNone                          // the cause was counted before, or there is nothing to say
	// These are of requests only: the connection goes on.
	causeMisdirected
	causeLimitRequests
	causes
)

var causeNames = [causes]string{
	"done", "client_gone", "truncated", "bad_record", "handshake_failed", "handshake_timeout", "handshake_evicted",
	"no_backend", "no_pool", "backend_reset", "bad_answer", "idle", "not_reading", "proxy_header", "bad_request", "system", "http2",
	"denied", "client_connections", "client_handshakes", "overload", "shutdown", "panic", "",
	"misdirected", "client_requests",
}

// cuts reports whether data may be missing when a flow ends this way, so that
// no end must take what it has got for complete.
func (c cause) cuts() bool {
	switch c {
	case causeDone, causeNone, causeHandshakeTimeout:
		return false
	}
	return true
}

// counts are written by the loop and read by anybody.
type counts struct {
	accepted, paused, acceptErrors, noDescriptor, panics metric.Counter
	open, fullWaiting                                    metric.Gauge
	fullDelayed                                          metric.Counter
	closed                                               [causes]metric.Counter
	cipherIn, plainIn, plainOut, cipherOut               metric.Counter
	turn, connect                                        metric.Histogram
	handshake                                            [handshakeKinds]metric.Histogram
	http                                                 httpCounts
	http2                                                http2Counts
}

// Stats is what the engine has done, summed over its loops.
type Stats struct {
	Flows FlowStats  `json:"flows"`
	HTTP  HTTPStats  `json:"http"`
	HTTP2 HTTP2Stats `json:"http2"`
	TLS   TLSStats   `json:"tls"`
	// Clients is how the table of clients fares that limits count by.
	Clients clientlimit.Stats `json:"clients"`
	// Listeners are in the order of New, or of the last Change.
	Listeners []ListenerStats `json:"listeners"`
	Loops     []LoopStats     `json:"loops"`
}

// TLSStats is what connections count for themselves, and how long their handshakes took.
type TLSStats struct {
	tlsconn.Stats
	Unlogged          uint64                              `json:"failures_unlogged" metric:"counter" help:"Failed handshakes that the log has no line of their own for, because there were too many."`
	HandshakeDuration map[string]metric.HistogramSnapshot `json:"handshake_duration" metric:"histogram" label:"kind" help:"Time from accept to the end of a successful handshake, by version and kind."`
}

// handshakeKinds are those of [tlsconn.Stats.Handshakes].
const handshakeKinds = 4

var kindNames = [handshakeKinds]string{"tls12_full", "tls12_resumed", "tls13_full", "tls13_resumed"}

func handshakeKind(info *tlsconn.Info) (kind int) {
	if info.Version >= tls.VersionTLS13 {
		kind = 2
	}
	if info.Resumed() {
		kind++
	}
	return kind
}

// ListenerStats tells listeners apart.
type ListenerStats struct {
	Router   string `json:"router" label:"router"`
	Address  string `json:"address" label:"address"`
	Open     int64  `json:"open" metric:"gauge" help:"Client connections of the listener open now."`
	Accepted uint64 `json:"accepted" metric:"counter" help:"Client connections the listener accepted."`
}

// FlowStats counts client connections and their bytes.
type FlowStats struct {
	Open          int64             `json:"open" metric:"gauge" help:"Client connections open now."`
	Accepted      uint64            `json:"accepted" metric:"counter" help:"Client connections accepted."`
	Closed        map[string]uint64 `json:"closed" metric:"counter" label:"cause" help:"Client connections ended, by cause."`
	CipherInBytes uint64            `json:"ciphertext_in_bytes" metric:"counter" help:"Bytes read from clients."`
	PlainInBytes  uint64            `json:"plaintext_in_bytes" metric:"counter" help:"Decrypted bytes for backends."`
	PlainOutBytes uint64            `json:"plaintext_out_bytes" metric:"counter" help:"Bytes read from backends."`
	CipherOutByte uint64            `json:"ciphertext_out_bytes" metric:"counter" help:"Encrypted bytes for clients."`
	Paused        uint64            `json:"accept_paused" metric:"counter" help:"Times accepting stopped at the limit of connections."`
	AcceptErrors  uint64            `json:"accept_errors" metric:"counter" help:"Errors of accept(2) other than those of a single connection."`
	NoDescriptor  uint64            `json:"no_descriptor" metric:"counter" help:"Connections refused because the process had no descriptor left."`
	FullWaiting   int64             `json:"full_handshakes_waiting" metric:"gauge" help:"Full handshakes that wait for those that cost less."`
	FullDelayed   uint64            `json:"full_handshakes_delayed" metric:"counter" help:"Full handshakes that had to wait because a loop was late."`
	Panics        uint64            `json:"panics" metric:"counter" help:"Connections closed because of a bug; the log has the stack."`

	// Handshake is of all kinds: TLSStats has metrics of each.
	Handshake metric.HistogramSnapshot `json:"handshake"`
	Connect   metric.HistogramSnapshot `json:"connect" metric:"histogram" help:"Time to connect to a backend."`
	Turn      metric.HistogramSnapshot `json:"turn" metric:"histogram" help:"Time one event kept a loop from the next."`
}

// LoopStats tells loops apart, to see whether load is spread.
type LoopStats struct {
	Loop     int    `json:"loop" label:"loop"`
	Open     int64  `json:"open" metric:"gauge" help:"Client connections open on the loop now."`
	Accepted uint64 `json:"accepted" metric:"counter" help:"Client connections the loop accepted."`
	TurnP99  string `json:"turn_p99"`
	TurnMax  string `json:"turn_max"`
}

// Stats may be called from any goroutine.
func (e *Engine) Stats() Stats {
	var s Stats
	f := &s.Flows
	f.Closed = make(map[string]uint64, causes)
	s.HTTP.init()
	s.HTTP2.init()
	s.TLS.HandshakeDuration = make(map[string]metric.HistogramSnapshot, handshakeKinds)
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
	s.Clients = e.o.Clients.Stats()
	s.TLS.Unlogged = e.failures.untold.Load()
	for _, l := range e.loops {
		c := &l.count
		f.Open += c.open.Load()
		f.Accepted += c.accepted.Load()
		for why := range causeNone {
			f.Closed[causeNames[why]] += c.closed[why].Load()
		}
		f.CipherInBytes += c.cipherIn.Load()
		f.PlainInBytes += c.plainIn.Load()
		f.PlainOutBytes += c.plainOut.Load()
		f.CipherOutByte += c.cipherOut.Load()
		f.Paused += c.paused.Load()
		f.AcceptErrors += c.acceptErrors.Load()
		f.NoDescriptor += c.noDescriptor.Load()
		f.FullWaiting += c.fullWaiting.Load()
		f.FullDelayed += c.fullDelayed.Load()
		f.Panics += c.panics.Load()
		s.HTTP.add(&c.http)
		s.HTTP2.add(&c.http2)
		turn := c.turn.Snapshot()
		f.Turn.Merge(turn)
		for kind, name := range kindNames {
			sum, one := s.TLS.HandshakeDuration[name], c.handshake[kind].Snapshot()
			sum.Merge(one)
			s.TLS.HandshakeDuration[name] = sum
			f.Handshake.Merge(one)
		}
		f.Connect.Merge(c.connect.Snapshot())
		s.Loops = append(s.Loops, LoopStats{
			Loop: l.id, Open: c.open.Load(), Accepted: c.accepted.Load(),
			TurnP99: turn.Quantile(0.99).String(), TurnMax: turn.Max.String(),
		})
		if first := l.counts.Load(); first != nil {
			s.TLS.Add(*first)
		}
	}
	return s
}

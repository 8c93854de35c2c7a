package tlsconn

import (
	"crypto/tls"

	"reprise/internal/metric"
)

// Counts are of handshakes: one loop writes them, any goroutine reads them. Handshakes and Outcomes
// each add up to the completed ones.
type Counts struct {
	Handshakes       metric.Counters[Kind]        `json:"handshakes" label:"kind" help:"Completed handshakes by version and kind."`
	Outcomes         metric.Counters[Outcome]     `json:"outcomes" label:"outcome" help:"How the session a client offered fared, for each completed handshake."`
	Resumed12        metric.Counters[resumedName] `json:"tls12_resumed" label:"by" help:"Resumed TLS 1.2 handshakes by what named the session."`
	Failures         metric.Counters[Reason]      `json:"failures" label:"reason" help:"Handshakes that failed, by reason."`
	EarlyDataSkipped metric.Counter               `json:"early_data_skipped" help:"Handshakes whose early data was skipped."`
	TrailingDot      metric.Counter               `json:"server_name_trailing_dot" help:"ClientHellos whose server name ended with a dot, which was dropped."`
	SignedOnLoop     metric.Counter               `json:"signed_on_loop" help:"RSA signatures made on a loop because the key workers' queue was full."`
}

// Kind is a kind of completed handshakes.
type Kind uint8

const (
	full12 Kind = iota
	resumed12
	full13
	resumed13
)

// Names implements metric.Key.
func (Kind) Names() []string {
	return []string{"tls12_full", "tls12_resumed", "tls13_full", "tls13_resumed"}
}

// KindOf returns the kind of a completed handshake.
func KindOf(info *Info) Kind {
	kind := full12
	if info.Version >= tls.VersionTLS13 {
		kind = full13
	}
	if info.Resumed() {
		kind++
	}
	return kind
}

// resumedName is the kind of name by which a client of TLS 1.2 resumed a session.
type resumedName uint8

const (
	byID resumedName = iota
	byTicket
)

// Names implements metric.Key.
func (resumedName) Names() []string { return []string{"id", "ticket"} }

// Done counts a completed handshake.
func (c *Counts) Done(info *Info) {
	kind := KindOf(info)
	c.Handshakes.Inc(kind)
	c.Outcomes.Inc(info.Outcome)
	switch {
	case kind == resumed12 && info.ByID:
		c.Resumed12.Inc(byID)
	case kind == resumed12:
		c.Resumed12.Inc(byTicket)
	}
}

package engine

import (
	"net/netip"
	"time"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/tlsconn"
)

// Access is what an access log gets of an HTTP request, or of a connection that was relayed.
type Access struct {
	Start    time.Time
	Client   netip.AddrPort // the zero AddrPort for one at a unix socket
	Listener *Listener
	TLS      tlsconn.Conn   // nil without TLS, or if the handshake has failed
	Request  *http1.Request // nil for a connection; for a refused request, its readable parts
	Status   int            // of the response, 0 if there was none
	Backend  *backend.Node  // nil if there was none
	Cause    string         // why it was cut short, "" if it was not
	Reason   string         // why a request was not served, a few words from a closed list
	Retries  int            // backends tried after the first
	Reused   bool           // the backend's connection had served earlier requests
	In, Out  int64          // bytes of plaintext
	Nth      int            // number of the request on its connection, from 1; 0 for a connection
	Stream   uint32         // of HTTP/2, 0 for other requests

	Handshake time.Duration // of the connection
	Connect   time.Duration // to the backend; 0 if there was a connection already
	FirstByte time.Duration // from the start to the response's first byte, 0 if there was none
	Total     time.Duration
}

// trace collects it; flows have one only if there is an access log.
type trace struct {
	start     time.Time
	handshake time.Duration
	connect   time.Duration
	in, out   int64
	node      *backend.Node
	told      bool
	head      []byte // of a request that became a connection
	upgraded  bool
}

// keepRequest keeps the request that switched protocols.
func (t *trace) keepRequest(x *exchange.Exchange) {
	t.upgraded, t.head = true, append([]byte(nil), x.Head()...)
}

// endRequest reports a request.
func (f *flow) endRequest(why cause) {
	t, h, l := f.trace, f.http, f.loop
	if t == nil {
		return
	}
	x := h.Exchange()
	a := &l.access
	*a = Access{Start: l.timeOf(h.began), Status: x.Status(), Nth: int(x.Nth()), Reused: x.Reused()}
	if h.serving() {
		// Of a request that failed to parse, these are the readable parts.
		if a.Request = x.Request(&l.messages); a.Request.Method == nil {
			a.Request = nil
		}
		var what exchange.Why
		if what, a.Reason = x.Why(); a.Reason == "" {
			a.Reason = reasonsOf[what]
		}
		if why == causeDone && (what == exchange.Misdirected || what == exchange.NoPool ||
			what == exchange.Limited) {
			why = causesOf[what]
		}
	}
	if h.first != 0 {
		a.FirstByte = time.Duration(h.first-h.began) * tick
	}
	f.tell(a, why)
	t.in, t.out, t.connect, t.node = 0, 0, 0, nil
}

// reasonsOf are the access log's reasons for requests whose exchange gives none.
var reasonsOf = [...]string{
	exchange.SlowClient: "slow request", exchange.NoBackend: "no backend",
	exchange.NoPool:      "no pool",
	exchange.BackendGone: "no answer", exchange.SlowBackend: "slow backend", exchange.Misused: "",
}

// endTrace reports a connection, or its current request.
func (f *flow) endTrace(why cause) {
	t, l := f.trace, f.loop
	if t == nil || t.told {
		return
	}
	t.told = true
	if h := f.http; h != nil {
		if h.serving() || h.began != 0 {
			f.endRequest(why)
		}
		return
	}
	if f.settings.HTTP != nil && !t.upgraded {
		return
	}
	a := &l.access
	*a = Access{Start: t.start}
	if t.upgraded && l.upgraded.Parse(t.head, &f.settings.HTTP.Limits) == nil {
		a.Request, a.Status = &l.upgraded, 101
	}
	f.tell(a, why)
}

// tell completes a and passes it to the access log.
func (f *flow) tell(a *Access, why cause) {
	t, l := f.trace, f.loop
	a.Client, a.Listener = f.peer, &f.settings.Listener
	if why != causeDone {
		a.Cause = causeNames[why]
	}
	if f.tls != nil && f.phase != handshaking && f.phase != prefixing {
		a.TLS = f.tls
	}
	if a.Backend = f.node; a.Backend == nil {
		a.Backend = t.node
	}
	if f.stream != nil {
		a.Stream, a.Nth = f.stream.ID, int(f.stream.ID/2)+1 // clients use odd ones
	}
	a.Retries = max(0, int(f.tries)-1)
	a.In, a.Out, a.Handshake, a.Connect = t.in, t.out, t.handshake, t.connect
	a.Total = l.now.Sub(a.Start)
	if l.o.Access != nil { // otherwise the log has been closed meanwhile
		l.o.Access(a)
	}
}

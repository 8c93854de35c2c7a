package engine

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/clientlimit"
)

// connectClient charges a new connection to its client, and returns why it is refused, if so. If a
// PROXY header names the client, that is done when the header has come.
func (l *loop) connectClient(ln *listener, peer netip.AddrPort) (clientlimit.Key, cause) {
	if ln.AcceptProxy != nil && trusted(ln.AcceptProxy, peer.Addr()) {
		return 0, causeNone
	}
	key, verdict := l.o.Limits.Connect(l.o.Clients, peer.Addr(), l.now)
	return key, causeOf[verdict]
}

// causeOf maps a refusal to the cause of the connection's end.
var causeOf = [...]cause{
	clientlimit.Admitted: causeNone, clientlimit.Denied: causeDenied,
	clientlimit.TooMany: causeLimitConnections,
}

// turnAway closes a connection that has cost nothing yet. The access log gets no line: a flood must
// not fill it.
func (l *loop) turnAway(ln *listener, fd int, why cause) {
	l.count.Flows.Accepted.Inc()
	ln.accepted.Inc()
	l.count.Flows.Closed.Inc(why)
	resetOnClose(fd) // it must not occupy the kernel either
	unix.Close(fd)
}

// connectPeer is connectClient for a client named by a PROXY header. It reports whether the flow
// goes on.
func (f *flow) connectPeer() bool {
	l := f.loop
	key, verdict := l.o.Limits.Connect(l.o.Clients, f.peer.Addr(), l.now)
	if verdict != clientlimit.Admitted {
		f.end(causeOf[verdict], atOnce)
		return false
	}
	f.origin = key
	return true
}

// limited reports whether the client makes too many requests; then it has answered the request.
func (f *flow) limited() bool {
	l := f.loop
	wait := l.o.Limits.Request(l.o.Clients, f.origin, l.now)
	if wait == 0 {
		return false
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	if f.stream != nil {
		f.actOn(f.http.Exchange().Limit(seconds))
		return true
	}
	step := f.http.Limit(f.exchanges(), seconds)
	f.act(&step)
	return true
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
	"reprise/tlsconn"
)

// What the log is told of connections: a line for a handshake that failed, since nothing else
// says which client that was; and at log-level debug the steps of each connection.

const (
	// failureBurst lines about failed handshakes may follow each other at once, and one each
	// failureEvery: with what tellFailures adds, never more than 10 in a second.
	failureBurst = 5
	failureEvery = time.Second / 4
	// maxToldName bounds what is told of a server name, which is the client's to choose.
	maxToldName = 255
)

// A failureLog bounds the lines about failed handshakes, of which a client can make thousands
// in a second. Loops share it.
type failureLog struct {
	began  time.Time
	full   atomic.Int64   // when there may be failureBurst lines again, in nanoseconds since began
	untold metric.Counter // failures without a line
	told   uint64         // how many of these tellFailures has told of; its caller's
}

// allows reports whether there may be a line now, and counts if not.
func (g *failureLog) allows(now time.Time) bool {
	at := int64(now.Sub(g.began))
	for {
		full := g.full.Load()
		next := max(full, at) + int64(failureEvery)
		if next-at > failureBurst*int64(failureEvery) {
			g.untold.Inc()
			return false
		}
		if g.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

// TellFailures tells the log how many handshakes have failed, since it was called last, that it
// was not told of one by one. It is for one goroutine, which calls it every few seconds.
func (e *Engine) TellFailures() {
	g := &e.failures
	untold := g.untold.Load()
	if n := untold - g.told; n > 0 {
		slog.Info("more handshakes failed", "count", n)
	}
	g.told = untold
}

// tellFailure tells the log of a handshake that ends for a reason that is the client's.
func (f *flow) tellFailure(why cause) {
	switch why {
	case causeHandshake, causeHandshakeTimeout, causeClientGone:
	default:
		return // a flood would have its way with the log, and these have nothing to do with TLS
	}
	if !f.heard {
		return // somebody looks whether the port is open
	}
	if f.loop.failures.allows(f.loop.now) { // neither has more: a flood would leave nothing else
		slog.Info("handshake failed", f.failure(why)...)
		f.remember(f.failureReason(why))
	}
}

// failureReason is the word for why.
func (f *flow) failureReason(why cause) string {
	if failed, ok := errors.AsType[*tlsconn.Error](f.tls.Err()); ok {
		return failed.Reason.String()
	}
	return causeNames[why]
}

// failure says who has failed, and why.
func (f *flow) failure(why cause) []any {
	facts := []any{"client", clientName(f), "listener", f.settings.Address}
	if name := f.tls.Info().ServerName; name != "" {
		facts = append(facts, "server_name", name[:min(len(name), maxToldName)])
	}
	if failed, ok := errors.AsType[*tlsconn.Error](f.tls.Err()); ok {
		return append(facts, "reason", failed.Reason.String(), "error",
			strings.TrimPrefix(failed.Error(), "tlsconn: "))
	}
	return append(facts, "reason", causeNames[why])
}

// clientName is what the log calls a client by.
func clientName(f *flow) string {
	if !f.peer.IsValid() {
		return "unix"
	}
	return f.peer.String()
}

// follow has the log follow a new connection, if it is to.
func (f *flow) follow() {
	if !slog.Default().Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	id := fmt.Sprintf("%d.%d", f.loop.id, f.loop.count.Flows.Accepted.Load())
	f.log = slog.With("connection", id, "client", clientName(f))
	f.log.Debug("accepted", "listener", f.settings.Address, "router", f.settings.Name)
}

// tellHandshake tells of what a step of the handshake led to.
func (f *flow) tellHandshake() {
	info := f.tls.Info()
	switch state := f.tls.State(); {
	case state.Parked():
		f.log.Debug("handshake waits", "for", parkedFor[state], "server_name", info.ServerName)
	case state == tlsconn.ExpectHandshakeBytes:
		f.log.Debug("hello", "complete", info.Version != 0, "server_name", info.ServerName,
			"version", info.Protocol())
	case state == tlsconn.Failed:
	default:
		f.log.Debug("handshake", "server_name", info.ServerName, "version", info.Protocol(),
			"cipher", info.Cipher(),
			"alpn", info.ALPN, "session", info.Outcome.String(), "took",
			f.loop.now.Sub(f.loop.timeOf(f.began)))
	}
}

var parkedFor = map[tlsconn.State]string{
	tlsconn.AwaitSession: "a session from elsewhere", tlsconn.AwaitSignature: "a signature",
	tlsconn.AwaitVerify:    "the client's certificate to be verified",
	tlsconn.AwaitAdmission: "its turn",
}

// tellBackend tells of the backend that is tried, or used.
func (f *flow) tellBackend(what string) {
	f.log.Debug(what, "pool", f.route.pool.Options().Name, "backend", f.node.Name(), "try", f.tries)
}

// tellRequest tells of a request that goes to a pool.
func (f *flow) tellRequest() {
	r := f.http.Exchange().Request(&f.loop.messages)
	f.log.Debug("request", "method", string(r.Method), "host", string(r.Host), "target",
		string(r.Target),
		"pool", f.route.pool.Options().Name)
}

// tellEnd tells of the end of a connection or stream.
func (f *flow) tellEnd(why cause) {
	if f.tls != nil && f.phase == handshaking {
		f.log.Debug("ended", append([]any{"cause", causeNames[why]}, f.failure(why)[4:]...)...)
		return
	}
	f.log.Debug("ended", "cause", causeNames[why])
}

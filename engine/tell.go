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

// The log's lines about connections: one for a failed handshake, since nothing else names that
// client; and at log-level debug the steps of each connection.

const (
	// failureBurst lines about failed handshakes may follow each other at once, and one each
	// failureEvery: with those of tellFailures, never more than 10 in a second.
	failureBurst = 5
	failureEvery = time.Second / 4
	// maxToldName bounds the logged length of a server name, which the client chooses.
	maxToldName = 255
)

// A failureLog bounds the lines about failed handshakes, of which a client can make thousands in a
// second. Loops share it.
type failureLog struct {
	began  time.Time
	full   atomic.Int64   // when there may be failureBurst lines again, in nanoseconds since began
	untold metric.Counter // failures without a line
	told   uint64         // how many of these tellFailures has logged; its caller's
}

// allows reports whether a line may be logged now; if not, it counts the failure.
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

// TellFailures logs the number of failed handshakes since its last call that got no line of their
// own. It is for one goroutine, which calls it every few seconds.
func (e *Engine) TellFailures() {
	g := &e.failures
	untold := g.untold.Load()
	if n := untold - g.told; n > 0 {
		slog.Info("more handshakes failed", "count", n)
	}
	g.told = untold
}

// tellFailure logs a handshake that failed through the client's fault.
func (f *flow) tellFailure(why cause) {
	switch why {
	case causeHandshake, causeHandshakeTimeout, causeClientGone:
	default:
		return // a flood would fill the log, and these do not concern TLS
	}
	if !f.heard {
		return // a check whether the port is open
	}
	if f.loop.failures.allows(f.loop.now) { // a flood would leave no room for other lines
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

// failure returns the client and the reason as attributes.
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

// clientName is the log's name for a client.
func clientName(f *flow) string {
	if !f.peer.IsValid() {
		return "unix"
	}
	return f.peer.String()
}

// follow makes the log follow a new connection, if so configured.
func (f *flow) follow() {
	if !slog.Default().Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	id := fmt.Sprintf("%d.%d", f.loop.id, f.loop.count.Flows.Accepted.Load())
	f.log = slog.With("connection", id, "client", clientName(f))
	f.log.Debug("accepted", "listener", f.settings.Address, "router", f.settings.Name)
}

// tellHandshake logs the result of a handshake step.
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

// tellBackend logs the backend that is tried, or used.
func (f *flow) tellBackend(what string) {
	f.log.Debug(what, "pool", f.route.pool.Options().Name, "backend", f.node.Name(), "try", f.tries)
}

// tellRequest logs a request that goes to a pool.
func (f *flow) tellRequest() {
	r := f.http.Exchange().Request(&f.loop.messages)
	f.log.Debug("request", "method", string(r.Method), "host", string(r.Host), "target",
		string(r.Target),
		"pool", f.route.pool.Options().Name)
}

// tellEnd logs the end of a connection or stream.
func (f *flow) tellEnd(why cause) {
	if f.tls != nil && f.phase == handshaking {
		f.log.Debug("ended", append([]any{"cause", causeNames[why]}, f.failure(why)[4:]...)...)
		return
	}
	f.log.Debug("ended", "cause", causeNames[why])
}

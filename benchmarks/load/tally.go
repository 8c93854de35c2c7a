package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// tally counts for all clients. Many goroutines write its atomics, which costs far less than one
// handshake or request and spares thousands of clients a histogram each.
type tally struct {
	ops, bytes, handshakes, resumed atomic.Int64
	latency, handshake, late        Histogram

	mu         sync.Mutex // guards the rest
	failed     int64
	kinds      map[string]int64
	first      error
	negotiated map[parameters]int64
}

type parameters struct {
	version, cipher uint16
	group           tls.CurveID
}

func (p parameters) String() string {
	return tls.VersionName(p.version) + " " + tls.CipherSuiteName(p.cipher) + " " + p.group.String()
}

func newTally() *tally {
	return &tally{
		latency: newHistogram(), handshake: newHistogram(), late: newHistogram(),
		kinds: make(map[string]int64), negotiated: make(map[parameters]int64),
	}
}

// operation counts an operation that took d, or failed.
func (t *tally) operation(d time.Duration, err error) {
	if err != nil {
		t.fail(1, err)
		return
	}
	t.ops.Add(1)
	t.latency.record(d)
}

func (t *tally) fail(n int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed += n
	t.kinds[errorKind(err)] += n
	if t.first == nil {
		t.first = err
	}
}

func (t *tally) handshakeDone(d time.Duration, s *tls.ConnectionState) {
	t.handshakes.Add(1)
	t.handshake.record(d)
	if s.DidResume {
		t.resumed.Add(1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.negotiated[parameters{s.Version, s.CipherSuite, s.CurveID}]++
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Result{
		Ops: t.ops.Load(), Errors: t.failed, Bytes: t.bytes.Load(),
		Handshakes: t.handshakes.Load(), Resumed: t.resumed.Load(),
		Latency: t.latency, Handshake: t.handshake, Late: t.late,
		ErrorKinds: t.kinds, Negotiated: make(map[string]int64),
	}
	if t.first != nil {
		r.FirstError = t.first.Error()
	}
	for p, n := range t.negotiated {
		r.Negotiated[p.String()] = n
	}
	return r
}

// claimError says that the outcome contradicts the mode's claim.
type claimError struct{ kind, what string }

func (e *claimError) Error() string { return e.what }

func claim(kind, format string, args ...any) error {
	return &claimError{kind, fmt.Sprintf(format, args...)}
}

// errorKind names an error in a word: the cause, or the broken claim, which is "resumed" (a full
// handshake that was not), "session" (none issued), "closed" (before all requests were made),
// "echo", "length", "response", "status" or "unsent" (due, but not begun before the run ended).
func errorKind(err error) string {
	var broken *claimError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &broken):
		return broken.kind
	case errors.As(err, &certificate):
		return "certificate"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "ports" // all ephemeral ones are in use or in TIME_WAIT
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "descriptors"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "eof"
	case errors.As(err, &op) && op.Op == "remote error":
		// crypto/tls's word for an alert that was received
		return "alert"
	}
	return "other"
}

package store

import (
	"context"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
)

// A breaker keeps requests away from a failing server. It starts open: the first successful probe
// closes it. All methods but run are safe for concurrent use.
type breaker struct {
	threshold int32         // consecutive failures that open it
	minWait   time.Duration // before the first probe after it opened; doubled each time
	maxWait   time.Duration

	closed   atomic.Bool  // written by run and by the failure that opens it
	failures atomic.Int32 // consecutive
	served   atomic.Bool  // a request has succeeded since it closed
	opened   chan error   // room for one; the failure that opened it, for run
	openings metric.Counter
}

func newBreaker(threshold int, minWait, maxWait time.Duration) *breaker {
	return &breaker{
		threshold: int32(threshold), minWait: minWait, maxWait: maxWait,
		opened: make(chan error, 1),
	}
}

// allows reports whether requests may be sent to the server.
func (b *breaker) allows() bool { return b.closed.Load() }

// succeeded records an answered request.
func (b *breaker) succeeded() {
	b.served.Store(true)
	b.failures.Store(0)
}

// failed records a request without an answer.
func (b *breaker) failed(err error) {
	if b.failures.Add(1) >= b.threshold && b.closed.CompareAndSwap(true, false) {
		b.openings.Inc()
		b.opened <- err // run has taken the one before: else it would not be closed
	}
}

// run probes the server whenever the breaker is open, one probe at a time, until
// ctx ends. It calls changed with nil when the breaker closes, and with the cause
// when it opens and after each probe that failed.
//
// A server whose probes succeed but which then serves nothing is also left alone for longer each
// time.
func (b *breaker) run(ctx context.Context, probe func(context.Context) error, changed func(error)) {
	wait := b.minWait
	for {
		err := probe(ctx)
		if err == nil {
			b.failures.Store(0)
			b.served.Store(false)
			changed(nil)
			b.closed.Store(true)
			select {
			case err = <-b.opened:
			case <-ctx.Done():
			}
			if b.served.Load() {
				wait = b.minWait
			}
		}
		if ctx.Err() != nil {
			return
		}
		changed(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, b.maxWait)
	}
}

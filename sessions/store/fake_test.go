package store

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/storeurl"
)

// fake is a server in memory that can be slow, hung or broken.
type fake struct {
	mu      sync.Mutex
	values  map[string][]byte
	err     error
	hung    chan struct{} // requests wait until it is closed; nil: they do not
	waiting atomic.Int32
	left    time.Duration

	beforeSwap func() // if set before the fake is used
}

func newFake() *fake { return &fake{values: map[string][]byte{}, left: untold} }

// do performs f, after as long as the server hangs.
func (f *fake) do(ctx context.Context, perform func()) error {
	f.mu.Lock()
	hung, err := f.hung, f.err
	f.mu.Unlock()
	if hung != nil {
		f.waiting.Add(1)
		defer f.waiting.Add(-1)
		select {
		case <-hung:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	perform()
	return nil
}

func (f *fake) connect() error { return nil }

func (f *fake) close() {}

func (f *fake) get(ctx context.Context, name string) (value []byte, left time.Duration, err error) {
	err = f.do(ctx, func() { value, left = f.values[name], f.left })
	return value, left, err
}

func (f *fake) set(ctx context.Context, name string, value []byte, _ time.Duration) error {
	return f.do(ctx, func() { f.values[name] = value })
}

func (f *fake) remove(ctx context.Context, name string) error {
	return f.do(ctx, func() { delete(f.values, name) })
}

func (f *fake) swap(ctx context.Context, name string, old, value []byte,
	_ time.Duration,
) (swapped bool, err error) {
	if f.beforeSwap != nil {
		f.beforeSwap()
	}
	err = f.do(ctx, func() {
		if swapped = bytes.Equal(f.values[name], old); swapped {
			f.values[name] = value
		}
	})
	return swapped, err
}

func (f *fake) hang() (resume func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hung := make(chan struct{})
	f.hung = hung
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.hung = nil
		f.mu.Unlock()
		close(hung)
	})
}

func (f *fake) breakWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// startFake returns a store on f whose breaker is closed.
func startFake(t *testing.T, f *fake, o Options, seeds ...string) *Store {
	t.Helper()
	o.LookupTimeout = max(o.LookupTimeout, time.Millisecond)
	o.WriteQueue = max(o.WriteQueue, 1024)
	o.BreakerFailures = max(o.BreakerFailures, 5)
	o.BreakerMinWait, o.BreakerMaxWait = time.Millisecond, time.Millisecond
	if o.Log == nil {
		o.Log = func(line string) { t.Log(line) }
	}
	var secrets []*secret
	for _, seed := range append(seeds, "a")[:max(1, len(seeds))] {
		secrets = append(secrets, testSecret(t, seed))
	}
	s := start(storeurl.Location{Scheme: "redis", Hosts: []string{"fake:1"}}, secrets, o, f)
	t.Cleanup(s.Close)
	awaitReady(t, s)
	return s
}

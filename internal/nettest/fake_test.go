package nettest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"reprise/internal/nettest"
)

// fakeT is a test that may fail without failing the real one.
type fakeT struct {
	mu       sync.Mutex // guards what follows
	log      []string
	failed   bool
	skipped  bool
	cleanups []func()
}

// try runs f as a test of its own and returns how that went.
func try(f func(nettest.T)) *fakeT {
	t := &fakeT{}
	t.run(func() { f(t) })
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		cleanup := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		t.run(cleanup)
	}
	return t
}

// run gives f a goroutine to end, as package testing does.
func (t *fakeT) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// wantFailure asserts that the test failed and said why.
func (t *fakeT) wantFailure(real *testing.T, why string) {
	real.Helper()
	if log := strings.Join(t.log, "\n"); !t.failed || !strings.Contains(log, why) {
		real.Errorf("got failed %t, want failure that says %q; log:\n%s", t.failed, why, log)
	}
}

func (t *fakeT) wantSuccess(real *testing.T) {
	real.Helper()
	if t.failed || t.skipped {
		real.Errorf("got failed %t, skipped %t, want success; log:\n%s", t.failed, t.skipped, strings.Join(t.log, "\n"))
	}
}

func (t *fakeT) Helper() {}

func (t *fakeT) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

func (t *fakeT) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

func (t *fakeT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *fakeT) Skipf(format string, args ...any) {
	t.Logf(format, args...)
	t.skipped = true
	runtime.Goexit()
}

func (t *fakeT) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *fakeT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

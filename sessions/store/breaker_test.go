package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

// A probing is a breaker in a synctest bubble: probes fail while down is set, and record the times
// at which they were made, in seconds.
type probing struct {
	*breaker
	down    atomic.Bool
	mu      sync.Mutex // the bubble's clock orders accesses, but the race detector does not know
	probes  []int
	changes []error
}

func runBreaker(t *testing.T, down bool, test func(p *probing)) {
	synctest.Test(t, func(t *testing.T) {
		p := &probing{breaker: newBreaker(5, time.Second, 30*time.Second)}
		p.down.Store(down)
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		go p.run(ctx, func(context.Context) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.probes = append(p.probes, int(time.Since(begin)/time.Second))
			if p.down.Load() {
				return errDown
			}
			return nil
		}, func(err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changes = append(p.changes, err)
		})
		synctest.Wait()
		test(p)
		cancel()
		synctest.Wait()
	})
}

func (p *probing) fail(n int) {
	for range n {
		p.failed(errDown)
	}
	synctest.Wait()
}

func (p *probing) wait(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

func TestBreakerBacksOff(t *testing.T) {
	runBreaker(t, true, func(p *probing) {
		if p.allows() {
			t.Error("closed before a probe has succeeded")
		}
		p.wait(125 * time.Second)
		p.mu.Lock()
		if want := []int{0, 1, 3, 7, 15, 31, 61, 91, 121}; !slices.Equal(p.probes, want) {
			t.Errorf("probes at %v, want %v", p.probes, want)
		}
		p.mu.Unlock()
		p.down.Store(false)
		p.wait(30 * time.Second)
		if !p.allows() {
			t.Error("still open after a probe that succeeded")
		}
		if got := p.openings.Load(); got != 0 {
			t.Errorf("opened %d times, want 0: it never was closed", got)
		}
	})
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	runBreaker(t, false, func(p *probing) {
		for range 100 {
			p.fail(4)
			p.succeeded()
		}
		p.fail(4)
		if !p.allows() {
			t.Fatal("opened by fewer than five failures in a row")
		}
		p.fail(40) // those in flight fail as well
		if p.allows() {
			t.Fatal("still closed after five failures in a row")
		}
		if got := p.openings.Load(); got != 1 {
			t.Errorf("opened %d times, want 1", got)
		}
		p.wait(999 * time.Millisecond)
		if p.allows() {
			t.Error("closed before a second was over")
		}
		p.wait(time.Millisecond)
		if !p.allows() {
			t.Error("still open a second later")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if want := []error{nil, errDown, nil}; !slices.Equal(p.changes, want) {
			t.Errorf("changes %v, want %v", p.changes, want)
		}
	})
}

// A server can answer probes and yet nothing else.
func TestBreakerBacksOffFromUselessServers(t *testing.T) {
	runBreaker(t, false, func(p *probing) {
		for _, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			p.fail(5)
			p.wait(wait*time.Second - 1)
			if p.allows() {
				t.Fatalf("closed before %d s were over", wait)
			}
			p.wait(1)
			if !p.allows() {
				t.Fatalf("open after %d s", wait)
			}
		}
		p.succeeded()
		p.fail(5)
		p.wait(time.Second)
		if !p.allows() {
			t.Error("open for more than a second after it had served")
		}
	})
}

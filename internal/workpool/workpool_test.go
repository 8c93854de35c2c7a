package workpool_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reprise/internal/workpool"
)

// busy returns a pool of one worker that does nothing until release is closed.
func busy(t *testing.T, queue int) (p *workpool.Pool, release chan bool) {
	t.Helper()
	p = workpool.New(1, queue)
	started, release := make(chan bool), make(chan bool)
	if !p.TrySubmit(func() { started <- true; <-release }, nil) {
		t.Fatal("an idle pool refused work")
	}
	<-started
	return p, release
}

func TestRunsAllAndRefusesWhenFull(t *testing.T) {
	p, release := busy(t, 2)
	var ran atomic.Int32
	for i, want := range []bool{true, true, false} {
		if got := p.TrySubmit(func() { ran.Add(1) }, nil); got != want {
			t.Errorf("submission %d behind a busy worker: got %v, want %v", i, got, want)
		}
	}
	close(release)
	p.Close()
	if got := ran.Load(); got != 2 {
		t.Errorf("%d pieces of work ran, want 2", got)
	}
}

// Work that has waited too long waits longer, so that newer work does not wait at all.
func TestNewestFirstOnceItIsLate(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		want  []int
	}{
		{"in time", 50 * time.Millisecond, []int{0, 1, 2, 3}},
		{"late", 150 * time.Millisecond, []int{3, 2, 1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, release := busy(t, 8)
				helping := make(chan bool)
				p.TrySubmit(func() { <-helping }, nil)
				time.Sleep(starved) // now the helper is busy too, and stays so
				var got []int
				for i := range 4 {
					p.TrySubmit(func() { got = append(got, i) }, nil)
				}
				time.Sleep(test.after) // of the bubble's clock
				close(release)
				synctest.Wait()
				close(helping)
				p.Close()
				if !slices.Equal(got, test.want) {
					t.Errorf("served %v, want %v", got, test.want)
				}
			})
		})
	}
}

// starved is the time after which starving idle workers certainly have help.
const starved = 200 * time.Millisecond

// Work is done although the idle worker never gets CPU time.
func TestHelpForStarvedWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, release := busy(t, 8)
		for range 3 {
			var done atomic.Bool
			p.TrySubmit(func() { done.Store(true) }, nil)
			time.Sleep(starved)
			if !done.Load() {
				t.Errorf("not done after %v", starved)
			}
		}
		close(release)
		p.Close()
	})
}

// Abandoned work is not done, and takes no place in the queue.
func TestAbandonedWork(t *testing.T) {
	const queue = 100
	p, release := busy(t, queue)
	var ran []int
	gone := make([]atomic.Bool, queue)
	for i := range queue {
		if !p.TrySubmit(func() { ran = append(ran, i) }, &gone[i]) {
			t.Fatalf("submission %d was refused", i)
		}
	}
	want := []int{}
	for i := range gone {
		if i%3 != 0 {
			gone[i].Store(true)
		} else {
			want = append(want, i)
		}
	}
	for i := queue; i < queue+2*queue/3; i++ {
		if !p.TrySubmit(func() { ran = append(ran, i) }, nil) {
			t.Fatalf("submission %d was refused though most of the queue is abandoned", i)
		}
		want = append(want, i)
	}
	if p.TrySubmit(func() { t.Error("ran, though it was refused") }, nil) {
		t.Error("a queue full of wanted work takes more")
	}
	close(release)
	p.Close()
	slices.Sort(ran) // the test may take longer than maxWait
	if !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

func TestPanicCostsOnlyItsWork(t *testing.T) {
	p := workpool.New(1, 2)
	done := make(chan bool, 1)
	p.TrySubmit(func() { panic("expected by the test") }, nil)
	p.TrySubmit(func() { done <- true }, nil)
	p.Close()
	if len(done) != 1 {
		t.Error("the worker did not survive a panic")
	}
}

// Many goroutines submit, many workers serve, and each piece of work runs once.
func TestHammer(t *testing.T) {
	p := workpool.New(4, 64)
	const each = 2000
	var ran, refused atomic.Int64
	var submitters atomic.Int64
	done := make(chan bool)
	for range 4 {
		submitters.Add(1)
		go func() {
			for range each {
				var gone atomic.Bool
				if !p.TrySubmit(func() { ran.Add(1) }, &gone) {
					refused.Add(1)
				}
			}
			if submitters.Add(-1) == 0 {
				close(done)
			}
		}()
	}
	<-done
	p.Close()
	if got := ran.Load() + refused.Load(); got != 4*each {
		t.Errorf("%d ran and %d were refused, want %d in all", ran.Load(), refused.Load(), 4*each)
	}
}

func ExamplePool() {
	p := workpool.New(1, 16)
	p.TrySubmit(func() { fmt.Println("signed") }, nil)
	p.Close()
	// Output: signed
}

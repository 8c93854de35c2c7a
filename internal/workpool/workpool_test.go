package workpool_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"reprise/internal/workpool"
)

func TestRunsAllAndRefusesWhenFull(t *testing.T) {
	p := workpool.New(1, 2)
	var ran atomic.Int32
	started, hold := make(chan bool), make(chan bool)
	if !p.TrySubmit(func() { started <- true; <-hold; ran.Add(1) }) {
		t.Fatal("an idle pool refused work")
	}
	<-started
	for i, want := range []bool{true, true, false} {
		if got := p.TrySubmit(func() { ran.Add(1) }); got != want {
			t.Errorf("submission %d behind a busy worker: got %v, want %v", i, got, want)
		}
	}
	close(hold)
	p.Close()
	if got := ran.Load(); got != 3 {
		t.Errorf("%d pieces of work ran, want 3", got)
	}
}

func TestPanicCostsOnlyItsWork(t *testing.T) {
	p := workpool.New(1, 2)
	done := make(chan bool, 1)
	p.TrySubmit(func() { panic("expected by the test") })
	p.TrySubmit(func() { done <- true })
	p.Close()
	if len(done) != 1 {
		t.Error("the worker did not survive a panic")
	}
}

func ExamplePool() {
	p := workpool.New(1, 16)
	p.TrySubmit(func() { fmt.Println("signed") })
	p.Close()
	// Output: signed
}

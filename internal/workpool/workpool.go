// Package workpool runs work that would hold up a loop, such as RSA signatures,
// on a bounded number of goroutines with a bounded queue.
package workpool

import (
	"log/slog"
	"runtime/debug"
	"sync"
)

// A Pool belongs to whoever made it; TrySubmit may be called by any goroutine.
type Pool struct {
	work    chan func()
	running sync.WaitGroup
}

// New starts a pool of workers goroutines that lets queue functions wait.
func New(workers, queue int) *Pool {
	p := &Pool{work: make(chan func(), queue)}
	for range workers {
		p.running.Add(1)
		go func() {
			defer p.running.Done()
			for work := range p.work {
				run(work)
			}
		}()
	}
	return p
}

// TrySubmit queues work. It never blocks (a channel send with a default case
// takes a lock for some instructions and nothing more); false means that the
// queue is full and work will not be run.
func (p *Pool) TrySubmit(work func()) bool {
	select {
	case p.work <- work:
		return true
	default:
		return false
	}
}

// Close waits for what is queued. TrySubmit must not be called any more.
func (p *Pool) Close() {
	close(p.work)
	p.running.Wait()
}

// run keeps a panic in one piece of work from ending the process.
func run(work func()) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a worker", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	work()
}

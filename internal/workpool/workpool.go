// Package workpool runs work that would hold up a loop, such as RSA signatures,
// on a bounded number of goroutines with a bounded queue.
//
// Work is served in the order in which it came as long as that keeps up. Once the
// oldest has waited for longer than patience, the newest goes first: who has waited
// that long has probably gone or soon will, and serving everybody late would serve
// nobody (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 2015).
package workpool

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long work may wait before the newest is served first.
const patience = 100 * time.Millisecond

// A Pool belongs to whoever made it; TrySubmit may be called by any goroutine.
type Pool struct {
	running sync.WaitGroup
	start   time.Time

	mu     sync.Mutex // guards what follows; held for some instructions, never for work
	some   sync.Cond  // signalled for each entry and at the end
	ring   []entry    // len entries from first on, the oldest first
	first  int
	len    int
	calls  int // of TrySubmit since the last sweep
	closed bool
}

type entry struct {
	work      func()
	abandoned *atomic.Bool  // nil: never
	since     time.Duration // from the pool's start
}

// New starts a pool of workers goroutines that lets queue functions wait.
func New(workers, queue int) *Pool {
	p := &Pool{ring: make([]entry, max(queue, 1)), start: time.Now()}
	p.some.L = &p.mu
	for range workers {
		p.running.Go(p.serve)
	}
	return p
}

// TrySubmit queues work. It never blocks (it takes a lock for some instructions and
// nothing more); false means that the queue is full and work will not be run. If
// abandoned is set before a worker gets to it, work is not run either: nobody wants
// it any more. It may be nil.
func (p *Pool) TrySubmit(work func(), abandoned *atomic.Bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.len == len(p.ring) && p.calls > len(p.ring)/sweepShare {
		p.sweep()
	}
	if p.len == len(p.ring) {
		return false
	}
	*p.at(p.len) = entry{work, abandoned, time.Since(p.start)}
	p.len++
	p.some.Signal()
	return true
}

// sweepShare bounds what sweeping costs: a look at that many entries for each call
// of TrySubmit.
const sweepShare = 4

// sweep drops what is abandoned, so that it does not take the place of what is not.
func (p *Pool) sweep() {
	p.calls = 0
	kept := 0
	for i := range p.len {
		if e := *p.at(i); !e.unwanted() {
			*p.at(kept) = e
			kept++
		}
	}
	for i := kept; i < p.len; i++ {
		*p.at(i) = entry{}
	}
	p.len = kept
}

// at returns the entry that i others are older than.
func (p *Pool) at(i int) *entry { return &p.ring[(p.first+i)%len(p.ring)] }

func (e *entry) unwanted() bool { return e.abandoned != nil && e.abandoned.Load() }

// Close waits for what is queued. TrySubmit must not be called any more.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.some.Broadcast()
	p.running.Wait()
}

// serve is a worker.
func (p *Pool) serve() {
	for {
		e, more := p.take()
		if !more {
			return
		}
		if !e.unwanted() {
			run(e.work)
		}
	}
}

// take waits for work; false means that there will be none.
func (p *Pool) take() (entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.len == 0 {
		if p.closed {
			return entry{}, false
		}
		p.some.Wait()
	}
	p.len--
	next := p.at(p.len) // the newest
	if oldest := p.at(0); time.Since(p.start)-oldest.since < patience {
		next = oldest
		p.first = (p.first + 1) % len(p.ring)
	}
	e := *next
	*next = entry{}
	return e, true
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

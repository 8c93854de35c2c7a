// Package workpool runs work that would hold up a loop, such as RSA signatures,
// on a bounded number of goroutines with a bounded queue.
//
// Workers are threads of the class SCHED_IDLE where the kernel has it: they get the CPU time that
// loops leave, so that a loop need not wait for a core on which a signature runs (measured with RSA
// handshakes as fast as clients can: p99 of established flows 6.0 ms before, 1.3 ms after; nice(19)
// hardly helps). Loops, or other programs, that leave no time would starve them: when work is not
// done within starvation, as many workers of the usual class help, for relief at a time.
//
// Work is done in the order in which it came as long as the workers keep up. Once the oldest has
// waited for longer than maxWait, the newest goes first: a client that has waited that long has
// probably gone or soon will, and serving all late would help none (adaptive LIFO: Maurer, "Fail at
// Scale", ACM Queue 2015).
package workpool

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWait is how long work may wait before the newest is done first.
	maxWait = 100 * time.Millisecond
	// starvation is how long idle workers may take to begin or to finish a piece of work, the
	// slowest of which takes some milliseconds.
	starvation = 25 * time.Millisecond
	// minRelief is how long helpers then work in their place, twice as long each time that idle
	// workers starve again afterwards, up to maxRelief.
	minRelief, maxRelief = time.Second, 64 * time.Second
)

// A Pool is owned by the goroutine that made it; TrySubmit may be called by any.
type Pool struct {
	running sync.WaitGroup
	start   time.Time

	mu     sync.Mutex // guards what follows; held for some instructions, never for work
	some   sync.Cond  // for idle workers: signalled for each entry and at the end
	help   sync.Cond  // for helpers: likewise, until relieved
	ring   []entry    // len entries from first on, the oldest first
	first  int
	len    int
	calls  int // of TrySubmit since the last sweep
	closed bool

	// Times are from the pool's start.
	underWay int // how much work idle workers are doing
	// when they last began or finished work, or first had some to do
	progress time.Duration
	relieved time.Duration // until when helpers work
	relief   time.Duration // how long they last did, 0 if idle workers keep up
	watch    *time.Timer   // looks for starvation while there is work
	watching bool
}

type entry struct {
	work      func()
	abandoned *atomic.Bool  // nil: never
	since     time.Duration // from the pool's start
}

// New starts a pool of workers goroutines that lets queue functions wait.
func New(workers, queue int) *Pool {
	p := &Pool{ring: make([]entry, max(queue, 1)), start: time.Now()}
	p.some.L, p.help.L = &p.mu, &p.mu
	p.watch = time.AfterFunc(starvation, p.look)
	p.watch.Stop()
	for range workers {
		p.running.Go(p.serveIdle)
		p.running.Go(p.serveRelief)
	}
	return p
}

// TrySubmit queues work. It never blocks (it only takes a lock for some instructions); false means
// that the queue is full and work will not be run. If abandoned is set before a worker gets to it,
// work is not run either: its result is no longer wanted. It may be nil.
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
	now := p.now()
	if p.len == 0 && p.underWay == 0 {
		p.progress = now
	}
	*p.at(p.len) = entry{work, abandoned, now}
	p.len++
	if now < p.relieved {
		p.help.Signal()
	} else {
		p.some.Signal()
	}
	if !p.watching {
		p.watching = true
		p.watch.Reset(starvation)
	}
	return true
}

// sweepShare bounds what sweeping costs: a look at that many entries for each call
// of TrySubmit.
const sweepShare = 4

// sweep drops abandoned work, so that it does not take the place of other work.
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

// now is the time since the pool's start.
func (p *Pool) now() time.Duration { return time.Since(p.start) }

// Close waits for the queued work. TrySubmit must not be called after it.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.some.Broadcast()
	p.help.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
	p.watch.Stop()
}

// serveIdle is a worker, on a thread that ends with its goroutine, since its class cannot be
// changed back.
func (p *Pool) serveIdle() {
	runtime.LockOSThread()
	leaveToOthers()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.await(&p.some, func() bool { return p.now() >= p.relieved }) {
		p.underWay++
		begun := p.now()
		p.progress = begun
		p.serveNext()
		p.underWay--
		p.progress = p.now()
		if p.progress-begun < starvation {
			p.relief = 0
		}
	}
}

// serveRelief is a helper.
func (p *Pool) serveRelief() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.await(&p.help, func() bool { return p.now() < p.relieved }) {
		p.serveNext()
	}
}

// await waits until there is work and it is the caller's turn; false means that there will be no
// more.
func (p *Pool) await(signal *sync.Cond, turn func() bool) bool {
	for p.len == 0 || !turn() {
		if p.len == 0 && p.closed {
			p.some.Broadcast() // for workers that were waiting for their turn
			p.help.Broadcast()
			return false
		}
		signal.Wait()
	}
	return true
}

// look makes helpers work while idle workers starve, and idle workers again later.
func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.watching = p.len > 0 || p.underWay > 0
	switch {
	case now < p.relieved:
		p.watching = true
		p.watch.Reset(p.relieved - now)
		return
	case p.watching && p.progress < p.relieved: // their next try begins
		p.progress = now
		p.some.Broadcast()
	case p.watching && now-p.progress >= starvation:
		p.relief = min(max(2*p.relief, minRelief), maxRelief)
		p.relieved = now + p.relief
		p.help.Broadcast()
	}
	if p.watching {
		p.watch.Reset(starvation)
	}
}

// serveNext takes an entry and does its work, without the lock.
func (p *Pool) serveNext() {
	p.len--
	next := p.at(p.len) // the newest
	if oldest := p.at(0); p.now()-oldest.since < maxWait {
		next = oldest
		p.first = (p.first + 1) % len(p.ring)
	}
	e := *next
	*next = entry{}
	p.mu.Unlock()
	defer p.mu.Lock()
	if !e.unwanted() {
		run(e.work)
	}
}

// run keeps a panic in a piece of work from ending the process.
func run(work func()) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a worker", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	work()
}

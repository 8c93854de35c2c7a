package backend_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"reprise/backend"
)

func TestQueueIsBounded(t *testing.T) {
	p := newPool(t, specs(1), backend.Options{QueueLen: 2})
	var got []bool
	for range 4 {
		got = append(got, p.Enqueue())
	}
	p.Dequeue()
	got = append(got, p.Enqueue(), p.Enqueue())
	if want := "[true true false false true false]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := p.Stats(); s.Queued != 2 || s.Refused != 3 {
		t.Errorf("got %d queued, %d refused; want 2, 3", s.Queued, s.Refused)
	}
}

// Every event that may let Pick answer something other than Full wakes the waiting flows.
func TestOnRoom(t *testing.T) {
	const grace = time.Minute
	tests := []struct {
		name string
		do   func(nodes []*backend.Node) // node 0 is full, node 1 has failed
		want string                      // what Pick answers then
	}{
		{"released", func(n []*backend.Node) { n[0].Release() }, "0"},
		{"the other heals", func(n []*backend.Node) { n[1].Connected() }, "1"},
		{"the other's grace is over", func([]*backend.Node) { time.Sleep(grace); synctest.Wait() }, "1"},
		{"the full one fails: the other is probed", func(n []*backend.Node) { n[0].Failed(time.Now()) }, "1"},
		{"both drain", func(n []*backend.Node) { n[1].SetDraining(true); n[0].SetDraining(true) }, "down"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, limited(specs(1, 1), 1, 1), backend.Options{Grace: grace, QueueLen: 1})
				var told atomic.Int32
				p.OnRoom(func() { told.Add(1) })
				p.Nodes()[1].Failed(time.Now())
				if got := picks(p, time.Now(), 2); got != "0 full" {
					t.Fatalf("got %v, want 0 full", got)
				}
				if !p.Enqueue() || told.Load() != 0 {
					t.Fatalf("not queued, or told %d times of room that is not there", told.Load())
				}
				test.do(p.Nodes())
				if told.Load() == 0 {
					t.Error("not told")
				}
				if got := picks(p, time.Now(), 1); got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
			})
		})
	}
}

// A change between Full and Enqueue wakes at once: no later event would.
func TestEnqueueTellsOfRoom(t *testing.T) {
	tests := []struct {
		name string
		do   func(n *backend.Node)
		want bool
	}{
		{"nothing changed", func(*backend.Node) {}, false},
		{"released", func(n *backend.Node) { n.Release() }, true},
		{"down", func(n *backend.Node) { n.SetDraining(true) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, backups(1, limited(specs(1, 1), 1, 1)), backend.Options{QueueLen: 1})
			told := false
			p.OnRoom(func() { told = true })
			if got := picks(p, time.Now(), 2); got != "0 full" {
				t.Fatalf("got %v, want 0 full", got)
			}
			test.do(p.Nodes()[0])
			if told {
				t.Error("woken though no flow was queued")
			}
			if !p.Enqueue() || told != test.want {
				t.Errorf("queued and told: %v, want %v", told, test.want)
			}
		})
	}
}

// The only slot's only holder releases it while another flow is about to queue: no other event
// could wake that flow.
func TestNoWakeUpIsLost(t *testing.T) {
	for _, procs := range []int{1, 2, max(4, runtime.NumCPU())} {
		t.Run(fmt.Sprint("procs=", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			p := newPool(t, limited(specs(1), 1), backend.Options{QueueLen: 1})
			loop := &hammerLoop{t: t, pool: p, room: make(chan struct{}, 1)}
			p.OnRoom(loop.tell)
			giveUp := make(chan struct{})
			defer time.AfterFunc(patient, func() { close(giveUp) }).Stop()
			var c backend.Cursor
			for range 3000 {
				n, _ := p.Pick(&c, netip.Addr{}, nil, start)
				var releasing sync.WaitGroup
				releasing.Go(n.Release)
				if n = loop.wait(giveUp); n == nil {
					return
				}
				releasing.Wait()
				n.Release()
			}
		})
	}
}

// Many loops use a pool with limits at once: no limit is ever exceeded, and every flow that waits
// for room is woken in the end.
func TestLimitsHold(t *testing.T) {
	for _, procs := range []int{1, 2, max(4, runtime.NumCPU())} {
		for _, balance := range []backend.Balance{
			backend.RoundRobin, backend.LeastConns, backend.Source,
			backend.TwoChoices,
		} {
			t.Run(fmt.Sprint("procs=", procs, "/", balance), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				hammer(t, balance)
			})
		}
	}
}

const (
	hammerLoops = 12
	hammerTurns = 400
)

func hammer(t *testing.T, balance backend.Balance) {
	limits := []int{1, 2, 3}
	p := newPool(t, limited(specs(1, 1, 1), limits...),
		backend.Options{Balance: balance, QueueLen: hammerLoops})
	loops := make([]*hammerLoop, hammerLoops)
	held := map[*backend.Node]*atomic.Int32{}
	for _, n := range p.Nodes() {
		held[n] = new(atomic.Int32)
	}
	for i := range loops {
		loops[i] = &hammerLoop{t: t, pool: p, source: client(i), room: make(chan struct{}, 1), held: held}
	}
	p.OnRoom(func() {
		for _, l := range loops {
			l.tell()
		}
	})
	giveUp := make(chan struct{})
	defer time.AfterFunc(time.Minute, func() { close(giveUp) }).Stop()
	var running sync.WaitGroup
	for _, l := range loops {
		running.Go(func() { l.run(giveUp) })
	}
	for range hammerTurns { // the largest node comes and goes meanwhile
		p.Nodes()[2].SetDraining(true)
		runtime.Gosched()
		p.Nodes()[2].SetDraining(false)
		runtime.Gosched()
	}
	running.Wait()
	for i, n := range p.Stats().Nodes {
		if n.Active != 0 {
			t.Errorf("node %d: %d slots were never given back", i, n.Active)
		}
	}
	if s := p.Stats(); s.Queued != 0 || s.Refused != 0 {
		t.Errorf("got %d queued, %d refused; want none", s.Queued, s.Refused)
	}
}

type hammerLoop struct {
	t      *testing.T
	pool   *backend.Pool
	cursor backend.Cursor
	source netip.Addr
	room   chan struct{}
	held   map[*backend.Node]*atomic.Int32 // slots by the test's own count
}

func (l *hammerLoop) tell() {
	select {
	case l.room <- struct{}{}:
	default: // a wake-up is pending already
	}
}

func (l *hammerLoop) run(giveUp <-chan struct{}) {
	for range hammerTurns {
		n := l.wait(giveUp)
		if n == nil {
			return
		}
		if held := l.held[n].Add(1); int(held) > int(n.Name()[0]-'0')+1 {
			l.t.Errorf("node %s has %d connections", n.Name(), held)
		}
		runtime.Gosched()
		l.held[n].Add(-1)
		n.Release()
	}
}

func (l *hammerLoop) wait(giveUp <-chan struct{}) *backend.Node {
	n, verdict := l.pool.Pick(&l.cursor, l.source, nil, start)
	if verdict == backend.Picked {
		return n
	}
	runtime.Gosched() // may be just when room comes
	if !l.pool.Enqueue() {
		l.t.Error("refused")
		return nil
	}
	defer l.pool.Dequeue()
	for {
		select {
		case <-l.room:
		case <-giveUp:
			l.t.Error("never woken")
			return nil
		}
		if n, verdict = l.pool.Pick(&l.cursor, l.source, nil, start); verdict == backend.Picked {
			return n
		}
	}
}

// The last of concurrent failures and recoveries decides the state.
func TestHealthIsRaceFree(t *testing.T) {
	p := newPool(t, specs(1, 1, 1), backend.Options{
		Grace: time.Hour, SlowStart: time.Second,
		QueueLen: 1,
	})
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			var c backend.Cursor
			for range 1000 {
				n, verdict := p.Pick(&c, client(i), nil, time.Now())
				if verdict != backend.Picked {
					t.Errorf("got verdict %v", verdict)
					return
				}
				n.Endpoint(&c)
				n.Failed(time.Now())
				p.Stats()
				n.Connected()
				n.Release()
			}
		})
	}
	running.Wait()
	for i, n := range p.Stats().Nodes {
		if n.State != "up" || n.Hits != n.Failures { // every failure was followed by a connection
			t.Errorf("node %d: got %+v, want it up, with as many hits as failures", i, n)
		}
	}
}

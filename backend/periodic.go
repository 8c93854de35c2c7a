package backend

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A watcher does something with every node again and again, on a goroutine of the
// node's: a node that lets us wait holds up no other, and there are never more at work
// than nodes.
type watcher struct {
	interval time.Duration
	step     func(*Node) func(context.Context)
	ctx      context.Context // ends with stop
	running  sync.WaitGroup
}

// watch has every node's step called, interval after it last ended, until stop is
// called, which returns when all goroutines have ended. Members that are added later
// are watched too; those removed are not any more. step may return nil for a node that
// needs no watching.
func (p *Pool) watch(interval time.Duration, step func(*Node) func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{interval: interval, step: step, ctx: ctx}
	p.changing.Lock()
	defer p.changing.Unlock()
	p.watchers = append(p.watchers, w)
	for _, n := range p.Nodes() {
		w.start(n)
	}
	return func() {
		p.changing.Lock()
		cancel() // start finds that, and the group grows no more
		p.watchers = slices.DeleteFunc(slices.Clone(p.watchers),
			func(other *watcher) bool { return other == w })
		p.changing.Unlock()
		w.running.Wait()
	}
}

// start watches n. The first call comes at some time in the interval, so that a fleet
// started at once does not ask all at once.
func (w *watcher) start(n *Node) {
	do := w.step(n)
	if do == nil || w.ctx.Err() != nil {
		return
	}
	timer := time.NewTimer(rand.N(w.interval))
	w.running.Go(func() {
		defer timer.Stop()
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		defer context.AfterFunc(n.removed, cancel)()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				do(ctx)
				timer.Reset(w.interval)
			}
		}
	})
}

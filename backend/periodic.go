package backend

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A watcher calls a function for every node periodically, each on the node's own goroutine: a slow
// node delays no other, and there are at most as many calls under way as nodes.
type watcher struct {
	interval time.Duration
	step     func(*Node) func(context.Context)
	ctx      context.Context // ends with stop
	running  sync.WaitGroup
}

// watch has every node's step called, interval after its last call ended, until stop is called;
// stop returns when all goroutines have ended. Members added later are watched too, removed ones no
// longer. step may return nil for a node that needs no watching.
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
		cancel() // start checks for that, so the group grows no more
		p.watchers = slices.DeleteFunc(slices.Clone(p.watchers),
			func(other *watcher) bool { return other == w })
		p.changing.Unlock()
		w.running.Wait()
	}
}

// start watches n. The first call comes at a random time within the interval, so that the nodes of
// a fleet started at once do not all check at once.
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

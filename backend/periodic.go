package backend

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// periodically has every node's step called again and again, interval after it last
// ended, on a goroutine of the node's: a node that lets us wait holds up no other, and
// there are never more at work than nodes. The first calls are spread over an
// interval, so that a fleet started at once does not ask all at once.
// stop returns when all goroutines have ended.
func periodically(nodes []*Node, interval time.Duration, step func(*Node) func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, n := range nodes {
		do, timer := step(n), time.NewTimer(rand.N(interval))
		running.Go(func() {
			defer timer.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
					do(ctx)
					timer.Reset(interval)
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

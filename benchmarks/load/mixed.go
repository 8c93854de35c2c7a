package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Mixed measures established (KeepAlive or OpenLoop) while storm runs beside it, from established's
// start to its end. A storm without a bound of its own runs as long. Each may have the server's
// meter; both then show all of its CPU time.
func Mixed(ctx context.Context, established, storm Options) (est, st Result, err error) {
	if established.Mode != KeepAlive && established.Mode != OpenLoop {
		return est, st,
			fmt.Errorf("load: mixed: established flows are keepalive or openloop, not %v",
				established.Mode)
	}
	if storm.Ops == 0 && storm.Duration == 0 {
		storm.Duration = maxDuration
	}
	if _, err := storm.complete(); err != nil {
		return est, st, err
	}
	stormCtx, stop := context.WithCancel(ctx)
	defer stop()
	var stormErr error
	var storming sync.WaitGroup
	established.OnStart = both(established.OnStart, func() {
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		storm.OnStart = both(storm.OnStart, begin)
		storming.Go(func() {
			defer begin() // if it never begins
			st, stormErr = Run(stormCtx, storm)
		})
		<-begun
	})
	est, err = Run(ctx, established)
	stop()
	storming.Wait()
	if errors.Is(stormErr, context.Canceled) && ctx.Err() == nil {
		stormErr = nil
	}
	return est, st, errors.Join(err, stormErr)
}

func both(first, second func()) func() {
	return func() {
		if first != nil {
			first()
		}
		second()
	}
}

package main

import (
	"context"
	"syscall"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
)

// changeEvery is the interval at which a server is told to change while it is measured.
const changeEvery = 300 * time.Millisecond

// changed measures new connections, 200 a second, while the server gets signals that make it read
// its configuration again, or one signal that makes another process take its place. A connection
// that is refused or cut makes the measurement invalid.
func changed(signal syscall.Signal) measure {
	return func(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
		every, o := changeEvery, s.options(load.Options{
			Mode: load.Full, TLS: true, HTTP: true, Conns: 32, Rate: 200, Duration: 2 * b.duration,
		})
		if signal == syscall.SIGUSR2 {
			every = b.duration
		}
		stop, done := make(chan struct{}), make(chan struct{})
		begin := func() {
			go func() {
				defer close(done)
				ticker := time.NewTicker(every)
				defer ticker.Stop()
				for {
					select {
					case <-stop:
						return
					case <-ticker.C:
						_ = syscall.Kill(s.nodes[0].pid(), signal)
					}
				}
			}()
		}
		o.OnStart = begin
		result, err := load.Run(ctx, o)
		close(stop)
		if err != nil {
			return report.Sample{}, err
		}
		<-done
		sample := sampleOf(result)
		sample.Figure, sample.Invalid = sample.Latency.P99, check(o, s, result)
		return sample, nil
	}
}

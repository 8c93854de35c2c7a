package metric_test

import (
	"fmt"
	"time"

	"reprise/internal/metric"
)

// A loop counts in its own struct; a reader sums over the loops.
func Example() {
	type loop struct {
		accepted metric.Counter
		turn     metric.Histogram
	}
	var loops [2]loop
	loops[0].accepted.Inc()
	loops[0].turn.Observe(30 * time.Microsecond)
	loops[1].accepted.Add(2)
	loops[1].turn.Observe(50 * time.Microsecond)

	var accepted uint64
	var turn metric.HistogramSnapshot
	for i := range loops {
		accepted += loops[i].accepted.Load()
		turn.Merge(loops[i].turn.Snapshot())
	}
	fmt.Println(accepted, turn.Count, turn.Max)
	// Output: 3 2 50µs
}

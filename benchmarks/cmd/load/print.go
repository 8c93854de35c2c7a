package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"reprise/benchmarks/load"
)

// print writes the report as text.
func (r report) print(w io.Writer, s settings) {
	printResult(w, r.Mode, r.Result)
	if r.Result.Ops > 0 {
		fmt.Fprintf(w, "client     %v of CPU an operation\n",
			readable(r.Result.ClientCPU/time.Duration(r.Result.Ops)))
	}
	if s.options.Meter != nil {
		printServer(w, r.Result, s.options)
	}
	if r.Storm != nil {
		fmt.Fprintln(w)
		printResult(w, load.Storm, *r.Storm)
	}
}

func printResult(w io.Writer, mode load.Mode, r load.Result) {
	fmt.Fprintf(w, "%-10v %d operations in %v, %.0f a second, %d bytes, %d errors\n", mode, r.Ops,
		r.Elapsed.Round(time.Millisecond), r.PerSecond(), r.Bytes, r.Errors)
	if r.Errors > 0 {
		for _, kind := range slices.Sorted(maps.Keys(r.ErrorKinds)) {
			fmt.Fprintf(w, "%-10s %d %s\n", "", r.ErrorKinds[kind], kind)
		}
		fmt.Fprintf(w, "%-10s the first: %s\n", "", r.FirstError)
	}
	printHistogram(w, "latency", r.Latency)
	printHistogram(w, "handshake", r.Handshake)
	printHistogram(w, "late", r.Late)
	if r.Handshakes > 0 {
		fmt.Fprintf(w, "resumed    %d of %d handshakes, %.2f %%\n", r.Resumed, r.Handshakes,
			100*float64(r.Resumed)/float64(r.Handshakes))
	}
	for _, what := range slices.Sorted(maps.Keys(r.Negotiated)) {
		fmt.Fprintf(w, "%-10s %d %s\n", "", r.Negotiated[what], what)
	}
}

func printHistogram(w io.Writer, name string, h load.Histogram) {
	if h.Count() == 0 {
		return
	}
	fmt.Fprintf(w, "%-10s", name)
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		fmt.Fprintf(w, " p%-4g %-10v", 100*q, readable(h.Quantile(q)))
	}
	fmt.Fprintf(w, " max %v\n", readable(h.Max()))
}

// readable rounds to about three digits.
func readable(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}

func printServer(w io.Writer, r load.Result, o load.Options) {
	fmt.Fprintf(w, "server     %v of CPU", r.Server.CPU.Round(100*time.Microsecond))
	if r.Ops > 0 {
		fmt.Fprintf(w, ", %v an operation", readable(r.Server.CPU/time.Duration(r.Ops)))
	}
	const kib = 1024
	fmt.Fprintf(w, "; grown by %d KiB resident, PSS %d KiB", r.Server.RSS/kib, r.Server.PSS/kib)
	if o.Mode == load.Idle || o.Mode == load.SlowReader {
		fmt.Fprintf(w, ", %.1f KiB a connection", float64(r.Server.PSS)/kib/float64(o.Conns))
	}
	fmt.Fprintln(w)
}

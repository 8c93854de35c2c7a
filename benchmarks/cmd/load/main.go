// Command load drives a TLS server and reports latencies, resumptions and what each operation cost
// the server. The modes and how they measure are described in package reprise/benchmarks/load.
//
//	load -addr 127.0.0.1:8443 -mode resumed -conns 4 -duration 5s -pids 1234 -cpus 1
//	load -addr 127.0.0.1:8441,127.0.0.1:8442 -pick random -mode resumed -ops 10000
//	load -addr 127.0.0.1:8443 -mode openloop -conns 50 -rate 2000 -duration 10s -storm 4 -json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"reprise/benchmarks/load"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // no result, or one with errors
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// report is what -json prints.
type report struct {
	Command []string     `json:"command"`
	Mode    load.Mode    `json:"mode"`
	Result  load.Result  `json:"result"`
	Storm   *load.Result `json:"storm,omitempty"` // with -storm
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return exitUsage
	}
	if len(s.cpus) > 0 {
		if err := load.Affinity(s.cpus...); err != nil {
			fmt.Fprintln(stderr, err)
			return exitFailed
		}
	}
	r := report{Command: args, Mode: s.options.Mode}
	if s.storm.Conns > 0 {
		r.Storm = new(load.Result)
		r.Result, *r.Storm, err = load.Mixed(ctx, s.options, s.storm)
	} else {
		r.Result, err = load.Run(ctx, s.options)
	}
	interrupted := errors.Is(err, context.Canceled)
	if err != nil && !interrupted {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	if s.json {
		_ = json.NewEncoder(stdout).Encode(r)
	} else {
		r.print(stdout, s)
	}
	if interrupted || r.Result.Errors > 0 {
		return exitFailed
	}
	return exitOK
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
)

// storm measures the effect of handshakes on established flows. A separate process makes the
// handshakes, with the core's idle time only (SCHED_IDLE): in this process, requests would wait for
// the client's half of handshakes, and that would be measured.
func storm(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	var out bytes.Buffer
	length := 2 * b.duration
	cmd := exec.CommandContext(ctx, "chrt", "-i", "0", "taskset", "-c", cpuList(b.loadCPUs),
		filepath.Join(b.dir, "load"),
		"-mode", "storm", "-addr", s.addrs[0], "-groups", s.groupFlag(), "-conns", "32",
		"-duration", (2 * length).String(), "-json")
	cmd.Stdout = &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	begin := func() { _ = cmd.Start() }
	sample, err := b.load(ctx, s, load.Options{
		Mode: load.OpenLoop, TLS: true, HTTP: true, Conns: 32, Rate: 500, Duration: length,
		OnStart: begin,
	})
	if err != nil || cmd.Process == nil {
		return sample, cmp.Or(err, fmt.Errorf("storm: %v did not start", cmd.Args))
	}
	_ = cmd.Process.Signal(syscall.SIGINT) // it reports its results so far
	_ = cmd.Wait()
	var stormed struct{ Result load.Result }
	if err := json.Unmarshal(out.Bytes(), &stormed); err != nil {
		return sample, fmt.Errorf("storm: %w", err)
	}
	r := stormed.Result
	sample.Figure = sample.Latency.P99
	sample.Invalid = cmp.Or(sample.Invalid, check(load.Options{Mode: load.Storm}, s, r))
	sample.More["handshakes per second"] = float64(r.Ops) / r.Elapsed.Seconds()
	return sample, nil
}

// groupFlag names the group as command load does.
func (s *server) groupFlag() string {
	_, group := s.setup.group()
	return strings.ToLower(strings.TrimPrefix(group.String(), "Curve"))
}

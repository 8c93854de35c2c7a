package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"reprise/benchmarks/report"
)

// wrk measures keep-alive requests by the customary tool.
func wrk(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	seconds := max(1, int(b.duration.Round(time.Second)/time.Second)) // it has no shorter ones
	conns := "64"
	if b.smoke { // whose second may be short on a busy machine
		conns = "4"
	}
	sample, out, err := b.tool(ctx, s, "wrk", "--latency", "-t1", "-c", conns, "-d",
		strconv.Itoa(seconds), "https://"+s.addrs[0]+"/")
	if err != nil {
		return sample, err
	}
	return parseWrk(sample, out)
}

// h2load measures HTTP/2 requests through the server.
func h2load(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	requests := 150_000
	if b.smoke {
		requests = 200
	}
	sample, out, err := b.tool(ctx, s, "h2load", "-t1", "-c16", "-m8", "-n", strconv.Itoa(requests),
		"https://"+s.addrs[0]+"/")
	if err != nil {
		return sample, err
	}
	return parseH2load(sample, out)
}

//go:embed byid.py
var byIDScript string

// byID measures connections of TLS 1.2 that resume by session ID, which crypto/tls as a client does
// not support. The client is Python's, which does.
func byID(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	const processes = 8
	// about one a millisecond
	count := max(int(b.duration/time.Millisecond)/processes, 2) * processes
	sample, out, err := b.tool(ctx, s, "env", "OPENSSL_CONF=", "python3", "-c", byIDScript,
		s.addrs[0], strconv.Itoa(processes), strconv.Itoa(count))
	if err != nil {
		return sample, err
	}
	if _, err := fmt.Sscan(out, &sample.Resumed, &sample.Seconds); err != nil {
		return sample, fmt.Errorf("python3: cannot read its output: %s", out)
	}
	sample.Ops, sample.Handshakes = int64(count), int64(count)
	if sample.Resumed < sample.Handshakes {
		sample.Invalid = fmt.Sprintf("%d of %d handshakes were full ones",
			sample.Handshakes-sample.Resumed, sample.Handshakes)
	}
	return perOp(sample), nil
}

// tool runs another load generator and meters the server meanwhile.
func (b *bench) tool(ctx context.Context, s *server,
	args ...string,
) (sample report.Sample, out string, err error) {
	meter, err := s.meter()
	if err != nil {
		return sample, "", err
	}
	before, err := meter.Read()
	if err != nil {
		return sample, "", err
	}
	cmd := exec.CommandContext(ctx, "taskset",
		append([]string{"-c", cpuList(b.loadCPUs)}, args...)...)
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+filepath.Join(s.dirs[0], "openssl.cnf"))
	text, err := cmd.CombinedOutput()
	if err != nil {
		return sample, "", fmt.Errorf("%s: %w: %s", args[0], err, text)
	}
	after, err := meter.Read()
	sample.CPUSeconds = (after.CPU - before.CPU).Seconds()
	return sample, string(text), err
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in ([\d.]+)(m?s)`)
	wrkTrouble  = regexp.MustCompile(`Socket errors: .*|Non-2xx or 3xx responses: .*`)
	wrkQuantile = regexp.MustCompile(`(?m)^\s+(50|90|99)%\s+([\d.]+)(us|ms|s)$`)

	h2loadRequests = regexp.MustCompile(`finished in ([\d.]+)(us|ms|s)`)
	h2loadCounts   = regexp.MustCompile(
		`requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadTLS = regexp.MustCompile(`(?s)TLS Protocol: (\S+).*Cipher: (\S+)`)
)

// parseWrk adds wrk's results.
func parseWrk(sample report.Sample, out string) (report.Sample, error) {
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return sample, fmt.Errorf("wrk: cannot read its output: %s", out)
	}
	sample.Ops, _ = strconv.ParseInt(m[1], 10, 64)
	sample.Seconds = seconds(m[2], m[3])
	sample.Invalid = wrkTrouble.FindString(out)
	latency := &report.Latency{}
	for _, m := range wrkQuantile.FindAllStringSubmatch(out, -1) {
		v := 1e6 * seconds(m[2], m[3])
		switch m[1] {
		case "50":
			latency.P50 = v
		case "90":
			latency.P90 = v
		case "99":
			latency.P99 = v
		}
	}
	sample.Latency = latency
	return perOp(sample), nil
}

// parseH2load adds h2load's results.
func parseH2load(sample report.Sample, out string) (report.Sample, error) {
	times, counts, tls := h2loadRequests.FindStringSubmatch(out),
		h2loadCounts.FindStringSubmatch(out), h2loadTLS.FindStringSubmatch(out)
	if times == nil || counts == nil || tls == nil {
		return sample, fmt.Errorf("h2load: cannot read its output: %s", out)
	}
	sample.Ops, _ = strconv.ParseInt(counts[1], 10, 64)
	sample.Seconds = seconds(times[1], times[2])
	for _, count := range counts[2:] {
		n, _ := strconv.ParseInt(count, 10, 64)
		sample.Errors += n
	}
	if sample.Errors > 0 {
		sample.Invalid = counts[0]
	}
	if tls[1] != "TLSv1.3" || tls[2] != "TLS_AES_128_GCM_SHA256" {
		sample.Invalid = "negotiated " + strings.Join(tls[1:], " ")
	}
	return perOp(sample), nil
}

func perOp(s report.Sample) report.Sample {
	if s.Ops == 0 {
		s.Invalid = "no operation completed"
		return s
	}
	s.Figure = 1e6 * s.CPUSeconds / float64(s.Ops)
	return s
}

func seconds(number, unit string) float64 {
	v, _ := strconv.ParseFloat(number, 64)
	return v * map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
}

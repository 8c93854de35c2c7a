package main

import (
	"strings"
	"testing"

	"reprise/benchmarks/report"
)

const wrkOutput = `Running 1s test @ https://127.0.0.1:18443/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.51ms  840.12us  20.10ms   80.00%
    Req/Sec    42.40k     1.20k   44.00k    60.00%
  Latency Distribution
     50%  850.00us
     75%    1.80ms
     90%    2.50ms
     99%    4.00ms
  42000 requests in 1.05s, 1.60MB read
`

const h2loadOutput = `TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 500.00ms, 2000.00 req/s, 21.29KB/s
requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
`

func TestParseTools(t *testing.T) {
	tests := []struct {
		name    string
		parse   func(report.Sample, string) (report.Sample, error)
		out     string
		ops     int64
		figure  float64
		invalid string
		err     string
	}{
		{"wrk", parseWrk, wrkOutput, 42000, 0.5e6 / 42000, "", ""},
		{"wrk with errors", parseWrk, wrkOutput + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", 42000, 0.5e6 / 42000, "read 3", ""},
		{"wrk with other answers", parseWrk, wrkOutput + "  Non-2xx or 3xx responses: 7\n", 42000, 0.5e6 / 42000, "responses: 7", ""},
		{"wrk without an answer", parseWrk, "  0 requests in 1.00s, 0.00B read\n", 0, 0, "no operation", ""},
		{"wrk that says something else", parseWrk, "unable to connect", 0, 0, "", "cannot read"},
		{"h2load", parseH2load, h2loadOutput, 1000, 500, "", ""},
		{"h2load with failures", parseH2load, strings.Replace(h2loadOutput, "0 failed", "5 failed", 1), 1000, 500, "5 failed", ""},
		{"h2load with another suite", parseH2load, strings.Replace(h2loadOutput, "128", "256", 1), 1000, 500, "TLS_AES_256", ""},
		{"h2load that says something else", parseH2load, "Could not resolve", 0, 0, "", "cannot read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.parse(report.Sample{CPUSeconds: 0.5}, tt.out)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || got.Ops != tt.ops || got.Figure != tt.figure {
				t.Errorf("got %+v, %v, want %d operations and a figure of %v", got, err, tt.ops, tt.figure)
			}
			if (tt.invalid == "") != (got.Invalid == "") || !strings.Contains(got.Invalid, tt.invalid) {
				t.Errorf("got invalid %q, want %q", got.Invalid, tt.invalid)
			}
		})
	}
}

func TestParseWrkPercentiles(t *testing.T) {
	got, err := parseWrk(report.Sample{CPUSeconds: 1}, wrkOutput)
	if want := (report.Latency{P50: 850, P90: 2500, P99: 4000}); err != nil || *got.Latency != want {
		t.Errorf("got %+v, %v, want %+v", got.Latency, err, want)
	}
}

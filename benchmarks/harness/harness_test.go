package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/peers"
	"reprise/benchmarks/report"
	"reprise/internal/nettest"
)

func TestCasesAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range cases() {
		t.Run(c.Name, func(t *testing.T) {
			if seen[c.Name] {
				t.Error("two cases have this name")
			}
			seen[c.Name] = true
			if c.Name == "" || c.Title == "" || c.Unit == "" || c.measure == nil {
				t.Errorf("got %+v, want a name, a title, a unit and a measure", c)
			}
			if (c.Point == "") != (len(c.points) == 0) {
				t.Errorf("got points %v and %q for what they count", c.points, c.Point)
			}
			if c.peers == nil {
				return
			}
			takesPart := func(name string) bool {
				return slices.ContainsFunc(peers.All(),
					func(p peers.Peer) bool { return p.Name == name && c.peers(p) })
			}
			aims := c.Aim > 0 || len(c.AimGrowth) > 0
			if aims != (c.AimOf != "") || aims && !takesPart(c.AimOf) {
				t.Errorf("got an aim of %v for %q, which must take part", c.Aim, c.AimOf)
			}
			for point := range c.AimGrowth {
				if !slices.Contains(c.points, point) {
					t.Errorf("got an aim at %d, which is none of %v", point, c.points)
				}
			}
			openssl := slices.ContainsFunc(peers.All(),
				func(p peers.Peer) bool { return p.OpenSSL && c.peers(p) })
			if c.Best != openssl {
				t.Errorf("got Best %v with OpenSSL-based peers %v", c.Best, openssl)
			}
		})
	}
}

func TestCheckFindsBrokenClaims(t *testing.T) {
	const tls13 = "TLS 1.3 TLS_AES_128_GCM_SHA256 X25519"
	tests := []struct {
		name   string
		mode   load.Mode
		nodes  int
		result load.Result
		want   string // part of the reason, "" is none
	}{
		{"good", load.Full, 1, load.Result{Ops: 9, Handshakes: 9, Negotiated: map[string]int64{tls13: 9}}, ""},
		{
			"good resumption", load.Resumed, 1,
			load.Result{Ops: 9, Handshakes: 9, Resumed: 9, Negotiated: map[string]int64{tls13: 9}},
			"",
		},
		{"errors", load.Full, 1, load.Result{Ops: 9, Errors: 2, FirstError: "reset"}, "2 errors, the first: reset"},
		{"nothing", load.Full, 1, load.Result{}, "no operation"},
		{"full instead of resumed", load.Resumed, 1, load.Result{Ops: 9, Handshakes: 9, Resumed: 8}, "1 of 9 handshakes were full"},
		{"full at another node", load.Resumed, 2, load.Result{Ops: 9, Handshakes: 9, Resumed: 8}, ""},
		{"resumed instead of full", load.Full, 1, load.Result{Ops: 9, Handshakes: 9, Resumed: 1}, "1 of 9 handshakes resumed"},
		{"another suite", load.Full, 1, load.Result{Ops: 1, Handshakes: 1, Negotiated: map[string]int64{"TLS 1.3 TLS_AES_256_GCM_SHA384 X25519": 1}}, "negotiated TLS 1.3 TLS_AES_256"},
		{"another group", load.Full, 1, load.Result{Ops: 1, Handshakes: 1, Negotiated: map[string]int64{"TLS 1.3 TLS_AES_128_GCM_SHA256 CurveP256": 1}}, "CurveP256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{addrs: make([]string, tt.nodes)}
			got := check(s.options(load.Options{Mode: tt.mode, TLS: true}), s, tt.result)
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOptionsAreTheGroupAndSuiteOfTheCase(t *testing.T) {
	tests := []struct {
		name    string
		setup   setup
		version uint16
		want    string
	}{
		{"usual", setup{}, 0, "TLS 1.3 X25519"},
		{"P-256", setup{p256: true}, 0, "TLS 1.3 CurveP256"},
		{"TLS 1.2", setup{}, tls.VersionTLS12, "TLS 1.2 X25519 CurveP256 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := (&server{setup: tt.setup}).options(load.Options{TLS: true, Version: tt.version})
			got := []string{tls.VersionName(o.Version)}
			for _, group := range o.Groups {
				got = append(got, group.String())
			}
			for _, suite := range o.Ciphers {
				got = append(got, tls.CipherSuiteName(suite))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
}

// TestExpect: what a case takes follows from its points, servers and rounds.
func TestExpect(t *testing.T) {
	b := &bench{options: options{rounds: 5, duration: 1650 * time.Millisecond}}
	tests := []struct {
		name string
		c    testcase
		want time.Duration
	}{
		{"one server", testcase{peers: oneOf("hitch")}, 5*2*time.Second + 300*time.Millisecond},
		{"a slow one has two rounds", testcase{peers: oneOf("stunnel")}, 2*2*time.Second + 300*time.Millisecond},
		{"two points of two servers", testcase{peers: oneOf("hitch", "nginx"), points: []int{1, 2}}, 4*10*time.Second + 4*300*time.Millisecond},
		{"fewer rounds", testcase{peers: oneOf("hitch"), rounds: 3}, 3*2*time.Second + 300*time.Millisecond},
		{"a server for each round", testcase{peers: oneOf("hitch"), fresh: true}, 5*2*time.Second + 5*300*time.Millisecond},
		{"takes its own time", testcase{peers: oneOf("hitch"), takes: 650 * time.Millisecond}, 5*time.Second + 300*time.Millisecond},
		{"nodes", testcase{peers: oneOf("hitch"), points: []int{8}, nodes: same}, 5*2*time.Second +
			8*300*time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := b.expect(tt.c); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseCommandLine(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"nothing", "", ""},
		{"all", "-case resumed.* -server hitch -rounds 2 -duration 1s -out x", ""},
		{"unknown flag", "-cases x", "not defined"},
		{"word", "resumed13", "there are only flags"},
		{"bad pattern", "-case (", "missing closing"},
		{"no rounds", "-rounds 0", "must be positive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(strings.Fields(tt.line), io.Discard)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRun measures the one server that needs no installation.
func TestRun(t *testing.T) { smoke(t, "full13", "keepalive", "download", "idle", "storm", "sessions") }

// TestContinue: measured cases are not measured again, and missing ones are added.
func TestContinue(t *testing.T) {
	t.Chdir("..")
	out := filepath.Join(t.TempDir(), "results")
	measured := func(names string) (cases, samples int) {
		t.Helper()
		args := []string{"-smoke", "-continue", "-case", names, "-server", "plain-go", "-reprise", "none", "-reprise-openssl", "none", "-out", out}
		if err := run(context.Background(), args, io.Discard); err != nil {
			t.Fatal(err)
		}
		r, err := report.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Environment.Cases), len(r.Samples)
	}
	for _, test := range []struct {
		names string
		want  int
	}{{"full13", 1}, {"full13", 1}, {"full13|keepalive", 2}} {
		if cases, samples := measured(test.names); cases != test.want || samples != test.want {
			t.Errorf("after %s there are %d cases with %d samples, want %d", test.names, cases, samples, test.want)
		}
	}
}

func TestRunTools(t *testing.T) {
	nettest.Need(t, "wrk")
	nettest.Need(t, "h2load")
	nettest.Need(t, "nginx")
	smoke(t, "keepalive-wrk", "h2")
}

func smoke(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir("..")
	var log bytes.Buffer
	out := filepath.Join(t.TempDir(), "results")
	args := []string{"-smoke", "-case", strings.Join(names, "|"), "-server", "plain-go", "-reprise", "none", "-reprise-openssl", "none", "-out", out}
	if err := run(context.Background(), args, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	r, err := report.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, s := range r.Samples {
		if s.Invalid != "" || s.Ops <= 0 {
			t.Errorf("got %+v, want a valid sample", s)
		}
		got[s.Case] = true
	}
	for _, name := range names {
		if !got[name] {
			t.Errorf("got no sample of %s\n%s", name, &log)
		}
	}
}

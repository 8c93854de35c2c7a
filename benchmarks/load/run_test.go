package load_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"reprise/benchmarks/load"
	"reprise/internal/nettest"
)

func TestMain(m *testing.M) {
	becomeChild()
	m.Run()
}

func run(t *testing.T, o load.Options) load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each mode does what it promises, as seen by both ends.
func TestModes(t *testing.T) {
	const ops, conns = 12, 3
	tests := []struct {
		name              string
		options           load.Options
		full, resumed     int64 // at the server, with those that prepared
		handshakes, bytes int64 // measured
	}{
		{"full", load.Options{Mode: load.Full}, ops, 0, ops, ops * 5},
		{"full with requests", load.Options{Mode: load.Full, Requests: 4}, ops, 0, ops, 4 * ops * 5},
		{"resumed", load.Options{Mode: load.Resumed}, conns, ops, ops, ops * 5},
		{"keep-alive", load.Options{Mode: load.KeepAlive}, conns, 0, 0, ops * 5},
		{"keep-alive, 1 request", load.Options{Mode: load.KeepAlive, Requests: 1, Conns: 1}, ops, 0, ops - 1, ops * 5},
		{"open loop", load.Options{Mode: load.OpenLoop, Rate: 2000}, conns, 0, 0, ops * 5},
		{"full at a rate", load.Options{Mode: load.Full, Rate: 2000}, ops, 0, ops, ops * 5},
		{"download", load.Options{Mode: load.Download, Path: "/bytes/300000", Bytes: 300000}, conns, 0, 0, ops * 300000},
		{"upload", load.Options{Mode: load.Upload, Bytes: 300000}, conns, 0, 0, ops * 300000},
		{"storm", load.Options{Mode: load.Storm}, ops, 0, ops, 0},
		{"idle", load.Options{Mode: load.Idle, Conns: ops}, ops, 0, ops, 2 * ops * 5},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range tests {
			t.Run(tls.VersionName(version)+"/"+tt.name, func(t *testing.T) {
				nettest.LeakCheck(t)
				s := serveHTTP(t, true, 0)
				o := tt.options
				o.Addrs, o.TLS, o.HTTP, o.Version = []string{s.addr}, true, true, version
				o.Ops, o.Groups = ops, []tls.CurveID{tls.CurveP256}
				if o.Conns == 0 {
					o.Conns = conns
				}
				r := run(t, o)
				if r.Ops != ops || r.Errors != 0 || r.Latency.Count() != ops {
					t.Errorf("got %d operations, %d latencies, %d errors (%s), want %d, %d, 0", r.Ops, r.Latency.Count(), r.Errors, r.FirstError, ops, ops)
				}
				if r.Handshakes != tt.handshakes || r.Handshake.Count() != tt.handshakes ||
					r.Bytes != tt.bytes {
					t.Errorf("got %d handshakes (%d timed), %d bytes, want %d, %d", r.Handshakes, r.Handshake.Count(), r.Bytes, tt.handshakes, tt.bytes)
				}
				if r.Resumed != tt.resumed {
					t.Errorf("got %d resumed, want %d", r.Resumed, tt.resumed)
				}
				// A client that leaves in TLS 1.3 may be gone before the server is done.
				nettest.Eventually(t, 5*time.Second,
					func() bool { return s.full.Load() == tt.full && s.resumed.Load() == tt.resumed },
					"the server saw %d full and %d resumed handshakes, want %d, %d", s.full.Load(), s.resumed.Load(), tt.full, tt.resumed)
				for what := range r.Negotiated {
					if !strings.HasPrefix(what, tls.VersionName(version)+" TLS_") || !strings.HasSuffix(what, " CurveP256") &&
						r.Resumed == 0 {
						t.Errorf("negotiated %q, want %s with P-256", what, tls.VersionName(version))
					}
				}
				if tt.options.Mode == load.Upload && s.sunk.Load() != tt.bytes {
					t.Errorf("the server got %d bytes, want %d", s.sunk.Load(), tt.bytes)
				}
			})
		}
	}
}

func TestWithoutHTTP(t *testing.T) {
	tests := []struct {
		name    string
		tls     bool
		options load.Options
		bytes   int64
	}{
		{"echo over TLS", true, load.Options{Mode: load.KeepAlive, Bytes: 1000, Conns: 2}, 10 * 1000},
		{"echo over TCP", false, load.Options{Mode: load.KeepAlive, Bytes: 16 << 10, Conns: 2}, 10 * 16 << 10},
		{"handshakes only", true, load.Options{Mode: load.Full}, 0},
		{"TLS 1.2 resumes without a request", true, load.Options{Mode: load.Resumed, Version: tls.VersionTLS12}, 0},
		{"accept", false, load.Options{Mode: load.Accept, Conns: 2}, 0},
		{"idle, nothing said", true, load.Options{Mode: load.Idle, Conns: 10}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.tls, echo)
			o := tt.options
			o.Addrs, o.TLS, o.Ops = []string{s.addr}, tt.tls, 10
			if r := run(t, o); r.Ops != 10 || r.Errors != 0 || r.Bytes != tt.bytes {
				t.Errorf("got %d operations, %d errors (%s), %d bytes, want 10, 0, %d", r.Ops, r.Errors, r.FirstError, r.Bytes, tt.bytes)
			}
		})
	}
}

// Round robin sends every connection to another node than the last: it resumes if, and only if, the
// nodes share sessions.
func TestAcrossNodes(t *testing.T) {
	tests := []struct {
		name    string
		keys    []byte
		pick    load.Pick
		resumed int64
	}{
		{"shared", []byte{1, 1, 1}, load.RoundRobin, 30},
		{"shared, random", []byte{1, 1, 1}, load.Random, 30},
		{"not shared", []byte{1, 2, 3}, load.RoundRobin, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := load.Options{Mode: load.Resumed, TLS: true, HTTP: true, Conns: 3, Ops: 30, Pick: tt.pick}
			for _, key := range tt.keys {
				o.Addrs = append(o.Addrs, serveHTTP(t, true, key).addr)
			}
			if r := run(t, o); r.Ops != 30 || r.Errors != 0 || r.Handshakes != 30 ||
				r.Resumed != tt.resumed {
				t.Errorf("got %d operations, %d errors (%s), %d of %d resumed, want 30, 0, %d of 30", r.Ops, r.Errors, r.FirstError, r.Resumed, r.Handshakes, tt.resumed)
			}
		})
	}
}

// A claim of a mode that does not hold is an error of its kind, not an operation.
func TestBrokenClaims(t *testing.T) {
	tests := []struct {
		name   string
		handle nettest.Handler
		kind   string
	}{
		{"status", answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), "status"},
		{"too short", answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour"), "length"},
		{"ends early", answer("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\ntruncated"), "length"},
		{"no length", answer("HTTP/1.1 200 OK\r\n\r\n"), "response"},
		{"not HTTP", answer("220 mail.example.test ESMTP\r\n"), "response"},
		{"endless line", answer("HTTP/1.1 200 " + strings.Repeat("a", 8<<10)), "response"},
		{"endless head", answer("HTTP/1.1 200 OK\r\n" + strings.Repeat("a: "+strings.Repeat("b", 1000)+"\r\n", 20)), "response"},
		{"closes", func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }, "eof"},
		{"says nothing", nettest.Discard, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := serve(t, true, tt.handle).options(load.Full)
			o.Ops, o.Bytes, o.Timeout = 2, 12, time.Second
			r := run(t, o)
			if r.Ops != 0 || r.Errors != 2 || r.ErrorKinds[tt.kind] < 1 || r.Latency.Count() != 0 {
				t.Errorf("got %d operations, %d errors %v (%s), want 0, 2 of kind %q", r.Ops, r.Errors, r.ErrorKinds, r.FirstError, tt.kind)
			}
		})
	}
}

// TestOtherFailures: so are a backend that says something else, one that is not there, and
// connections that fail.
func TestOtherFailures(t *testing.T) {
	t.Run("echo", func(t *testing.T) {
		s := serve(t, true, answer("another one"))
		r := run(t, load.Options{Addrs: []string{s.addr}, TLS: true, Bytes: 11, Ops: 1})
		if r.ErrorKinds["echo"] != 1 {
			t.Errorf("got %v (%s), want an error of kind echo", r.ErrorKinds, r.FirstError)
		}
	})
	t.Run("closed before all requests", func(t *testing.T) {
		o := serve(t, true, answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")).options(load.Full)
		o.Ops, o.Requests = 2, 3
		if r := run(t, o); r.Ops != 0 || r.ErrorKinds["closed"] != 2 {
			t.Errorf("got %d operations, %v (%s), want none and 2 of kind closed", r.Ops, r.ErrorKinds, r.FirstError)
		}
		o.Mode = load.KeepAlive // connects again
		if r := run(t, o); r.Ops != 2 || r.Errors != 0 || r.Handshakes != 1 {
			t.Errorf("got %d operations, %d errors, %d handshakes, want 2, 0, 1", r.Ops, r.Errors, r.Handshakes)
		}
	})
	t.Run("unused port", func(t *testing.T) {
		addr := "127.0.0.1:" + unusedPort(t)
		r := run(t, load.Options{Addrs: []string{addr}, Mode: load.Accept, Ops: 3})
		if r.ErrorKinds["refused"] != 3 {
			t.Errorf("got %v (%s), want 3 errors of kind refused", r.ErrorKinds, r.FirstError)
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		o := serveHTTP(t, true, 0).options(load.Full)
		o.Ops, o.Roots = 1, x509.NewCertPool()
		if r := run(t, o); r.ErrorKinds["certificate"] != 1 {
			t.Errorf("got %v (%s), want an error of kind certificate", r.ErrorKinds, r.FirstError)
		}
	})
	t.Run("no cipher suite in common", func(t *testing.T) {
		o := serveHTTP(t, true, 0).options(load.Full)
		// the key is ECDSA
		o.Ops, o.Version, o.Ciphers = 1, tls.VersionTLS12,
			[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		if r := run(t, o); r.ErrorKinds["alert"] != 1 {
			t.Errorf("got %v (%s), want an error of kind alert", r.ErrorKinds, r.FirstError)
		}
	})
	t.Run("idle connections that die", func(t *testing.T) {
		s := serve(t, false, func(net.Conn) {})
		r := run(t, load.Options{
			Addrs: []string{s.addr}, Mode: load.Idle, Conns: 4,
			Duration: 300 * time.Millisecond,
		})
		if r.Ops != 0 || r.ErrorKinds["eof"] != 4 {
			t.Errorf("got %d operations, %v, want none and 4 of kind eof", r.Ops, r.ErrorKinds)
		}
	})
}

func unusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// A missing precondition of a run is an error, not a result.
func TestPrepareFails(t *testing.T) {
	s := serve(t, true, answer("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"))
	o := s.options(load.Resumed)
	o.Ops = 1
	if _, err := load.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "500 Oops") {
		t.Errorf("got %v, want the server's status", err)
	}
}

func TestSlowReader(t *testing.T) {
	s := serveHTTP(t, true, 0)
	o := s.options(load.SlowReader)
	o.Conns, o.Path, o.Bytes, o.Rate, o.Duration = 3, "/bytes/10000000", 10_000_000, 20_000, 1200*time.Millisecond
	r := run(t, o)
	const mostTicks = 3 // in 1.2 s: at 0, 0.5 and 1 s
	if r.Ops != 3 || r.Errors != 0 || r.Bytes < 3*10_000 || r.Bytes > 3*mostTicks*10_000 {
		t.Errorf("got %d operations, %d errors (%s), %d bytes, want 3, 0, 30000 to 90000", r.Ops, r.Errors, r.FirstError, r.Bytes)
	}
}

func TestMixed(t *testing.T) {
	nettest.LeakCheck(t)
	s := serveHTTP(t, true, 0)
	established := s.options(load.OpenLoop)
	established.Conns, established.Rate, established.Duration = 2, 100, 500*time.Millisecond
	storm := s.options(load.Storm)
	storm.Conns = 2
	est, st, err := load.Mixed(t.Context(), established, storm)
	if err != nil {
		t.Fatal(err)
	}
	if est.Ops != 50 || est.Errors != 0 || est.Handshakes != 0 {
		t.Errorf("established: got %d operations, %d errors (%s), %d handshakes, want 50, 0, 0", est.Ops, est.Errors, est.FirstError, est.Handshakes)
	}
	if st.Ops == 0 || st.Errors != 0 || st.Resumed != 0 || st.Bytes != 0 {
		t.Errorf("storm: got %d operations, %d errors (%s), %d resumed, %d bytes, want some, 0, 0, 0", st.Ops, st.Errors, st.FirstError, st.Resumed, st.Bytes)
	}
	if _, _, err := load.Mixed(t.Context(), storm, storm); err == nil {
		t.Error("a storm passed as established")
	}
}

// A run that waits for a silent server ends when its context does.
func TestCancel(t *testing.T) {
	for _, mode := range []load.Mode{load.Full, load.Resumed, load.OpenLoop, load.Idle} {
		t.Run(mode.String(), func(t *testing.T) {
			nettest.LeakCheck(t)
			asked := make(chan struct{}, 100)
			s := serve(t, true, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 100))
				asked <- struct{}{}
				_, _ = conn.Read(make([]byte, 100))
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			o := s.options(mode)
			o.Conns, o.Duration, o.Timeout, o.Rate = 4, time.Minute, time.Minute, 100
			r, err := load.Run(ctx, o)
			if !errors.Is(err, context.Canceled) || r.Errors != 0 {
				t.Errorf("got %v and %d errors (%s), want %v and none", err, r.Errors, r.FirstError, context.Canceled)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	good := load.Options{Addrs: []string{"127.0.0.1:1"}, TLS: true, HTTP: true, Ops: 1}
	tests := []struct {
		name   string
		change func(*load.Options)
		want   string
	}{
		{"no address", func(o *load.Options) { o.Addrs = nil }, "needs an address"},
		{"no bound", func(o *load.Options) { o.Ops = 0 }, "needs a bound"},
		{"a bound too far", func(o *load.Options) { o.Duration = 48 * time.Hour }, "bounded by 24h"},
		{"too many for the rate", func(o *load.Options) { o.Rate, o.Ops = 1, 1e6 }, "bounded by 24h"},
		{"a rate too low", func(o *load.Options) { o.Rate, o.Duration = 1e-12, time.Second }, "rate is too low"},
		{"a rate too fast", func(o *load.Options) { o.Rate = 1e9 }, "rate must be"},
		{"open loop without a rate", func(o *load.Options) { o.Mode = load.OpenLoop }, "needs a rate"},
		{"descriptors", func(o *load.Options) { o.Conns = 1 << 40 }, "descriptors"},
		{"negative", func(o *load.Options) { o.Requests = -1 }, "negative"},
		{"full without TLS", func(o *load.Options) { o.TLS = false }, "needs TLS"},
		{"TLS 1.1", func(o *load.Options) { o.Version = tls.VersionTLS11 }, "TLS 1.2 or 1.3"},
		{"accept with TLS", func(o *load.Options) { o.Mode = load.Accept }, "without TLS"},
		{"resumed without a request", func(o *load.Options) { o.Mode, o.HTTP = load.Resumed, false }, "needs a request"},
		{"keep-alive without a request", func(o *load.Options) { o.Mode, o.HTTP = load.KeepAlive, false }, "needs a request"},
		{"download of nothing", func(o *load.Options) { o.Mode = load.Download }, "needs HTTP and bytes"},
		{"long echo", func(o *load.Options) { o.HTTP, o.Bytes = false, 1<<20 }, "echo"},
		{"blank in the path", func(o *load.Options) { o.Path = "/a b" }, "blanks"},
		{"slow reader that comes to the end", func(o *load.Options) {
			o.Mode, o.Rate, o.Duration, o.Bytes = load.SlowReader, 1000, time.Second, 1000
		}, "twice"},
		{"unknown mode", func(o *load.Options) { o.Mode = 99 }, "unknown mode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			if _, err := load.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ...%s...", err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for mode := load.Full; mode <= load.Storm; mode++ {
		var got load.Mode
		if err := got.UnmarshalText([]byte(mode.String())); err != nil || got != mode {
			t.Errorf("got %v, %v, want %v", got, err, mode)
		}
	}
	var pick load.Pick
	if err := pick.UnmarshalText([]byte("sticky")); err == nil || !strings.Contains(err.Error(), "roundrobin, random") {
		t.Errorf("got %v, want the names there are", err)
	}
}

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
)

const (
	gigabyte  = 1e9
	bulkBytes = 100 << 20
)

// connection measures connections of one request each.
func connection(mode load.Mode, version uint16) measure {
	return requests(load.Options{Mode: mode, Version: version, Conns: 16})
}

// requests measures o over TLS and HTTP, in CPU time per operation.
func requests(o load.Options) measure {
	return func(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
		o := o
		o.TLS, o.HTTP, o.Duration = true, true, b.duration
		return b.load(ctx, s, o)
	}
}

// plain is requests without TLS and HTTP.
func plain(o load.Options) measure {
	return func(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
		o := o
		o.Duration = b.duration
		return b.load(ctx, s, o)
	}
}

// bulk measures transfers in CPU time per GB.
func bulk(mode load.Mode) measure {
	return func(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
		o := load.Options{Mode: mode, TLS: true, HTTP: true, Conns: 2, Bytes: bulkBytes, Ops: 12}
		if b.smoke {
			o.Bytes, o.Ops = 1<<20, 2
		}
		if mode == load.Download {
			o.Path = fmt.Sprintf("/bytes/%d", o.Bytes)
		}
		sample, err := b.load(ctx, s, o)
		sample.Figure = 0
		if sample.Bytes > 0 {
			sample.Figure = 1000 * sample.CPUSeconds / (float64(sample.Bytes) / gigabyte)
		}
		return sample, err
	}
}

// settle is how long connections have been idle when their memory is read, so that each server may
// release what the handshakes took.
const settle = 7 * time.Second

// idle measures the memory of idle connections.
func idle(ctx context.Context, b *bench, s *server, conns int) (report.Sample, error) {
	o := load.Options{Mode: load.Idle, TLS: true, HTTP: true, Conns: conns, Duration: settle}
	if b.smoke {
		o.Conns, o.Duration = 50, b.duration
	}
	sample, err := b.load(ctx, s, o)
	sample.Figure = float64(sample.PSS) / 1024 / float64(o.Conns)
	sample.Latency, sample.Seconds = nil, 0 // of one request each, which are not measured here
	return sample, err
}

// growth measures requests beside idle connections.
func growth(ctx context.Context, b *bench, s *server, conns int) (report.Sample, error) {
	idle := s.options(load.Options{
		Mode: load.Idle, TLS: true, HTTP: true, Conns: conns,
		Duration: time.Minute,
	})
	established := make(chan struct{})
	idle.OnStart = func() { close(established) }
	holding, release := context.WithCancel(ctx)
	defer release()
	held := make(chan error, 1)
	go func() {
		_, err := load.Run(holding, idle)
		held <- err
	}()
	select {
	case <-established:
	case err := <-held:
		return report.Sample{},
			cmp.Or(err, errors.New("idle connections ended before they were asked to"))
	}
	sample, err := b.load(ctx, s, load.Options{
		Mode: load.KeepAlive, TLS: true, HTTP: true,
		Conns: 32, Duration: b.duration,
	})
	select {
	case <-held:
		return sample, errors.New("idle connections ended before they were asked to")
	default:
	}
	release()
	<-held
	return sample, err
}

// many measures requests that come to many connections at a rate, and those connections' memory.
func many(ctx context.Context, b *bench, s *server, conns int) (report.Sample, error) {
	o := load.Options{
		Mode: load.OpenLoop, TLS: true, HTTP: true, Conns: b.few(conns), Rate: 10_000,
		Duration: 2 * b.duration,
	}
	sample, err := b.load(ctx, s, o)
	if err == nil {
		sample.More["KB per connection"] = float64(sample.PSS) / 1024 / float64(o.Conns)
	}
	return sample, err
}

// load runs o against s.
func (b *bench) load(ctx context.Context, s *server, o load.Options) (report.Sample, error) {
	var err error
	if o.Meter, err = s.meter(); err != nil {
		return report.Sample{}, err
	}
	o = s.options(o)
	core := coreClock{cpu: b.serverCPUs[0]}
	begin := o.OnStart
	o.OnStart, o.OnEnd = func() {
		core.start()
		if begin != nil {
			begin()
		}
	}, core.stop
	result, err := load.Run(ctx, o)
	if err != nil {
		return report.Sample{}, err
	}
	sample := sampleOf(result)
	if !s.setup.allCores {
		sample.Others = max(0, (core.busy-result.Server.CPU).Seconds()/result.Elapsed.Seconds())
	}
	sample.Invalid = check(o, s, result)
	return sample, nil
}

// options completes o with the clients' side of s.
func (s *server) options(o load.Options) load.Options {
	o.Addrs = s.addrs
	o.Pick = load.Random
	if o.TLS {
		o.Version = cmp.Or(o.Version, tls.VersionTLS13)
		o.Groups = s.offered()
		if s.setup.clientCert {
			o.Certificate = s.client
		}
		if o.Version == tls.VersionTLS12 {
			// There the groups must include the certificate's curve too (RFC 8422, Section 5.1),
			// which crypto/tls as a server ignores and OpenSSL enforces.
			o.Groups = append(o.Groups, tls.CurveP256)
			o.Ciphers = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}
	}
	return o
}

// sampleOf converts r to a sample, with CPU time per operation as its figure.
func sampleOf(r load.Result) report.Sample {
	s := report.Sample{
		Ops: r.Ops, Errors: r.Errors, Handshakes: r.Handshakes, Resumed: r.Resumed,
		Seconds:    r.Elapsed.Seconds(),
		CPUSeconds: r.Server.CPU.Seconds(), Bytes: r.Bytes, RSS: r.Server.RSS, PSS: r.Server.PSS,
		Negotiated: r.Negotiated, More: make(map[string]float64),
		Latency: &report.Latency{
			P50: micros(r.Latency.Quantile(0.5)), P90: micros(r.Latency.Quantile(0.9)),
			P99:  micros(r.Latency.Quantile(0.99)),
			P999: micros(r.Latency.Quantile(0.999)), Max: micros(r.Latency.Max()),
		},
	}
	if r.Ops > 0 {
		s.Figure = micros(r.Server.CPU) / float64(r.Ops)
	}
	if r.Late.Count() > 0 { // the generator's share of the latency
		s.More["generator late p99 µs"] = micros(r.Late.Quantile(0.99))
	}
	return s
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// check returns how a measurement contradicts its case, or "".
func check(o load.Options, s *server, r load.Result) string {
	if r.Errors > 0 {
		return fmt.Sprintf("%d errors, the first: %s", r.Errors, r.FirstError)
	}
	if r.Ops == 0 {
		return "no operation completed"
	}
	switch {
	case o.Mode == load.Resumed && len(o.Addrs) == 1 && r.Resumed < r.Handshakes:
		return fmt.Sprintf("%d of %d handshakes were full ones", r.Handshakes-r.Resumed,
			r.Handshakes)
	case o.Mode != load.Resumed && r.Resumed > 0:
		return fmt.Sprintf("%d of %d handshakes resumed", r.Resumed, r.Handshakes)
	}
	for _, negotiated := range slices.Sorted(maps.Keys(r.Negotiated)) {
		if !agreed(o, s, negotiated) {
			return "negotiated " + negotiated
		}
	}
	return ""
}

// agreed reports whether a handshake used the version, suite and group of its case. A resumed TLS
// 1.2 handshake has no key exchange and so no group.
func agreed(o load.Options, s *server, negotiated string) bool {
	if o.Version == tls.VersionTLS12 {
		return strings.HasPrefix(negotiated, "TLS 1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
	}
	return negotiated == "TLS 1.3 TLS_AES_128_GCM_SHA256 "+s.agreedGroup().String()
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/report"
)

// apart measures nodes in network namespaces of their own: how late their sessions are at the
// others and what clients feel of a resumption elsewhere, both at a rate that leaves the core
// idle most of the time, and then the CPU time of resumption, as fleet does.
func apart(ctx context.Context, b *bench, s *server, nodes int) (report.Sample, error) {
	more := make(map[string]float64)
	if nodes > 1 {
		if err := s.awaitPeers(); err != nil {
			return report.Sample{}, err
		}
		if err := b.lag(ctx, s, more); err != nil {
			return report.Sample{}, err
		}
	}
	if err := b.elsewhere(ctx, s, more); err != nil {
		return report.Sample{}, err
	}
	sample, err := fleet(ctx, b, s, nodes)
	sample.More = more
	return sample, err
}

// calm is how many connections a second leave the core idle most of the time.
const calm = 200

// lag adds how long sessions of the first node are under way to the others, by their clock, which
// is the same here: from the client's Finished until the session can be resumed without a
// question.
func (b *bench) lag(ctx context.Context, s *server, more map[string]float64) error {
	o := s.options(load.Options{
		Mode: load.Full, TLS: true, HTTP: true, Conns: 16, Rate: calm, Duration: b.duration,
	})
	o.Addrs = s.addrs[:1]
	if _, err := load.Run(ctx, o); err != nil {
		return err
	}
	for i := range s.nodes[1:] {
		st, err := readStats(s.stats[1+i])
		if err != nil {
			return err
		}
		for _, p := range st.Replication.Peers { // of which one has made sessions
			more["lag p50 µs"] = max(more["lag p50 µs"], p.Lag.P50)
			more["lag p99 µs"] = max(more["lag p99 µs"], p.Lag.P99)
		}
	}
	return nil
}

// elsewhere adds the latency of connections each of which resumes at the node after that of the
// last, and how many of them had to ask for their session.
func (b *bench) elsewhere(ctx context.Context, s *server, more map[string]float64) error {
	o := s.options(load.Options{
		Mode: load.Resumed, TLS: true, HTTP: true, Conns: 16, Rate: calm, Duration: b.duration,
	})
	o.Pick = load.RoundRobin
	result, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	more["calm p50 µs"] = micros(result.Latency.Quantile(0.5))
	more["calm p99 µs"] = micros(result.Latency.Quantile(0.99))
	var asked int64
	for _, addr := range s.stats {
		st, err := readStats(addr)
		if err != nil {
			return err
		}
		asked += st.Replication.Lookups.Asked
		more["ask p50 µs"] = max(more["ask p50 µs"], st.Replication.Lookups.Time.P50)
		more["ask p99 µs"] = max(more["ask p99 µs"], st.Replication.Lookups.Time.P99)
	}
	more["asked %"] = 100 * float64(asked) / float64(max(result.Handshakes, 1))
	return nil
}

// joining measures how long after its start a node serves, resumes a session that was there before
// it, and has all sessions.
func joining(ctx context.Context, b *bench, s *server, _ int) (report.Sample, error) {
	n := b.few(s.setup.sessions)
	if err := s.awaitPeers(); err != nil {
		return report.Sample{}, err
	}
	if err := b.fill(ctx, s, n); err != nil {
		return report.Sample{}, err
	}
	client := &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost", CurvePreferences: s.offered(),
		ClientSessionCache: &once{},
	}
	if _, err := resumes(s.addrs[0], client); err != nil {
		return report.Sample{}, err
	}
	began := time.Now()
	since := func() float64 { return float64(time.Since(began)) / float64(time.Millisecond) }
	if err := b.startNode(s, *s.spare); err != nil {
		return report.Sample{}, err
	}
	sample := report.Sample{Ops: int64(n), More: make(map[string]float64)}
	last := len(s.nodes) - 1
	err := s.nodes[last].await(func() error {
		resumed, err := resumes(s.addrs[last], client)
		if err == nil && sample.More["ms until it serves"] == 0 {
			sample.More["ms until it serves"] = since()
		}
		if err == nil && !resumed {
			err = errors.New("a session of before is not resumed")
		}
		return err
	})
	sample.More["ms until it resumes one"] = since()
	if err != nil || s.setup.replication == "homes" {
		sample.Figure = since()
		return sample, err
	}
	err = s.awaitItems(ctx, n*99/100)
	sample.Figure = since()
	return sample, err
}

// resumes makes a connection with a request, and reports whether it resumed.
func resumes(addr string, client *tls.Config) (bool, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", addr, client)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		return false, err
	}
	_, err = conn.Read(make([]byte, 512)) // the ticket comes before it
	return conn.ConnectionState().DidResume, err
}

// once keeps the first session that a client gets.
type once struct {
	mu    sync.Mutex
	first *tls.ClientSessionState
}

// Get implements tls.ClientSessionCache.
func (o *once) Get(string) (*tls.ClientSessionState, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first, o.first != nil
}

// Put implements tls.ClientSessionCache.
func (o *once) Put(_ string, s *tls.ClientSessionState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil {
		o.first = s
	}
}

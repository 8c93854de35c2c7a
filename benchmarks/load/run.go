package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Run carries out o and returns when that is done or ctx ends; then err is its cause and the result
// covers the time until then. Failed operations are counted in the result. Other errors mean that
// there is no result: the options are wrong, a connection or session that the mode requires could
// not be made, or the meter failed.
func Run(ctx context.Context, o Options) (Result, error) {
	o, err := o.complete()
	if err != nil {
		return Result{}, err
	}
	r := newRun(o)
	defer r.closeAll()
	defer context.AfterFunc(ctx, r.abort)()
	before, err := r.usage()
	if err != nil {
		return Result{}, err
	}
	if err := r.prepare(ctx); err != nil {
		return Result{}, fmt.Errorf("load: %v: preparing: %w", o.Mode, err)
	}
	return r.measure(ctx, before.RSS, before.PSS)
}

// run is one call of Run.
type run struct {
	Options
	dialer   net.Dialer
	exchange *exchange
	tally    *tally // replaced between preparing and measuring
	clients  []*client
}

func newRun(o Options) *run {
	r := &run{Options: o, exchange: newExchange(o), tally: newTally()}
	r.dialer = net.Dialer{Timeout: o.Timeout, KeepAlive: -1} // -1 saves four system calls
	if o.Mode == SlowReader {
		r.dialer.Control = smallReceiveBuffer
	}
	for i := range o.Conns {
		s := &session{forget: o.Mode != Resumed}
		c := &client{r: r, session: s, turn: i}
		c.config = r.tlsConfig(s)
		r.clients = append(r.clients, c)
	}
	return r
}

func (r *run) tlsConfig(s *session) *tls.Config {
	var certificates []tls.Certificate
	if r.Certificate != nil {
		certificates = []tls.Certificate{*r.Certificate}
	}
	return &tls.Config{
		Certificates: certificates,
		ServerName:   r.ServerName, RootCAs: r.Roots, InsecureSkipVerify: r.Roots == nil,
		MinVersion: r.Version, MaxVersion: r.Version, CurvePreferences: r.Groups,
		CipherSuites: r.Ciphers, NextProtos: r.ALPN,
		ClientSessionCache: s,
	}
}

// prepare makes the connections and sessions that the mode requires.
func (r *run) prepare(ctx context.Context) error {
	switch r.Mode {
	case Full, Accept, Storm:
		return nil
	case Idle, SlowReader:
		return r.each(ctx, func(ctx context.Context, c *client) error {
			if err := c.open(ctx); err != nil && ctx.Err() == nil {
				r.tally.fail(1, err)
				c.close()
			}
			return nil
		})
	case Resumed:
		if err := r.each(ctx, func(ctx context.Context,
			c *client,
		) error {
			return c.earnSession(ctx)
		}); err != nil {
			return err
		}
	default:
		connect := func(ctx context.Context, c *client) error { return c.connect(ctx) }
		if err := r.each(ctx, connect); err != nil {
			return err
		}
	}
	r.tally = newTally()
	return nil
}

// maxPreparing is how many clients are prepared, and idle connections checked, at a time: fewer
// than any backlog holds.
const maxPreparing = 64

// each calls f for each client, several at a time, until one returns an error.
func (r *run) each(ctx context.Context, f func(context.Context, *client) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(maxPreparing, len(r.clients)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(r.clients)) {
					return
				}
				if err := f(ctx, r.clients[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// measure is the part between OnStart and OnEnd. rss and pss are the server's memory without our
// connections.
func (r *run) measure(ctx context.Context, rss, pss int64) (Result, error) {
	if r.OnStart != nil {
		r.OnStart()
	}
	before, err := r.usage()
	if err != nil {
		return Result{}, err
	}
	start, clientBefore := time.Now(), ownCPU()
	if err := r.work(ctx, start); err != nil && ctx.Err() == nil {
		return Result{}, err
	}
	elapsed, clientCPU := time.Since(start), ownCPU()-clientBefore
	after, err := r.usage()
	if err != nil {
		return Result{}, err
	}
	if r.OnEnd != nil {
		r.OnEnd()
	}
	if r.Mode == Idle {
		r.checkIdle(ctx)
	}
	result := r.tally.result()
	result.Elapsed, result.ClientCPU = elapsed, clientCPU
	result.Server = Usage{CPU: after.CPU - before.CPU, RSS: after.RSS - rss, PSS: after.PSS - pss}
	return result, context.Cause(ctx)
}

// work runs the mode on the prepared clients.
func (r *run) work(ctx context.Context, start time.Time) error {
	switch {
	case r.Mode == Idle:
		wait(ctx, r.Duration)
		return nil
	case r.Mode == SlowReader:
		r.together(func(c *client) { c.readSlowly(ctx, start.Add(r.Duration)) })
		return nil
	case r.paced():
		return r.workPaced(ctx, start)
	}
	loop := newClosedLoop(r.Options, start)
	r.together(func(c *client) {
		c.source = loop
		c.serve(ctx)
	})
	return nil
}

func (r *run) workPaced(ctx context.Context, start time.Time) error {
	p := newPacer(r.Options, r.tally.late)
	p.begin(start, r.Timeout)
	for i, c := range r.clients {
		c.source = p.lanes[i%len(p.lanes)]
	}
	filled := make(chan error, 1)
	go func() { filled <- p.fill(ctx) }()
	r.together(func(c *client) { c.serve(ctx) })
	err := <-filled
	if n := p.unsent(); n > 0 && err == nil && ctx.Err() == nil {
		r.tally.fail(n,
			claim("unsent", "%d operations were due, but could not begin within %v after the end",
				n, r.Timeout))
	}
	return err
}

// together calls f for all clients at once and waits for them.
func (r *run) together(f func(*client)) {
	var group sync.WaitGroup
	for _, c := range r.clients {
		group.Go(func() { f(c) })
	}
	group.Wait()
}

// abort interrupts waiting clients. Their operations see a closed connection.
func (r *run) abort() {
	for _, c := range r.clients {
		if tcp := c.tcp.Load(); tcp != nil {
			tcp.Close()
		}
	}
}

func (r *run) closeAll() {
	for _, c := range r.clients {
		c.close()
	}
}

func (r *run) usage() (Usage, error) {
	if r.Meter == nil {
		return Usage{}, nil
	}
	return r.Meter.Read()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/proxy"
	"reprise/config"
	"reprise/engine"
	"reprise/tlsconn"
	"reprise/tlsconn/standard"
)

// listeners prepares each configured listener for the engine.
func (n *node) listeners(secrets [][]byte) ([]engine.Listener, error) {
	if len(n.config.Listeners) == 0 {
		return nil, nil
	}
	var keys *tlsconn.HandleKeys // none for raw routers, which have no secret either
	var err error
	if len(secrets) > 0 {
		if keys, err = tlsconn.NewHandleKeys(secrets...); err != nil {
			return nil, err
		}
	}
	if a := &n.config.Application; !a.IsZero() {
		if n.app, err = startApplication(a); err != nil {
			return nil, err
		}
	}
	if err := n.makePools(); err != nil {
		return nil, err
	}
	var list []engine.Listener
	for i := range n.config.Listeners {
		l, err := n.listener(i, keys)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func (n *node) listener(i int, keys *tlsconn.HandleKeys) (l engine.Listener, err error) {
	c := &n.config.Listeners[i]
	pool := n.config.PoolOf(c.Router)
	l = engine.Listener{
		Name: c.Router.String(), Backends: n.pools[c.Router],
		AcceptProxy: pool.AcceptProxy, SendProxy: int(pool.SendProxy),
		MaxRetries: pool.Retries, ConnectTimeout: pool.ConnectTimeout, IdleTimeout: pool.IdleTimeout,
	}
	if l.Network, l.Address, err = resolve(c.Addr); err != nil {
		return l, fmt.Errorf("%s: %w", c.Source, err)
	}
	if c.TLS != nil {
		if l.TLS, err = n.tlsServers(c, n.offered[i], keys); err != nil {
			return l, err
		}
	}
	if c.Router == config.HTTPRouter {
		if l.HTTP, err = n.http(c); err != nil {
			return l, err
		}
		if c.TLS != nil {
			l.Name = "https"
		}
	}
	return l, nil
}

// maxTrailer bounds the fields after a chunked body, in bytes.
const maxTrailer = 8 << 10

// http says how a listener's requests are routed.
func (n *node) http(l *config.Listener) (_ *engine.HTTP, err error) {
	c := &n.config.HTTP
	h := &engine.HTTP{
		RedirectPort: l.RedirectPort, KeepAlive: c.KeepAlive, HeadersTimeout: c.HeadersTimeout,
		BackendIdle: c.BackendKeepAlive, BackendIdleTimeout: c.BackendIdleTimeout,
		Limits:  http1.Limits{HeadLen: c.MaxHeader, TargetLen: c.MaxHeader, FieldLen: c.MaxFields, TrailerLen: maxTrailer},
		MaxBody: int64(c.MaxBody), BodyBuffer: c.BodyBuffer, ChunkedInput: c.ChunkedInput,
		Trusted: c.Trusted, ExportPEM: c.ExportCert,
	}
	if h.RequestRules, err = http1.NewRules(headerRules(nil, c.RequestHeaders)); err != nil {
		return nil, fmt.Errorf("request-header: %w", err)
	}
	if h.ResponseRules, err = http1.NewRules(responseRules(c, l.TLS != nil)); err != nil {
		return nil, fmt.Errorf("response-header: %w", err)
	}
	name, _ := os.Hostname()
	if h.DefaultHost = "localhost"; http1.IsHost(name) {
		h.DefaultHost = name
	}
	if !c.HostAsServerName {
		h.ServerName = name // "" takes the Host
	}
	return h, nil
}

// tlsServers returns what makes a listener's server for each loop.
func (n *node) tlsServers(l *config.Listener, files *tlsFiles, keys *tlsconn.HandleKeys) (func(now func() time.Time) (tlsconn.Server, error), error) {
	base, err := n.tlsConfig(l.TLS, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Source, err)
	}
	base.Handles = keys
	return func(now func() time.Time) (tlsconn.Server, error) {
		c := *base
		c.Now = now
		return tlsEngines[n.config.TLSEngine](c)
	}, nil
}

// tlsEngines are what can speak TLS.
var tlsEngines = map[config.TLSEngine]func(tlsconn.Config) (tlsconn.Server, error){
	config.OwnEngine: tlsconn.New, config.StandardEngine: standard.New,
}

// makePools makes the backends of each router that has some.
func (n *node) makePools() error {
	for _, r := range config.Routers {
		c := n.config.PoolOf(r)
		var specs []backend.Spec
		if r == config.HTTPRouter && len(c.Backends) == 0 && n.app != nil {
			specs = append(specs, backend.Spec{
				Name: name(&n.config.Application), Network: "unix", Address: n.app.socket(), Protocol: backend.UWSGI,
			})
		}
		for _, b := range c.Backends {
			specs = append(specs, backend.Spec{
				Name: b.Text, Network: b.Addr.Network, Address: b.Addr.String(), Protocol: protocols[b.Protocol],
				Weight: b.Weight, MaxConns: b.MaxConns, Backup: b.Backup,
			})
		}
		if len(specs) == 0 {
			continue
		}
		pool, err := backend.NewPool(specs, backend.Options{
			Balance: balances[c.Balance], Grace: c.Grace, SlowStart: c.SlowStart, QueueLen: c.QueueLen,
		})
		if err != nil {
			return fmt.Errorf("%s-to: %w", r, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
		err = pool.Resolve(ctx, lookupHost)
		cancel()
		if err != nil {
			return fmt.Errorf("%s-to: %w", r, err)
		}
		n.pools[r] = pool
	}
	return nil
}

// resolveTimeout bounds how long name servers may delay the start.
const resolveTimeout = 10 * time.Second

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

var (
	protocols = map[config.Protocol]backend.Protocol{config.TCP: backend.TCP, config.HTTP: backend.HTTP, config.UWSGI: backend.UWSGI}
	balances  = map[config.Balance]backend.Balance{
		config.RoundRobin: backend.RoundRobin, config.LeastConns: backend.LeastConns,
		config.Source: backend.Source, config.TwoChoices: backend.TwoChoices,
	}
	checkKinds = map[config.CheckKind]backend.CheckKind{
		config.CheckTCP: backend.CheckTCP, config.CheckTLS: backend.CheckTLS, config.CheckHTTP: backend.CheckHTTP,
	}
)

// watchBackends looks after names and health until the node is released.
func (n *node) watchBackends() {
	for _, r := range config.Routers {
		pool, c := n.pools[r], n.config.PoolOf(r)
		if pool == nil {
			continue
		}
		n.watchers = append(n.watchers, pool.StartResolving(n.config.Tuning.ResolveInterval, lookupHost))
		if c.Check.Kind != config.NoCheck {
			n.watchers = append(n.watchers, pool.StartChecks(backend.Check{
				Kind: checkKinds[c.Check.Kind], Path: c.Check.Path, Interval: c.Check.Interval, Timeout: c.Check.Timeout,
				Rise: c.Check.Rise, Fall: c.Check.Fall, Preface: ownProxyHeader(c.SendProxy),
			}))
		}
	}
}

// ownProxyHeader is the PROXY header of a connection that is for no client.
func ownProxyHeader(version config.ProxyVersion) []byte {
	h := &proxy.Header{Local: true}
	switch version {
	case 1:
		return proxy.AppendV1(nil, h)
	case 2:
		return proxy.AppendV2(nil, h)
	default:
		return nil
	}
}

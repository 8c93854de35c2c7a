package node

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/config"
	"reprise/engine"
	"reprise/tlsconn"
	"reprise/tlsconn/peek"
	"reprise/tlsconn/standard"
)

// listeners prepares each configured listener for the engine.
func (n *Node) listeners(secrets [][]byte) ([]engine.Listener, error) {
	if len(n.config.Listeners) == 0 {
		return nil, nil
	}
	var keys *tlsconn.HandleKeys // nil for raw routers, which have no secret either
	var err error
	if len(secrets) > 0 {
		if keys, err = tlsconn.NewHandleKeys(secrets...); err != nil {
			return nil, err
		}
	}
	n.keys = keys
	if a := &n.config.Application; !a.IsZero() {
		if n.app, err = startApplication(a, &n.config.SocketFile); err != nil {
			return nil, err
		}
		n.onClose(n.app.close)
	}
	pools, err := n.preparePools(n.config, new(service), true)
	if err != nil {
		return nil, err
	}
	n.service.Store(pools.next)
	n.onClose(func() { n.now().stop() })
	if err := n.openSubscriptions(); err != nil {
		return nil, err
	}
	return n.engineListeners(pools.next, n.offered, keys)
}

// engineListeners prepares the listeners of a configuration for the engine.
func (n *Node) engineListeners(s *service, files offered,
	keys *tlsconn.HandleKeys,
) (list []engine.Listener, err error) {
	for i := range s.config.Listeners {
		l, err := n.listener(s, i, files[i], keys)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func (n *Node) listener(s *service, i int, files *tlsFiles,
	keys *tlsconn.HandleKeys,
) (l engine.Listener, err error) {
	c := &s.config.Listeners[i]
	pool := s.config.PoolOf(c.Router)
	l = engine.Listener{
		Name: c.Router.String(), Pools: s.routers[c.Router], AcceptProxy: pool.AcceptProxy,
		IdleTimeout: pool.IdleTimeout,
	}
	if c.Router == config.RawRouter && !l.Pools.Sole() {
		l.Peek = func() engine.Peeker { return new(peek.Reader) }
	}
	if l.Network, l.Address, err = resolve(c.Addr); err != nil {
		return l, fmt.Errorf("%s: %w", c.Source, err)
	}
	if c.TLS != nil {
		if l.TLS, err = n.tlsServers(s.config, c, files, keys); err != nil {
			return l, err
		}
	}
	if c.Router == config.HTTPRouter {
		if l.HTTP, err = n.http(s.config, c); err != nil {
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

// maxFields bounds the fields of a request: browsers send 20, and each proxy adds a few; Apache and
// HAProxy take 100 unless told otherwise. What they may weigh is http-max-header.
const maxFields = 1000

// http says how a listener's requests are routed.
func (n *Node) http(now *config.Config, l *config.Listener) (_ *engine.HTTP, err error) {
	c := &now.HTTP
	h := &engine.HTTP{
		Requests: c.Requests, RedirectPort: l.RedirectPort,
		Limits: http1.Limits{
			HeadLen: c.MaxHeader, TargetLen: c.MaxHeader, FieldLen: maxFields,
			TrailerLen: maxTrailer,
		},
	}
	if n.acme != nil {
		h.Challenges = n.acme
	}
	h.ServeChallenges = slices.ContainsFunc(now.Rules, func(r config.PoolRule) bool {
		return r.Router == config.HTTPRouter &&
			strings.HasPrefix(r.Path, strings.TrimSuffix(exchange.ChallengePath, "/"))
	})
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

// tlsServers returns a function that makes a listener's server for each loop.
func (n *Node) tlsServers(now *config.Config, l *config.Listener, files *tlsFiles,
	keys *tlsconn.HandleKeys,
) (func(now func() time.Time) (tlsconn.Server, error), error) {
	base, err := n.tlsConfig(now, l.TLS, files)
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

// tlsEngines makes the server of each TLS engine.
var tlsEngines = map[config.TLSEngine]func(tlsconn.Config) (tlsconn.Server, error){
	config.OwnEngine: tlsconn.New, config.StandardEngine: standard.New,
}

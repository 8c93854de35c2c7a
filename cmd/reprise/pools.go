package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"reprise/backend"
	"reprise/backend/proxy"
	"reprise/config"
)

// A pool is backends with what was configured about them.
type pool struct {
	*backend.Pool
	router config.Router
	config *config.Pool
}

// name is the pool's for statistics.
func (p *pool) name() string { return p.Options().Name }

// defaultPool is the name of a router's pool that has none.
const defaultPool = "default"

// makePools makes the pools that are configured, and the routers that choose among them.
func (n *node) makePools() error {
	for _, r := range config.Routers {
		byName := make(map[string]*backend.Pool)
		add := func(name string, c *config.Pool) error {
			specs := n.specs(r, name, c)
			if len(specs) == 0 {
				return nil // nobody needs it
			}
			made, err := makePool(specs, n.poolOptions(cmp.Or(name, defaultPool), c))
			if err != nil && name == "" {
				return fmt.Errorf("%s-to: %w", r, err)
			} else if err != nil {
				return fmt.Errorf("%s-pool %s: %w", r, name, err)
			}
			byName[name] = made
			n.pools = append(n.pools, &pool{made, r, c})
			return nil
		}
		if err := add("", n.config.PoolOf(r)); err != nil {
			return err
		}
		for i := range n.config.NamedPools {
			if c := &n.config.NamedPools[i]; c.Router == r {
				if err := add(c.Name, &c.Pool); err != nil {
					return err
				}
			}
		}
		var rules []backend.Rule
		for _, rule := range n.config.Rules {
			if rule.Router == r {
				rules = append(rules, backend.Rule{SNI: rule.SNI, Host: rule.Host, Path: rule.Path, Pool: byName[rule.Pool]})
			}
		}
		var err error
		if n.routers[r], err = backend.NewRouter(byName[""], rules...); err != nil {
			return fmt.Errorf("%s-use-pool: %w", r, err)
		}
	}
	return nil
}

// specs returns the backends of a pool: those configured, or the application.
func (n *node) specs(r config.Router, name string, c *config.Pool) (specs []backend.Spec) {
	if r == config.HTTPRouter && name == "" && len(c.Backends) == 0 && n.app != nil {
		specs = append(specs, backend.Spec{
			Name: applicationName(&n.config.Application), Network: "unix", Address: n.app.socket(), Protocol: backend.UWSGI,
		})
	}
	for _, b := range c.Backends {
		specs = append(specs, backend.Spec{
			Name: b.Text, Network: b.Addr.Network, Address: b.Addr.String(), Protocol: protocols[b.Protocol],
			Weight: b.Weight, MaxConns: b.MaxConns, Backup: b.Backup,
		})
	}
	return specs
}

func (n *node) poolOptions(name string, c *config.Pool) backend.Options {
	return backend.Options{
		Name: name, Balance: balances[c.Balance], Grace: c.Grace, SlowStart: c.SlowStart, QueueLen: c.QueueLen,
		Retries: c.Retries, ConnectTimeout: c.ConnectTimeout, SendProxy: int(c.SendProxy),
	}
}

func makePool(specs []backend.Spec, o backend.Options) (*backend.Pool, error) {
	made, err := backend.NewPool(specs, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	return made, made.Resolve(ctx, lookupHost)
}

// resolveTimeout bounds how long name servers may delay the start.
const resolveTimeout = 10 * time.Second

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

var (
	protocols = map[config.Protocol]backend.Protocol{config.TCP: backend.TCP, config.HTTP: backend.HTTP, config.UWSGI: backend.UWSGI, config.H2C: backend.H2C}
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
	for _, p := range n.pools {
		n.watchers = append(n.watchers, p.StartResolving(n.config.Tuning.ResolveInterval, lookupHost))
		if p.config.Check.Kind != config.NoCheck {
			n.watchers = append(n.watchers, p.StartChecks(checkOf(p.config)))
		}
	}
	if n.subscriptions != nil {
		n.subscriptions.start()
	}
}

func checkOf(c *config.Pool) backend.Check {
	return backend.Check{
		Kind: checkKinds[c.Check.Kind], Path: c.Check.Path, Interval: c.Check.Interval, Timeout: c.Check.Timeout,
		Rise: c.Check.Rise, Fall: c.Check.Fall, Preface: ownProxyHeader(c.SendProxy),
	}
}

// allPools returns the pools there are now, those that backends subscribed to included.
func (n *node) allPools() []*pool {
	if n.subscriptions == nil {
		return n.pools
	}
	return append(n.pools[:len(n.pools):len(n.pools)], n.subscriptions.pools()...)
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

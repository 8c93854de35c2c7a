package node

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"reprise/backend"
	"reprise/backend/proxy"
	"reprise/config"
)

// A pool is backends with their configuration.
type pool struct {
	*backend.Pool
	router    config.Router
	config    *config.Pool
	resolving func() // ends the look-up of names; nil if there is none
}

// name is the pool's for statistics.
func (p *pool) name() string { return p.Options().Name }

// defaultPool is the name of a router's pool without a name.
const defaultPool = "default"

// A service is the configuration that a node serves by, with its pools and routers. It is replaced
// as a whole.
type service struct {
	config  *config.Config
	pools   []*pool // the configured ones
	routers [len(config.Routers)]*backend.Router
}

// now returns the current service.
func (n *Node) now() *service { return n.service.Load() }

// stop ends the checks and look-ups of the pools.
func (s *service) stop() {
	for _, p := range s.pools {
		p.stop()
	}
}

// stop ends the checks and look-ups of the pool.
func (p *pool) stop() {
	if p.resolving != nil {
		p.resolving()
	}
	p.SetChecks(nil)
}

// find returns the pool of a name, nil if there is none.
func (s *service) find(r config.Router, name string) *pool {
	for _, p := range s.pools {
		if p.router == r && p.name() == name {
			return p
		}
	}
	return nil
}

// A poolChange is a service whose new pools are made, with prepared changes of those that stay.
type poolChange struct {
	before, next *service
	changes      map[*backend.Pool]*backend.Change
	differs      map[*backend.Pool]bool // which of them change anything
	// unreadable files for backends: the previous ones stay in force
	refused []error
}

// preparePools makes the configured pools, and the routers that choose among them. A pool that
// before has under the same name is changed; with anew, all are made anew.
func (n *Node) preparePools(c *config.Config, before *service, anew bool) (*poolChange, error) {
	change := &poolChange{
		before: before, next: &service{config: c},
		changes: make(map[*backend.Pool]*backend.Change), differs: make(map[*backend.Pool]bool),
	}
	for _, r := range config.Routers {
		byName := make(map[string]*backend.Pool)
		add := func(name string, c *config.Pool) error {
			specs := n.specs(r, name, c)
			if len(specs) == 0 {
				return nil // it is not needed
			}
			old := before.find(r, cmp.Or(name, defaultPool))
			if anew {
				old = nil
			}
			o := n.poolOptions(cmp.Or(name, defaultPool), c)
			var err error
			if o.TLS, err = change.policy(r, c, old); err != nil {
				return err
			}
			made, err := change.prepare(old, specs, o)
			if err != nil && name == "" {
				return fmt.Errorf("%s-to: %w", r, err)
			} else if err != nil {
				return fmt.Errorf("%s-pool %s: %w", r, name, err)
			}
			byName[name] = made
			change.next.pools = append(change.next.pools, &pool{Pool: made, router: r, config: c})
			return nil
		}
		if err := add("", c.PoolOf(r)); err != nil {
			return nil, err
		}
		for i := range c.NamedPools {
			if p := &c.NamedPools[i]; p.Router == r {
				if err := add(p.Name, &p.Pool); err != nil {
					return nil, err
				}
			}
		}
		var rules []backend.Rule
		for _, rule := range c.Rules {
			if rule.Router == r {
				rules = append(rules, backend.Rule{
					SNI: rule.SNI, Host: rule.Host, Path: rule.Path,
					Pool: byName[rule.Pool],
				})
			}
		}
		var err error
		if change.next.routers[r], err = backend.NewRouter(byName[""], rules...); err != nil {
			return nil, fmt.Errorf("%s-use-pool: %w", r, err)
		}
	}
	return change, nil
}

// prepare makes a pool, or a change of old if it is not nil.
func (c *poolChange) prepare(old *pool, specs []backend.Spec,
	o backend.Options,
) (*backend.Pool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	if old != nil {
		change, err := old.Prepare(ctx, specs, o, lookupHost)
		if err != nil {
			return nil, err
		}
		c.changes[old.Pool], c.differs[old.Pool] = change, change.Differs()
		return old.Pool, nil
	}
	made, err := backend.NewPool(specs, o)
	if err != nil {
		return nil, err
	}
	return made, made.Resolve(ctx, lookupHost)
}

// commit changes the pools that stay, starts the new ones, and retires those that have gone. Flows
// that have chosen one of these still reach it.
func (c *poolChange) commit(resolveEvery time.Duration) {
	again := resolveEvery != c.before.config.Tuning.ResolveInterval
	for _, p := range c.next.pools {
		change := c.changes[p.Pool]
		old := c.before.find(p.router, p.name())
		if change == nil {
			if old != nil {
				p.Inherit(old.Pool)
			}
			p.watch(resolveEvery)
			continue
		}
		change.Commit()
		p.resolving = old.resolving
		if again {
			old.resolving()
			p.resolving = p.StartResolving(resolveEvery, lookupHost)
		}
		if old.config.Check != p.config.Check || old.config.SendProxy != p.config.SendProxy {
			p.check()
		}
	}
	for _, p := range c.before.pools {
		if c.changes[p.Pool] == nil {
			p.stop()
			p.Retire()
		}
	}
}

// specs returns the backends of a pool: those configured, or the application.
func (n *Node) specs(r config.Router, name string, c *config.Pool) (specs []backend.Spec) {
	if r == config.HTTPRouter && name == "" && len(c.Backends) == 0 && n.app != nil {
		specs = append(specs, backend.Spec{
			Name: applicationName(&n.config.Application), Network: "unix", Address: n.app.socket(),
			Protocol: backend.UWSGI,
		})
	}
	for _, b := range c.Backends {
		specs = append(specs, backend.Spec{
			Name: b.Text, Network: b.Addr.Network, Address: b.Addr.String(),
			Protocol: protocols[b.Protocol], TLS: b.TLS,
			Weight: b.Weight, MaxConns: b.MaxConns, Backup: b.Backup,
		})
	}
	return specs
}

func (n *Node) poolOptions(name string, c *config.Pool) backend.Options {
	return backend.Options{
		Name: name, Balance: balances[c.Balance], Grace: c.Grace, SlowStart: c.SlowStart,
		QueueLen: c.QueueLen,
		Retries:  c.Retries, ConnectTimeout: c.ConnectTimeout, SendProxy: int(c.SendProxy),
	}
}

// resolveTimeout bounds how long name servers may delay the start.
const resolveTimeout = 10 * time.Second

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

var (
	protocols = map[config.Protocol]backend.Protocol{
		config.TCP:  backend.TCP,
		config.HTTP: backend.HTTP, config.UWSGI: backend.UWSGI, config.H2C: backend.H2C,
	}
	balances = map[config.Balance]backend.Balance{
		config.RoundRobin: backend.RoundRobin, config.LeastConns: backend.LeastConns,
		config.Source: backend.Source, config.TwoChoices: backend.TwoChoices,
	}
	checkKinds = map[config.CheckKind]backend.CheckKind{
		config.CheckTCP: backend.CheckTCP, config.CheckTLS: backend.CheckTLS,
		config.CheckHTTP: backend.CheckHTTP,
	}
)

// watchBackends looks up names and checks health until the node is released.
func (n *Node) watchBackends() {
	for _, p := range n.now().pools {
		p.watch(n.config.Tuning.ResolveInterval)
	}
	if n.subscriptions != nil {
		n.subscriptions.start()
	}
}

// watch looks up the names and checks the health of the pool's backends until stop.
func (p *pool) watch(resolveEvery time.Duration) {
	p.resolving = p.StartResolving(resolveEvery, lookupHost)
	p.check()
}

// check starts the health checks as configured now.
func (p *pool) check() {
	if p.config.Check.Kind == config.NoCheck {
		p.SetChecks(nil)
		return
	}
	c := checkOf(p.config)
	p.SetChecks(&c)
}

func checkOf(c *config.Pool) backend.Check {
	return backend.Check{
		Kind: checkKinds[c.Check.Kind], Path: c.Check.Path, Interval: c.Check.Interval,
		Timeout: c.Check.Timeout,
		Rise:    c.Check.Rise, Fall: c.Check.Fall, Preface: ownProxyHeader(c.SendProxy),
	}
}

// allPools returns all current pools, including those of subscriptions.
func (n *Node) allPools() []*pool {
	pools := n.now().pools
	if n.subscriptions == nil {
		return pools
	}
	return append(slices.Clip(pools), n.subscriptions.pools()...)
}

// ownProxyHeader is the PROXY header of a connection that serves no client.
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

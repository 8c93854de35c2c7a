package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"reprise/config/pki"
	"reprise/config/suggest"
	"reprise/config/values"
)

// defaultPool is the name of FAMILY-to's pool in use-pool.
const defaultPool = "default"

// maxRulePath bounds the path of a rule: backend.Router compares no more.
const maxRulePath = 255

// pendingPool is a named pool before its Router's default pool, which it inherits from, is known.
type pendingPool struct {
	router   Router
	name     string
	settings []poolSetting
}

// poolSetting is an option of a named pool.
type poolSetting struct {
	option *option // of the default pool
	value  string  // for this one
	from   setting
}

// pendingRule is a rule and its setting.
type pendingRule struct {
	PoolRule
	from setting
}

// notOfPools are options of a family that its pools cannot have: they apply before the pool of a
// connection is known.
var notOfPools = []string{"accept-proxy", "pool", "timeout", "use-pool"}

// addToPool sets FAMILY-pool: NAME OPTION=VALUE, where OPTION is one of options.
func (b *builder) addToPool(r Router, options map[string]*option, value string) error {
	name, rest, _ := cutSpace(value)
	if name == defaultPool {
		return fmt.Errorf("%s is the pool of %s-to: write that and its other options, or choose "+
			"another name", name, r)
	}
	if err := checkPoolName(name); err != nil {
		return err
	}
	key, optionValue, stated := strings.Cut(rest, "=")
	key = strings.ReplaceAll(strings.TrimSpace(key), "_", "-")
	optionValue = strings.TrimSpace(optionValue)
	if key == "" {
		return errors.New("incomplete: write NAME OPTION=VALUE, such as " + name + " to=ADDR")
	}
	o := options[key]
	if o == nil {
		return suggest.UnknownKey(key, slices.Sorted(maps.Keys(options)))
	}
	if !stated && o.optional {
		optionValue = "true"
	}
	if optionValue == "" {
		return fmt.Errorf("no value: write %s %s=%s", name, key, o.form)
	}
	i := slices.IndexFunc(b.named, func(p pendingPool) bool {
		return p.router == r &&
			p.name == name
	})
	if i < 0 {
		i = len(b.named)
		b.named = append(b.named, pendingPool{router: r, name: name})
	}
	// An error in the value is reported here, once; it is set again when all settings are known.
	b.config.into = new(Pool)
	err := o.set(b, optionValue)
	b.config.into = nil
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	b.named[i].settings = append(b.named[i].settings, poolSetting{o, optionValue, b.now})
	return nil
}

func checkPoolName(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	if name == "" || len(name) > 64 || strings.Trim(name, letters) != "" {
		return fmt.Errorf(
			"bad name %q: write letters, digits, hyphens, dots and underscores, at most 64",
			name)
	}
	return nil
}

// cutSpace cuts s at its first white space.
func cutSpace(s string) (before, after string, found bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimLeft(s[i:], " \t"), true
}

// addRule sets FAMILY-use-pool: NAME CONDITION=VALUE,...
func (b *builder) addRule(r Router, value string) error {
	name, rest, found := cutSpace(value)
	if err := checkPoolName(name); err != nil {
		return err
	}
	keys := []string{"sni"}
	if r == HTTPRouter {
		keys = []string{"host", "path", "sni"}
	}
	if !found {
		return fmt.Errorf("no condition: write %s %s=..., or %s-to for what goes nowhere else",
			name,
			keys[0], r)
	}
	pairs, err := values.Pairs(rest)
	if err != nil {
		return err
	}
	rule := PoolRule{Source: b.now.source, Router: r, Pool: name}
	if name == defaultPool {
		rule.Pool = ""
	}
	for _, p := range pairs {
		if err := rule.setCondition(p, keys); err != nil {
			return err
		}
	}
	if rule.SNI == "" && rule.Host == "" && rule.Path == "" { // of path=/ alone
		return fmt.Errorf("it matches everything: write %s-to for that", r)
	}
	b.rules = append(b.rules, pendingRule{rule, b.now})
	return nil
}

func (r *PoolRule) setCondition(p values.Pair, keys []string) (err error) {
	if !slices.Contains(keys, p.Key) {
		if slices.Contains([]string{"host", "path"}, p.Key) {
			return fmt.Errorf("%s reads no requests: write sni=NAME, or use https", r.Router)
		}
		return suggest.UnknownKey(p.Key, keys)
	}
	field := map[string]*string{"sni": &r.SNI, "host": &r.Host, "path": &r.Path}[p.Key]
	if *field != "" {
		return fmt.Errorf("key %q stands twice: write a line for each", p.Key)
	}
	switch p.Key {
	case "sni":
		*field, err = pki.ParseServerName(p.Value)
	case "host":
		*field, err = parseRuleHost(p.Value)
	case "path":
		*field, err = parseRulePath(p.Value)
	}
	return err
}

// parseRuleHost reads a name or an address as in a Host field.
func parseRuleHost(s string) (string, error) {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && ip.Is6() {
		return "[" + ip.String() + "]", nil
	} else if err == nil {
		return ip.String(), nil
	}
	if strings.Contains(s, ":") {
		return "", fmt.Errorf("bad host %q: leave the port out, any matches", s)
	}
	return pki.ParseServerName(s)
}

// parseRulePath reads the beginning of a path in the form in which requests are compared: decoded
// and without dot segments.
func parseRulePath(s string) (string, error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "", fmt.Errorf("bad path %q: write one that begins with /", s)
	case strings.ContainsAny(s, "?#"):
		return "",
			fmt.Errorf("bad path %q: leave out ? and what follows, paths are compared without", s)
	case strings.Contains(s, "%"):
		return "", fmt.Errorf("bad path %q: write it decoded, as requests are compared", s)
	case strings.Contains(s, "*"):
		return "", fmt.Errorf("bad path %q: leave out *, all that is below a path belongs to it", s)
	}
	path := strings.TrimSuffix(s, "/")
	if len(path) > maxRulePath {
		return "", fmt.Errorf("path of %d bytes: write at most %d", len(path), maxRulePath)
	}
	for i, segment := range strings.Split(path, "/") {
		if i > 0 && slices.Contains([]string{"", ".", ".."}, segment) {
			return "", fmt.Errorf("bad path %q: write it without empty segments, . or .. in it", s)
		}
	}
	return path, nil
}

// resolveNamed fills each named pool from its Router's default pool and its own settings.
func (b *builder) resolveNamed() {
	slices.SortStableFunc(b.named,
		func(p, q pendingPool) int { return int(p.router) - int(q.router) })
	for _, pending := range b.named {
		r := pending.router
		p := NamedPool{Router: r, Name: pending.name, Pool: *b.config.PoolOf(r)}
		p.Backends = nil
		b.config.into = &p.Pool
		for _, s := range pending.settings {
			b.now = s.from
			_ = s.option.set(b, s.value) // it was right before
		}
		b.config.into = nil
		p.shareMaxConns()
		b.config.NamedPools = append(b.config.NamedPools, p)
		if len(p.Backends) == 0 {
			b.fail(pending.settings[0].from.errorf("no backend: add %s-pool = %s to=ADDR", r,
				p.Name))
		}
	}
}

// shareMaxConns gives the pool's bound to backends that state none.
func (p *Pool) shareMaxConns() {
	for i := range p.Backends {
		if p.Backends[i].MaxConns == unstated {
			p.Backends[i].MaxConns = p.MaxConns
		}
	}
}

// has reports whether a backend listens on a.
func (p *Pool) has(a Address) bool {
	return slices.ContainsFunc(p.Backends, func(backend Backend) bool { return backend.Addr == a })
}

// resolveRules reports rules that cannot be meant, and pools that no rule leads to.
func (b *builder) resolveRules() {
	slices.SortStableFunc(b.rules,
		func(p, q pendingRule) int { return int(p.Router) - int(q.Router) })
	used := make(map[[2]string]bool) // router, pool
	for i, rule := range b.rules {
		used[[2]string{rule.Router.String(), rule.Pool}] = true
		if err := b.checkRule(rule, b.rules[:i]); err != nil {
			b.fail(rule.from.errorf("%w", err))
			continue
		}
		b.config.Rules = append(b.config.Rules, rule.PoolRule)
	}
	for _, p := range b.named {
		if !used[[2]string{p.router.String(), p.name}] {
			b.warnf(p.settings[0].from, "nothing goes to pool %s: add %s-use-pool = %[1]s ...",
				p.name,
				p.router)
		}
	}
	b.checkNamesOfSSLRouters()
}

func (b *builder) checkRule(rule pendingRule, before []pendingRule) error {
	r := rule.Router
	if rule.Pool == "" {
		if !b.hasDefault(r) {
			return fmt.Errorf("there is no default pool: add %s-to = ADDR", r)
		}
	} else if !slices.ContainsFunc(b.named, func(p pendingPool) bool {
		return p.router == r && p.name == rule.Pool
	}) {
		var names []string
		for _, p := range b.named {
			if p.router == r {
				names = append(names, p.name)
			}
		}
		if near := suggest.Nearest(rule.Pool, names); near != "" {
			return fmt.Errorf("no pool %q: did you mean %q?", rule.Pool, near)
		}
		return fmt.Errorf("no pool %q: add %s-pool = %[1]s to=ADDR", rule.Pool, r)
	}
	for _, other := range before {
		if other.Router == r && other.SNI == rule.SNI && other.Host == rule.Host &&
			other.Path == rule.Path {
			return fmt.Errorf("it can never match: %s comes first and has the same conditions",
				other.from.source)
		}
	}
	if r == HTTPRouter && rule.SNI != "" {
		if !b.hasListener(func(l Listener) bool { return l.Router == r && l.TLS != nil }) {
			return errors.New("it can never match: without https there is no SNI")
		}
		policies := b.policiesOf(HTTPRouter)
		if rule.Host != "" && !slices.ContainsFunc(policies, func(p *namePolicies) bool {
			return p.of(rule.SNI).sameClients(p.of(rule.Host))
		}) {
			return fmt.Errorf(
				"it can never match: %s asks clients for another certificate than %s, so "+
					"such requests get 421", rule.Host, rule.SNI)
		}
	}
	return nil
}

// hasDefault reports whether r has a default pool.
func (b *builder) hasDefault(r Router) bool {
	return b.written(r.String()+"-to").option != nil || r == HTTPRouter && b.application
}

// namePolicies are what a listener asks of clients, by server name.
type namePolicies struct {
	source string
	byName map[string]Policy
	other  Policy
}

// policiesOf returns those of each TLS listener of r.
func (b *builder) policiesOf(r Router) (list []*namePolicies) {
	for _, l := range b.tlsListeners() {
		if l.Router != r {
			continue
		}
		p := &namePolicies{source: l.Source, byName: make(map[string]Policy), other: l.TLS.Policy}
		for _, c := range b.names {
			p.byName[c.Name] = p.byName[c.Name].or(c.Policy)
		}
		for name, policy := range p.byName {
			p.byName[name] = policy.or(p.other)
		}
		list = append(list, p)
	}
	return list
}

// of returns the policy under a name, or under a wildcard for the names that have no entry of their
// own.
func (p *namePolicies) of(name string) Policy {
	if policy, ok := p.byName[name]; ok {
		return policy
	}
	if policy, ok := p.byName[wildcardOf(name)]; ok {
		return policy
	}
	return p.other
}

// wildcardOf returns the wildcard that covers a name.
func wildcardOf(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return "*." + parent
}

// checkNamesOfSSLRouters refuses names that ask clients of an sslrouter for other certificates than
// names with which they reach the same backends. An sslrouter does not read requests, so a client
// would evade the policy of one name by asking for another.
func (b *builder) checkNamesOfSSLRouters() {
	from := make(map[string]setting) // by name
	var names []string
	note := func(name string, s setting) {
		if _, ok := from[name]; !ok {
			from[name] = s
			names = append(names, name)
		}
	}
	for _, c := range b.names {
		note(c.Name, c.from)
	}
	var rules []PoolRule
	for _, rule := range b.rulesOf(SSLRouter) {
		note(rule.SNI, rule.from)
		rules = append(rules, rule.PoolRule)
	}
	told := make(map[string]bool)
	for _, policies := range b.policiesOf(SSLRouter) {
		met, around := policies.byPool(names, rules, b.hasDefault(SSLRouter))
		for _, name := range around {
			if !told[name] {
				told[name] = true
				b.fail(from[name].errorf(
					"clients could go round CLIENTCA by another name, since both reach "+
						"the same backends of sslrouter at %s: "+
						"write it there and for each name, give the name a pool of its own by sslrouter-use-pool, "+
						"or use https, which looks at "+
						"each request's Host", policies.source))
			}
		}
		if pool, backend := b.config.sharedBackend(met); backend != "" {
			b.fail(b.firstOf(SSLRouter,
				pool).errorf("clients could go round CLIENTCA by another name, "+
				"since %s is also in another pool of "+
				"sslrouter whose names ask for something else: give each pool backends of its own",
				backend))
		}
	}
}

// firstOf returns the first setting about a pool.
func (b *builder) firstOf(r Router, name string) setting {
	for _, p := range b.named {
		if p.router == r && p.name == name {
			return p.settings[0].from
		}
	}
	return b.written(r.String() + "-to")
}

// byPool returns the policy that the clients of each pool of an sslrouter have met, and the names
// by which they could evade it. Each name or wildcard that is written somewhere stands for itself;
// any other has the listener's policy and goes to the default pool, if there is one.
func (p *namePolicies) byPool(
	names []string, rules []PoolRule, hasDefault bool,
) (met map[string]Policy, around []string) {
	pools := make(map[string]string) // by SNI
	for _, rule := range rules {
		pools[rule.SNI] = rule.Pool
	}
	met = make(map[string]Policy)
	if hasDefault {
		met[""] = p.other
	}
	for _, name := range names {
		pool, ok := pools[name]
		if !ok {
			pool = pools[wildcardOf(name)]
		}
		policy := p.of(name)
		if first, ok := met[pool]; ok && !policy.sameClients(first) {
			around = append(around, name)
		} else if !ok && (pool != "" || hasDefault) {
			met[pool] = policy
		}
	}
	return met, around
}

// sharedBackend returns a backend of an sslrouter, and its pool, that is also in a pool whose
// clients have met another policy.
func (c *Config) sharedBackend(met map[string]Policy) (pool, backend string) {
	reachedBy := make(map[Address]string)
	look := func(name string, p *Pool) bool {
		policy, reached := met[name]
		for _, b := range p.Backends {
			first, seen := reachedBy[b.Addr]
			if reached && seen && !met[first].sameClients(policy) {
				pool, backend = name, b.Text
				return true
			}
			if reached && !seen {
				reachedBy[b.Addr] = name
			}
		}
		return false
	}
	if look("", c.PoolOf(SSLRouter)) {
		return pool, backend
	}
	for i := range c.NamedPools {
		if p := &c.NamedPools[i]; p.Router == SSLRouter && look(p.Name, &p.Pool) {
			return pool, backend
		}
	}
	return "", ""
}

func (b *builder) rulesOf(r Router) []pendingRule {
	return slices.DeleteFunc(slices.Clone(b.rules),
		func(rule pendingRule) bool { return rule.Router != r })
}

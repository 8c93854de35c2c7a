package config

import (
	"errors"
	"math"
	"slices"
	"time"

	"reprise/config/values"
)

// poolOptions returns the options of the pool behind r's listeners: the same for each Router, as
// FAMILY-to, FAMILY-balance and so on. It is long because it is a table of rows, without steps.
func poolOptions(r Router) []option {
	family := r.String()
	pool := func(c *Config) *Pool { return c.target(r) }
	address, scheme, patience := "[tls://]ADDR", "", "protocols with long silences"
	example, conditions, byTLS := "10.0.0.1:443", "sni", "tls"
	use := "send connections to pool NAME by the server name (SNI) of their TLS handshake: " +
		"sni=NAME or sni=*.NAME, which stands for one label. " +
		"A name goes before a wildcard; what no line matches goes to " + family + "-to, and is closed " +
		"if there is none. " + r.howSNI()
	if r == HTTPRouter {
		address, scheme = "[SCHEME://]ADDR",
			"SCHEME is uwsgi if none is written, or http, https, or h2c: HTTP/2 without TLS, as for "+
				"gRPC, on connections that clients share. "
		patience = "applications that take long to answer"
		example, conditions, byTLS = "http://10.0.0.1:8000", "host|path|sni", "https"
		use = "send requests to pool NAME (default: http-to) that match host=NAME, *.NAME or an " +
			"address, path=/BEGINNING in whole segments, and " +
			"sni=NAME of the TLS handshake, each if written. The most specific line decides, whatever " +
			"the order: host before sni before path, a name " +
			"before a wildcard, the longest path. What no line matches goes to http-to, and gets 404 if " +
			"there is none"
	}
	own := make(map[string]*option) // those that a named pool has too
	rows := []option{
		{
			name: "to", form: address + ",...", repeat: true,
			help: "a backend for all " + family + " listeners: " +
				address + "[,weight=N][,max-connections=N][,backup]. " + scheme +
				"weight (1) is its share; max-connections is its own " + family + "-backend-connections; " +
				"backup keeps it for when no other is usable",
			set: func(b *builder, value string) error { return b.addBackend(r, value) },
		},
		{
			name: "pool", form: "NAME OPTION=VALUE", repeat: true,
			help: "a pool of other backends: to and the options below for pool NAME, one a line, such as " +
				"api to=" + example + " or api balance=source; " +
				"options that it does not state are as for " + family + "-to. Which connections go there, " +
				family + "-use-pool says",
			set: func(b *builder, value string) error { return b.addToPool(r, own, value) },
		},
		{
			name: "use-pool", form: "NAME " + conditions + "=...,...", repeat: true,
			help: use,
			set:  func(b *builder, value string) error { return b.addRule(r, value) },
		},
		{
			name: "balance", form: "NAME", byDefault: "round-robin",
			help: "which backend is next: round-robin, least-connections, source (the same client finds " +
				"the same backend) or two-choices (the " +
				"better of two drawn at random). least-connections suits connections of very different length",
			set: choice(func(c *Config) *Balance { return &pool(c).Balance },
				named("round-robin", RoundRobin), named("least-connections", LeastConns),
				named("source", Source), named("two-choices", TwoChoices)),
		},
		{
			name: "backend-connections", form: "N", byDefault: "0",
			help: "connections to each backend that states no max-connections; 0 is no bound. Set to " +
				"what a backend can serve at once",
			set: integer(0, math.MaxInt32, func(c *Config) *int { return &pool(c).MaxConns }),
		},
		{
			name: "queue", form: "N", byDefault: "1024",
			help: "flows that may wait while all backends have the connections they may; 0 lets none wait",
			set:  integer(0, 1<<20, func(c *Config) *int { return &pool(c).QueueLen }),
		},
		{
			name: "max-retries", form: "N", byDefault: "3",
			help: "backends to try after the first could not be connected to. 0 tells the client at once",
			set:  integer(0, 100, func(c *Config) *int { return &pool(c).Retries }),
		},
		{
			name: "gracetime", form: durationForm, byDefault: "30s",
			help: "how long a backend that could not be connected to is left alone. Lower where backends " +
				"restart quickly",
			set: duration(0, week, func(c *Config) *time.Duration { return &pool(c).Grace }),
		},
		{
			name: "slow-start", form: durationForm, byDefault: "0s",
			help: "how long a backend that came back takes to get its full share. Raise for backends " +
				"that start with cold caches",
			set: duration(0, time.Hour, func(c *Config) *time.Duration { return &pool(c).SlowStart }),
		},
		{
			name: "connect-timeout", form: durationForm,
			help: "connect-timeout for these backends alone. Set it where they are farther away than others",
			set: duration(time.Millisecond, week,
				func(c *Config) *time.Duration { return &pool(c).ConnectTimeout }),
		},
		{
			name: "timeout", form: durationForm,
			help: "idle-timeout for these listeners alone. Raise for " + patience,
			set: duration(time.Millisecond, week,
				func(c *Config) *time.Duration { return &pool(c).IdleTimeout }),
		},
		{
			name: "check", form: "off|tcp|tls|http[:PATH]", byDefault: "off",
			help: "probe backends: tcp connects, tls makes a handshake, http wants 2xx or 3xx for PATH " +
				"(/). Turn on to notice a dead backend " +
				"before a client does",
			set: func(b *builder, value string) (err error) {
				c := &pool(&b.config).Check
				c.Kind, c.Path, err = parseCheck(value)
				return err
			},
		},
		{
			name: "check-interval", form: durationForm, byDefault: "2s",
			help: "time between the probes of a backend. Shorter notices sooner and costs the backends more",
			set: duration(10*time.Millisecond, time.Hour,
				func(c *Config) *time.Duration { return &pool(c).Check.Interval }),
		},
		{
			name: "check-timeout", form: durationForm, byDefault: "1s",
			help: "how long a probe may take. Raise for slow or distant backends",
			set: duration(time.Millisecond, time.Hour,
				func(c *Config) *time.Duration { return &pool(c).Check.Timeout }),
		},
		{
			name: "check-rise", form: "N", byDefault: "2",
			help: "probes in a row that must succeed before a backend is used again. Raise if it comes " +
				"and goes",
			set: integer(1, 100, func(c *Config) *int { return &pool(c).Check.Rise }),
		},
		{
			name: "check-fall", form: "N", byDefault: "3",
			help: "probes in a row that must fail before a backend is no longer used. Raise if probes get " +
				"lost",
			set: integer(1, 100, func(c *Config) *int { return &pool(c).Check.Fall }),
		},
		{
			name: "backend-ca", form: "FILE",
			help: "authorities, in PEM, that vouch for " + byTLS + ":// backends; without it those that " +
				"the system trusts. Set it where backends have " +
				"certificates of your own making",
			set: text(func(c *Config) *string { return &pool(c).TLS.CA }),
		},
		{
			name: "backend-name", form: "NAME",
			help: "the name, or address, that certificates of " + byTLS + ":// backends must have, which " +
				"they are also asked for (SNI); without it the " +
				"host of each. Set it where backends are written as addresses, or as a unix socket",
			set: fill(func(c *Config) *string { return &pool(c).TLS.Name }, parseBackendName),
		},
		{
			name: "backend-verify", form: boolForm, byDefault: "true", optional: true,
			help: "look at the certificates of " + byTLS + ":// backends. false takes any server that answers " +
				"for the backend: for tests only",
			set: func(b *builder, value string) error {
				verify, err := values.Bool(value)
				pool(&b.config).TLS.Unverified = err == nil && !verify
				return err
			},
		},
		{
			name: "backend-cert", form: "FILE",
			help: "a certificate with its chain, in PEM, for " + byTLS + ":// backends that ask for one. " +
				"It is read again by a reload",
			set: text(func(c *Config) *string { return &pool(c).TLS.CertFile }),
		},
		{
			name: "backend-key", form: "FILE",
			help: "its private key, in PEM",
			set:  text(func(c *Config) *string { return &pool(c).TLS.KeyFile }),
		},
		{
			name: "send-proxy", form: "v1|v2|" + boolForm, byDefault: "off", optional: true,
			help: "tell backends the client's address in a PROXY header of this version; true is v2, " +
				"which also says how TLS went. They must expect it",
			set: fill(func(c *Config) *ProxyVersion { return &pool(c).SendProxy }, parseProxyVersion),
		},
		{
			name: "accept-proxy", form: "CIDR,...|all", repeat: true,
			help: "networks, such as 10.0.0.0/8, whose connections must begin with a PROXY header that " +
				"names the client; those from elsewhere " +
				"must not. Set it to the balancers in front, and to nothing else: a sender of one may claim " +
				"any address",
			set: func(b *builder, value string) error {
				networks, err := parseNetworks(value, true)
				p := pool(&b.config)
				p.AcceptProxy = append(p.AcceptProxy, networks...)
				return err
			},
		},
	}
	for i := range rows {
		if !slices.Contains(notOfPools, rows[i].name) {
			own[rows[i].name] = &rows[i]
		}
		rows[i].name, rows[i].group = family+"-"+rows[i].name, groupPool(r)
	}
	return rows
}

// groupPool is the heading of r's pool.
func groupPool(r Router) string { return "Backends of " + r.String() + " listeners" }

// parseProxyVersion reads v1, v2, or whether to send a header at all.
func parseProxyVersion(s string) (ProxyVersion, error) {
	switch s {
	case "v1":
		return 1, nil
	case "v2":
		return 2, nil
	}
	switch on, err := values.Bool(s); {
	case err != nil:
		return 0, errors.New("bad choice: write v1 or v2 or off")
	case on:
		return 2, nil
	default:
		return 0, nil
	}
}

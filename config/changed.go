package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// restartGroups and restartOptions are the options that a running node does not take over when it
// reads the configuration again. It takes over all others.
var (
	restartGroups  = []string{groupShare, groupSubscribe, groupApplication, groupProcess}
	restartOptions = []string{
		"tls-engine", "watch", "chmod-socket", "chown-socket", "acme-directory", "acme-agree",
		"acme-email", "acme-storage", "acme-ca", "acme-challenge",
		"cache2", "cache", "cache-blocksize", "cache-expire-freq", "ssl-sessions-use-cache",
		"ssl-sessions-timeout", "ssl-sessions-single-use",
		"stats", "admin", "admin-host", "pprof", "name", "log-format", "http-stats",
		"rawrouter-stats",
		"sslrouter-stats",
		"http-processes", "key-workers", "listen",
		// sessions are held, and peers asked, by the values at the start
		"handshake-timeout", "cache-lookup-timeout",
	}
	// of restartGroups
	taken = []string{"cluster-secret-file", "udprepeater-secret-file", "memory-limit"}
)

// needsRestart reports whether a running node cannot take over another value of o.
func (o *option) needsRestart() bool {
	return slices.Contains(restartOptions, o.name) || slices.Contains(restartGroups, o.group) &&
		!slices.Contains(taken, o.name)
}

// NeedsRestart returns a line for each option of now that a running node started with c cannot take
// over: "admin: was A, is B".
func (c *Config) NeedsRestart(now *Config) (lines []string) {
	for i := range options {
		o := &options[i]
		if was, is := c.stated(o), now.stated(o); o.needsRestart() && was != is {
			lines = append(lines, o.name+": was "+was+", is "+is)
		}
	}
	return lines
}

// Changed returns the names of the options in which now differs from c and which a running node
// takes over.
func (c *Config) Changed(now *Config) (names []string) {
	for i := range options {
		o := &options[i]
		if !o.needsRestart() && c.stated(o) != now.stated(o) {
			names = append(names, o.name)
		}
	}
	return names
}

// SameClients reports whether each listener of c is there in now, asks clients under each name for
// the same certificates, and leads them to the same pools: then a client on its way to a pool of c
// may reach that pool's backends in now. A node without client CAs asks no client, before or after.
func (c *Config) SameClients(now *Config) bool {
	if !c.asksClients() && !now.asksClients() {
		return true
	}
	if !maps.Equal(c.ways(), now.ways()) {
		return false
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		j := slices.IndexFunc(now.Listeners, func(n Listener) bool {
			return n.Router == l.Router && n.Addr == l.Addr && (n.TLS == nil) == (l.TLS == nil)
		})
		if j < 0 {
			return false
		}
		if l.TLS == nil {
			continue
		}
		before, after := policiesIn(l.TLS), policiesIn(now.Listeners[j].TLS)
		same := func(name string) bool { return before.of(name).sameClients(after.of(name)) }
		if !before.other.sameClients(after.other) {
			return false
		}
		for _, byName := range []map[string]Policy{before.byName, after.byName} {
			for name := range byName {
				if !same(name) {
					return false
				}
			}
		}
	}
	return true
}

// ways returns the pool of each rule, by its conditions.
func (c *Config) ways() map[PoolRule]string {
	ways := make(map[PoolRule]string)
	for _, rule := range c.Rules {
		pool := rule.Pool
		rule.Source, rule.Pool = "", ""
		ways[rule] = pool
	}
	return ways
}

// asksClients reports whether some clients may or must show a certificate.
func (c *Config) asksClients() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool {
		return l.TLS != nil && (l.TLS.ClientCA != "" || slices.ContainsFunc(l.TLS.Certs,
			func(cert Certificate) bool { return cert.ClientCA != "" }))
	})
}

// policiesIn returns the policies of a listener's names.
func policiesIn(t *TLS) *namePolicies {
	p := &namePolicies{byName: make(map[string]Policy), other: t.Policy}
	for _, cert := range t.Certs {
		if cert.Name != "" {
			p.byName[cert.Name] = cert.Policy
		}
	}
	return p
}

// stated returns the value of an option as an operator may see it.
func (c *Config) stated(o *option) string {
	var stated []string
	for _, s := range c.settings {
		if s.option != o {
			continue
		}
		if !o.repeat {
			stated = stated[:0] // the last one counts
		}
		stated = append(stated, s.shown())
	}
	if len(stated) == 0 {
		return "not set"
	}
	return strings.Join(stated, ", ")
}

// ReloadDirs returns the directories whose files a running node reads again: a file there may
// change, come or go.
func (c *Config) ReloadDirs() []string {
	dirs := slices.Clone(c.dirs)
	add := func(files ...string) {
		for _, f := range files {
			if f != "" {
				dirs = append(dirs, filepath.Dir(f))
			}
		}
	}
	for i := range c.Listeners {
		if t := c.Listeners[i].TLS; t != nil {
			add(t.ClientCA)
			for _, cert := range t.Certs {
				add(cert.CertFile, cert.KeyFile, cert.ClientCA)
			}
		}
	}
	add(c.ClientCRLs...)
	add(c.Limits.Allow.Files...)
	add(c.Limits.Deny.Files...)
	for _, p := range c.allPools() {
		if p.hasTLS() {
			add(p.TLS.CA, p.TLS.CertFile, p.TLS.KeyFile)
		}
	}
	add(c.ClusterSecretFiles...)
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

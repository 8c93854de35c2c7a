package config

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"reprise/config/pki"
)

// parseBackendName reads a name that a certificate can have: a DNS name without a wildcard, or an
// address.
func parseBackendName(s string) (string, error) {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && ip.Zone() == "" {
		return ip.String(), nil
	}
	if strings.HasPrefix(s, "*") {
		return "",
			errors.New("bad name: write one that a certificate for *.example.com would be good " +
				"for, such as a.example.com")
	}
	return pki.ParseServerName(s)
}

// allPools returns the pools of all Routers.
func (c *Config) allPools() (list []*Pool) {
	for i := range c.Pools {
		list = append(list, &c.Pools[i])
	}
	for i := range c.NamedPools {
		list = append(list, &c.NamedPools[i].Pool)
	}
	return list
}

// hasTLS reports whether some backend is reached by TLS.
func (p *Pool) hasTLS() bool {
	return slices.ContainsFunc(p.Backends, func(backend Backend) bool { return backend.TLS })
}

// resolveBackendTLS reports options of TLS with r's backends that are missing or have no effect.
func (b *builder) resolveBackendTLS(r Router) {
	option := func(name string) string { return r.String() + "-backend-" + name }
	some, warned := false, make(map[string]bool)
	for _, p := range b.poolsOf(r) {
		if !p.hasTLS() {
			continue
		}
		some = true
		cert, key := b.poolSetting(p, option("cert")), b.poolSetting(p, option("key"))
		switch t := &p.TLS; {
		case t.CertFile != "" && t.KeyFile == "":
			b.failOnce(cert.errorf("no key: add %s = FILE", option("key")))
		case t.CertFile == "" && t.KeyFile != "":
			b.failOnce(key.errorf("no certificate: add %s = FILE", option("cert")))
		}
		if !p.TLS.Unverified {
			for _, backend := range p.Backends {
				if backend.TLS && backend.Addr.Network == "unix" && p.TLS.Name == "" {
					b.failOnce(b.poolSetting(p,
						r.String()+"-to").errorf("%s has no name to verify: add %s = NAME",
						backend.Text, option("name")))
				}
			}
			continue
		}
		verify := b.poolSetting(p, option("verify"))
		if line := verify.String(); !warned[line] {
			warned[line] = true
			b.warnf(verify,
				"any server that answers is taken for the backend, and may read and change all that "+
					"goes there: write %s = FILE instead", option("ca"))
		}
		if p.TLS.CA != "" {
			b.warnf(b.poolSetting(p, option("ca")), "no effect without %s", option("verify"))
		}
	}
	if !some {
		scheme := "tls"
		if r == HTTPRouter {
			scheme = "https"
		}
		b.warnUnused("no effect without "+scheme+":// backends", option("ca"), option("name"),
			option("verify"), option("cert"), option("key"))
	}
}

// failOnce is fail for an error that several pools may have from the same line.
func (b *builder) failOnce(err error) {
	if !slices.ContainsFunc(b.errs,
		func(other error) bool { return other.Error() == err.Error() }) {
		b.fail(err)
	}
}

// readBackendFiles reads the authorities that verify backends and the certificates shown to them.
func (b *builder) readBackendFiles(now time.Time) {
	read := make(map[string]bool) // several pools may have the same
	for _, r := range Routers {
		if !b.hasListener(func(l Listener) bool { return l.Router == r }) {
			continue
		}
		for _, p := range b.poolsOf(r) {
			t := &p.TLS
			if !p.hasTLS() {
				continue
			}
			from := b.poolSetting(p, r.String()+"-backend-ca")
			if t.CA != "" && !t.Unverified && !read[from.String()] {
				read[from.String()] = true
				if _, err := readClientCA(t.CA); err != nil {
					b.unusable(t.CA, from.errorf("%w", err))
				}
			}
			from = b.poolSetting(p, r.String()+"-backend-cert")
			if t.CertFile != "" && t.KeyFile != "" && !read[from.String()] {
				read[from.String()] = true
				b.readBackendPair(from, t, now)
			}
		}
	}
}

func (b *builder) readBackendPair(from setting, t *BackendTLS, now time.Time) {
	pair, err := pki.ReadPair(t.CertFile, t.KeyFile)
	if err != nil {
		b.unusable(t.CertFile, from.errorf("%w", err))
		return
	}
	for _, line := range pair.Warnings(t.CertFile, "", now) {
		b.warnf(from, "%s", line)
	}
	if !forClients(pair.Leaf) {
		b.warnf(from, "%s is not for clients: many backends will refuse it", t.CertFile)
	}
	if info, err := os.Stat(t.KeyFile); err == nil && info.Mode().Perm()&0o004 != 0 {
		b.warnf(from, "every user of this machine can read %s: chmod 600 it", t.KeyFile)
	}
}

// forClients reports whether c may authenticate a client (RFC 5280, Section 4.2.1.12).
func forClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage,
		func(u x509.ExtKeyUsage) bool {
			return u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
		})
}

package config

import (
	"cmp"
	"fmt"
	"slices"
)

// resolve turns the collected settings into the Config, and reports those that contradict each
// other.
func (b *builder) resolve() {
	b.sortListeners()
	b.application = b.application || !b.config.Application.IsZero()
	b.resolveCaches()
	b.resolveACME()
	b.resolveListeners()
	b.resolvePools()
	b.resolveRules()
	b.resolveSubscriptions()
	b.checkHTTP()
	b.checkLimits()
	b.checkAccessLog()
	b.resolveReplication()
	b.resolveApplication()
	b.resolvePrivileges()
	b.checkAddresses()
	if b.config.Pprof && b.written("admin").option == nil {
		b.fail(b.written("pprof").errorf("there is no admin server to serve it on: add admin = " +
			"127.0.0.1:9090"))
	}
}

// blame returns the setting of first if it was written, else that of second.
func (b *builder) blame(first, second string) setting {
	if s := b.written(first); s.source != byDefault {
		return s
	}
	return b.written(second)
}

// sortListeners puts listeners in the order of their options, as Print writes them. The first one's
// key may be the secret of the fleet, so the order must not depend on anything else.
func (b *builder) sortListeners() {
	position := func(l pendingListener) int {
		return slices.IndexFunc(options,
			func(o option) bool { return o.name == l.from.option.name })
	}
	slices.SortStableFunc(b.listeners, func(l, m pendingListener) int {
		return position(l) - position(m)
	})
}

// resolveListeners gives each listener what was set for all of them.
func (b *builder) resolveListeners() {
	policies := b.statedPolicies()
	for _, pending := range b.listeners {
		l := pending.Listener
		if l.TLS != nil {
			l.TLS = b.resolveTLS(l, policies)
		}
		b.config.Listeners = append(b.config.Listeners, l)
	}
	b.warnOfPlainHTTP()
	b.warnWithoutTLS()
	listeners := []string{
		"https", "https2", "http", "http-to-https", "sslrouter", "sslrouter2",
		"rawrouter", "udprepeater",
	}
	if !slices.ContainsFunc(listeners,
		func(name string) bool { return b.written(name).option != nil }) {
		b.fail(fmt.Errorf("no listener: add https = %s or sslrouter = %[1]s", tlsForm))
	}
}

// warnWithoutTLS warns about options of TLS listeners if there are none.
func (b *builder) warnWithoutTLS() {
	terminates := func(r Router) bool {
		return b.hasListener(func(l Listener) bool { return l.Router == r && l.TLS != nil })
	}
	if !terminates(HTTPRouter) {
		b.warnUnused("no effect without https", "https-session-context")
	}
	if !terminates(SSLRouter) {
		b.warnUnused("no effect without sslrouter", "sslrouter-session-context", "sslrouter-alpn")
	}
	if len(b.tlsListeners()) == 0 {
		b.warnUnused("no effect without https or sslrouter", "sni", "ssl-client-crl",
			"sni-nomatch-abort")
	}
}

// resolveTLS returns l's TLS with the policies of names and the settings of l's Router.
func (b *builder) resolveTLS(l Listener, policies map[string]Policy) *TLS {
	t := *l.TLS
	t.Certs = slices.Clone(t.Certs)
	for i := range t.Certs {
		t.Certs[i].Policy = t.Policy
	}
	for _, c := range b.names {
		c.Policy = policies[c.Name].or(t.Policy)
		t.Certs = append(t.Certs, c.Certificate)
	}
	if t.SessionContext == "" {
		t.SessionContext = cmp.Or(b.contexts[l.Router], l.Router.String()+"-"+l.Addr.String())
	}
	switch {
	case l.Router == HTTPRouter:
		if t.ALPN == nil {
			t.ALPN = slices.Clone(httpALPN)
		}
		if !b.config.HTTP.HTTP2 {
			t.ALPN = []string{"http/1.1"}
		}
	case t.ALPN == nil:
		t.ALPN = slices.Clone(b.alpn)
	}
	return &t
}

// warnOfPlainHTTP warns about names that require client certificates by https and can be asked for
// by http, which has none.
func (b *builder) warnOfPlainHTTP() {
	i := slices.IndexFunc(b.listeners, func(l pendingListener) bool {
		return l.Router == HTTPRouter && l.TLS == nil && l.RedirectPort == 0
	})
	if i < 0 || !b.hasListener(func(l Listener) bool {
		return l.Router == HTTPRouter && l.TLS != nil
	}) {
		return
	}
	for _, c := range b.names {
		if c.Policy.ClientCARequired {
			b.warnf(c.from,
				"the http listener at %s serves %s to clients without a certificate: write "+
					"http-to-https there",
				b.listeners[i].Source, c.Name)
		}
	}
}

// httpALPN is all that https listeners speak, in order of preference.
var httpALPN = []string{"h2", "http/1.1"}

// statedPolicies returns the policy that any certificate of a name states for it.
func (b *builder) statedPolicies() map[string]Policy {
	policies := make(map[string]Policy)
	statedBy := make(map[string]setting)
	for _, c := range b.names {
		if c.Policy.contradicts(policies[c.Name]) {
			b.fail(c.from.errorf(
				"%s already has other ciphers or another client CA from %s: write the "+
					"same for both",
				c.Name, statedBy[c.Name].source))
			continue
		}
		policies[c.Name] = policies[c.Name].or(c.Policy)
		statedBy[c.Name] = c.from
	}
	return policies
}

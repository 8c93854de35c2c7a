package config

import (
	"fmt"
	"slices"
)

// resolve turns what was collected into the Config, and finds the settings that contradict each other.
func (b *builder) resolve() {
	b.resolveCaches()
	b.resolveListeners()
	b.resolveReplication()
	b.resolveApplication()
	b.checkAddresses()
	if t := &b.config.Tuning; t.LowWatermark >= t.HighWatermark {
		b.fail(b.blame("low-watermark", "high-watermark").errorf("low-watermark %s is not below high-watermark %s: lower it",
			formatSize(t.LowWatermark), formatSize(t.HighWatermark)))
	}
	if b.config.Pprof && b.written("admin").option == nil {
		b.fail(b.written("pprof").errorf("there is no admin server to serve it on: add admin = 127.0.0.1:9090"))
	}
}

// blame returns the setting of first if somebody wrote it, else that of second.
func (b *builder) blame(first, second string) setting {
	if s := b.written(first); s.source != byDefault {
		return s
	}
	return b.written(second)
}

// resolveListeners gives each listener what was set for all of them.
func (b *builder) resolveListeners() {
	policies := b.namePolicies()
	for _, pending := range b.listeners {
		l := pending.TLSListener
		for i := range l.Certs {
			l.Certs[i].Policy = l.Policy
		}
		for _, c := range b.names {
			c.Policy = policies[c.Name].or(l.Policy)
			l.Certs = append(l.Certs, c.Certificate)
		}
		switch {
		case l.SessionContext != "":
		case b.context != "":
			l.SessionContext = b.context
		default:
			l.SessionContext = "sslrouter-" + l.Addr.String()
		}
		if l.ALPN == nil {
			l.ALPN = slices.Clone(b.alpn)
		}
		l.Backends = slices.Clone(b.backends)
		if len(l.Backends) == 0 && b.written("sslrouter-to").option == nil {
			b.fail(pending.from.errorf("no backend: add sslrouter-to = ADDR"))
		}
		b.config.TLS = append(b.config.TLS, l)
	}
	if b.written("sslrouter").option == nil && b.written("sslrouter2").option == nil && b.written("udprepeater").option == nil {
		b.fail(fmt.Errorf("no listener: add sslrouter = %s", sslrouterForm))
	}
}

// namePolicies returns what was stated for each name by any of its certificates.
func (b *builder) namePolicies() map[string]Policy {
	policies := make(map[string]Policy)
	statedBy := make(map[string]setting)
	for _, c := range b.names {
		if c.Policy.contradicts(policies[c.Name]) {
			b.fail(c.from.errorf("%s already has other ciphers or another client CA from %s: write the same for both",
				c.Name, statedBy[c.Name].source))
			continue
		}
		policies[c.Name] = policies[c.Name].or(c.Policy)
		statedBy[c.Name] = c.from
	}
	return policies
}

// checkAddresses finds addresses that are listened on twice, and listeners that would relay to themselves.
func (b *builder) checkAddresses() {
	takenBy := make(map[Address]setting)
	listen := func(a Address, from setting) {
		if a.Network != "unix" && a.Port == 0 { // also no address at all
			return
		}
		if first, taken := takenBy[a]; taken {
			b.fail(from.errorf("%v is taken by %s at %s: choose another address", a, first.option.name, first.source))
			return
		}
		takenBy[a] = from
	}
	for _, l := range b.listeners {
		listen(l.Addr, l.from)
	}
	listen(b.config.Stats, b.written("stats"))
	listen(b.config.Admin, b.written("admin"))
	for _, router := range []string{"http", "rawrouter", "sslrouter"} {
		listen(b.config.RouterStats[router], b.written(router+"-stats"))
	}
	for _, a := range slices.Concat(b.udpServers, b.repeaters, b.sockets) {
		listen(a.Address, a.from)
	}
	for _, l := range b.listeners {
		if slices.Contains(b.backends, Backend{Addr: l.Addr}) {
			b.fail(l.from.errorf("%v is also an sslrouter-to: it would relay to itself", l.Addr))
		}
	}
}

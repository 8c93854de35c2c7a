package config

import (
	"cmp"
	"slices"
)

// listenersOf names the options that add listeners of each Router, for messages.
var listenersOf = [len(Routers)]string{
	SSLRouter: "sslrouter", RawRouter: "rawrouter",
	HTTPRouter: "https or http",
}

// resolvePools gives each pool what was set for all of them, and reports settings that contradict
// each other or have no effect.
func (b *builder) resolvePools() {
	for _, r := range Routers {
		p := b.config.PoolOf(r)
		p.ConnectTimeout = cmp.Or(p.ConnectTimeout, b.patience.connect)
		p.IdleTimeout = cmp.Or(p.IdleTimeout, b.patience.idle)
		p.shareMaxConns()
		if !b.hasListener(func(l Listener) bool { return l.Router == r }) {
			b.warnGroup(groupPool(r), "no effect without "+listenersOf[r])
			continue
		}
		b.checkBackends(r)
		b.warnIdlePool(r)
	}
	b.resolveNamed()
	for _, r := range Routers {
		if b.hasListener(func(l Listener) bool { return l.Router == r }) {
			b.resolveBackendTLS(r)
		}
	}
}

// checkBackends checks that listeners that relay have backends, and backends have listeners.
func (b *builder) checkBackends(r Router) {
	to := r.String() + "-to"
	for _, l := range b.listeners {
		if l.Router == r && l.RedirectPort == 0 && !b.hasDefault(r) && len(b.rulesOf(r)) == 0 &&
			!b.subscribes(r) {
			b.fail(l.from.errorf("no backend: add %s = ADDR", to))
		}
	}
	if !b.hasListener(func(l Listener) bool { return l.Router == r && l.RedirectPort == 0 }) {
		b.warnUnused("no effect: http-to-https asks no backend", to)
	}
	if p := b.config.PoolOf(r); len(p.Backends) > 0 && !slices.ContainsFunc(p.Backends,
		func(backend Backend) bool { return !backend.Backup }) {
		b.warnf(b.written(to), "every backend is a backup: leave it out for those that serve")
	}
}

// warnIdlePool warns about options of r's pool that have no effect because of others.
func (b *builder) warnIdlePool(r Router) {
	p, family := b.config.PoolOf(r), r.String()
	if slices.ContainsFunc(b.named, func(p pendingPool) bool { return p.router == r }) {
		return // it may need what the default pool does not
	}
	if p.Check.Kind == NoCheck {
		b.warnUnused("no effect without "+family+"-check",
			family+"-check-interval", family+"-check-timeout", family+"-check-rise",
			family+"-check-fall")
	}
	if !slices.ContainsFunc(p.Backends,
		func(backend Backend) bool { return backend.MaxConns > 0 }) {
		b.warnUnused("no effect: no backend has max-connections", family+"-queue")
	}
}

// checkHTTP reports options that have no effect with these listeners, or with the protocols that
// their backends speak.
func (b *builder) checkHTTP() {
	if !b.hasListener(func(l Listener) bool { return l.Router == HTTPRouter }) {
		b.warnGroup(groupHTTP, "no effect without "+listenersOf[HTTPRouter])
		return
	}
	if !b.hasListener(func(l Listener) bool { return l.Router == HTTPRouter && l.TLS != nil }) {
		b.warnUnused("no effect without https", "hsts", "https-export-cert")
	}
	b.checkHeaders()
	h := &b.config.HTTP
	var asHTTP, asHTTPWithoutProxy, asUWSGI, asH2C bool // some backend speaks this
	for _, p := range b.poolsOf(HTTPRouter) {
		speaks := func(protocol Protocol) bool {
			return slices.ContainsFunc(p.Backends,
				func(backend Backend) bool { return backend.Protocol == protocol })
		}
		asHTTP = asHTTP || speaks(HTTP)
		asHTTPWithoutProxy = asHTTPWithoutProxy || speaks(HTTP) && p.SendProxy == 0
		asUWSGI = asUWSGI || speaks(UWSGI)
		asH2C = asH2C || speaks(H2C)
		if speaks(UWSGI) && p.Check.Kind == CheckHTTP {
			b.warnf(b.poolSetting(p, "http-check"),
				"uwsgi backends speak no HTTP: they are checked as "+
					"by tcp")
		}
		if speaks(UWSGI) && p.SendProxy > 0 {
			b.warnf(b.poolSetting(p, "http-send-proxy"),
				"uwsgi backends get no header: their variables "+
					"name the client")
		}
		if speaks(H2C) && p.SendProxy > 0 {
			b.warnf(b.poolSetting(p, "http-send-proxy"),
				"h2c backends get no header: clients share "+
					"connections, and X-Forwarded-For names them")
		}
	}
	switch {
	case asH2C && !asHTTP:
		b.warnUnused("no effect without http:// backends", "http-backend-keepalive")
	case asH2C:
	case !asHTTP:
		b.warnUnused("no effect without http:// or https:// backends", "http-backend-keepalive",
			"http-backend-idle-timeout")
	case !asHTTPWithoutProxy:
		b.warnUnused("no effect: a connection whose PROXY header names a client serves no other",
			"http-backend-keepalive", "http-backend-idle-timeout")
		h.BackendKeepAlive = 0
	case h.BackendKeepAlive == 0:
		b.warnUnused("no effect without http-backend-keepalive", "http-backend-idle-timeout")
	}
	switch {
	case !asUWSGI && !b.application && !b.subscribes(HTTPRouter):
		b.warnUnused("no effect without uwsgi backends",
			"http-chunked-input", "http-body-buffer", "http-server-name-as-http-host")
	case h.ChunkedInput:
		b.warnUnused("no effect with http-chunked-input", "http-body-buffer")
	}
}

// poolsOf returns the pools of r, the default one first.
func (b *builder) poolsOf(r Router) []*Pool {
	list := []*Pool{b.config.PoolOf(r)}
	for i := range b.config.NamedPools {
		if p := &b.config.NamedPools[i]; p.Router == r {
			list = append(list, &p.Pool)
		}
	}
	return list
}

// poolSetting returns the setting of an option of p, by its name for the default pool.
func (b *builder) poolSetting(p *Pool, name string) setting {
	for i := range b.config.NamedPools {
		if &b.config.NamedPools[i].Pool != p {
			continue
		}
		for _, s := range slices.Backward(b.named[i].settings) {
			if s.option.name == name {
				return s.from
			}
		}
	}
	return b.written(name)
}

// checkAccessLog reports options of a log that is not written.
func (b *builder) checkAccessLog() {
	if b.config.AccessLog.File == "" {
		b.warnUnused("no effect without access-log", "access-log-format", "access-log-sample")
	}
}

func (b *builder) hasListener(is func(Listener) bool) bool {
	return slices.ContainsFunc(b.listeners, func(l pendingListener) bool { return is(l.Listener) })
}

// warnGroup warns about the options of a group that have another value than their default.
func (b *builder) warnGroup(group, why string) {
	for i := range options {
		if options[i].group == group {
			b.warnUnused(why, options[i].name)
		}
	}
}

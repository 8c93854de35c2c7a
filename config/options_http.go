package config

import (
	"time"

	"reprise/config/values"
)

// httpOptions say how requests are read, passed on and answered.
var httpOptions = []option{
	{
		name: "http-keepalive", group: groupHTTP, form: durationForm + "|" +
			boolForm, byDefault: "60s", optional: true,
		help: "how long a client's connection waits for its next request; true is 60s, false serves " +
			"one request. Lower to hold fewer idle connections",
		set: fill(func(c *Config) *time.Duration { return &c.HTTP.KeepAlive }, parseKeepAlive),
	},
	{
		name: "http2", group: groupHTTP, form: boolForm, byDefault: "true", optional: true,
		help: "speak HTTP/2 with clients of https that offer it. Turn off only to find out whether it " +
			"is the cause of something",
		set: boolean(func(c *Config) *bool { return &c.HTTP.HTTP2 }),
	},
	{
		name: "http-headers-timeout", group: groupHTTP, form: durationForm, byDefault: "30s",
		help: "for a request's line and fields to arrive. Lower under attack by clients that stall",
		set: duration(time.Millisecond, week,
			func(c *Config) *time.Duration { return &c.HTTP.HeadersTimeout }),
	},
	{
		name: "http-max-header", group: groupHTTP, form: sizeForm, byDefault: "32k",
		help: "a request's line and fields together; longer ones get 431. Raise if applications set " +
			"many cookies",
		set: size(1<<10, 1<<20, func(c *Config) *int { return &c.HTTP.MaxHeader }),
	},
	{
		name: "http-max-body", group: groupHTTP, form: sizeForm, byDefault: "0",
		help: "content of a request; more gets 413, 0 is no limit. Set to the largest upload that the " +
			"application takes",
		set: fill(func(c *Config) *int64 { return &c.HTTP.MaxBody }, func(s string) (int64, error) {
			n, err := values.Size(s, 0, 1<<50)
			return int64(n), err
		}),
	},
	{
		name: "http-chunked-input", group: groupHTTP, form: boolForm, byDefault: "false",
		optional: true,
		help: "pass content of unknown length to uwsgi backends in its chunks. Turn on for " +
			"applications that read chunked input themselves",
		set: boolean(func(c *Config) *bool { return &c.HTTP.ChunkedInput }),
	},
	{
		name: "http-body-buffer", group: groupHTTP, form: sizeForm, byDefault: "256k",
		help: "content of unknown length that is held to tell a uwsgi backend its length; more gets " +
			"413. Each such request may cost this much memory",
		set: size(0, 1<<30, func(c *Config) *int { return &c.HTTP.BodyBuffer }),
	},
	{
		name: "http-backend-keepalive", group: groupHTTP, form: "N", byDefault: "256",
		help: "idle connections that each loop keeps to each http:// backend; 0 keeps none. Raise if " +
			"statistics show many connects under load",
		set: integer(0, 1<<16, func(c *Config) *int { return &c.HTTP.BackendKeepAlive }),
	},
	{
		name: "http-backend-idle-timeout", group: groupHTTP, form: durationForm, byDefault: "30s",
		help: "how long such a connection is kept, and one to an h2c:// backend without requests. " +
			"Must be shorter than the backend's own time-out, or requests meet connections that it closes",
		set: duration(time.Millisecond, week,
			func(c *Config) *time.Duration { return &c.HTTP.BackendIdleTimeout }),
	},
	{
		name: "http-trusted", group: groupHTTP, form: "CIDR,...", repeat: true,
		help: "networks, such as 10.0.0.0/8, whose Forwarded and X-Forwarded-* are believed and added " +
			"to; from others they are replaced. " +
			"Set it to the proxies in front, and to nothing else",
		set: func(b *builder, value string) error {
			networks, err := parseNetworks(value, false)
			b.config.HTTP.Trusted = append(b.config.HTTP.Trusted, networks...)
			return err
		},
	},
	{
		name: "add-header", aliases: []string{"http-add-header"}, group: groupHTTP,
		form:   "NAME: VALUE",
		repeat: true,
		help: "a field that every response gets, such as X-Frame-Options: DENY, in place of the " +
			"backend's",
		set: func(b *builder, value string) error {
			h, err := parseHeader(value)
			if err == nil {
				b.config.HTTP.AddHeaders = append(b.config.HTTP.AddHeaders, h)
			}
			return err
		},
	},
	{
		name: "request-header", group: groupHTTP, form: "RULE", repeat: true,
		help: "what backends get of a request's fields: " + ruleForm +
			". A value may have variables, " +
			"such as set X-Client-DN: ${SSL_CLIENT_S_DN}; " +
			"if it comes out empty, the field is not sent. What is set or removed, clients cannot set",
		set: headerRules(func(c *Config) *[]HeaderRule { return &c.HTTP.RequestHeaders }),
	},
	{
		name: "response-header", group: groupHTTP, form: "RULE", repeat: true,
		help: "what clients get of a response's fields, as in request-header, such as remove " +
			"X-Powered-By",
		set: headerRules(func(c *Config) *[]HeaderRule { return &c.HTTP.ResponseHeaders }),
	},
	{
		name: "hsts", group: groupHTTP, form: "SECONDS|" + boolForm + ";...", optional: true,
		help: "tell browsers to use nothing but https for so long (Strict-Transport-Security); true " +
			"is a year, 0 makes them forget it; " +
			"then ;includeSubDomains and ;preload if wanted. Start with a short time: browsers do not " +
			"take it back",
		set: func(b *builder, value string) (err error) {
			b.config.HTTP.HSTS, err = parseHSTS(value)
			return err
		},
	},
	{
		name: "https-export-cert", group: groupHTTP, form: boolForm, byDefault: "false",
		optional: true,
		help: "pass the client's certificate to uwsgi backends as HTTPS_CC, in PEM. Turn on for " +
			"applications that read more of it than its name",
		set: boolean(func(c *Config) *bool { return &c.HTTP.ExportCert }),
	},
	{
		name: "http-server-name-as-http-host", group: groupHTTP, form: boolForm, byDefault: "false",
		optional: true,
		help: "make SERVER_NAME of a request's Host, instead of this machine's name. Turn on for " +
			"applications that build URLs from it",
		set: boolean(func(c *Config) *bool { return &c.HTTP.HostAsServerName }),
	},
}

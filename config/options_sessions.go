package config

import (
	"time"

	"reprise/config/values"
)

// sessionOptions say which sessions are kept, and for how long.
var sessionOptions = []option{
	{
		name: "cache2", group: groupSessions, form: "KEY=VALUE,...", repeat: true,
		help: "a cache: name=NAME,items=N[,keysize=SIZE][,blocksize=SIZE]. It holds at most items " +
			"entries with keys of at most keysize (default 2k) " +
			"and values of at most blocksize (default 64k) bytes. More items: more clients resume, more " +
			"memory is used. " +
			"udp=ADDR;... and node=ADDR;... are its own cache-udp-server and cache-udp-node",
		set: addCache,
	},
	{
		name: "cache", group: groupSessions, form: "ITEMS",
		help: "a cache named default, as cache2 would make it",
		set: func(b *builder, value string) (err error) {
			b.legacyCache, err = values.Int(value, 1, maxCacheItems)
			return err
		},
	},
	{
		name: "cache-blocksize", group: groupSessions, form: sizeForm, byDefault: "64k",
		help: "the longest value in the cache that cache makes. A session takes less than 4096 unless " +
			"clients send certificates",
		set: func(b *builder, value string) (err error) {
			b.legacyBlockSize, err = values.Size(value, 1, maxBlockSize)
			return err
		},
	},
	{
		name: "ssl-sessions-use-cache", aliases: []string{"ssl-session-use-cache"},
		group:     groupSessions,
		form:      "NAME|BOOL",
		byDefault: "true", optional: true,
		help: "the cache that keeps TLS sessions. true takes the first cache, or makes one of 20000 " +
			"items if there is none; " +
			"false resumes no session",
		set: func(*builder, string) error { return nil }, // resolveCaches reads it
	},
	{
		name: "ssl-sessions-timeout", aliases: []string{"ssl-session-timeout"},
		group: groupSessions,
		form:  durationForm, byDefault: "300s",
		help: "how long after the full handshake a session may be resumed. Longer saves handshakes, " +
			"shorter bounds what a stolen session is worth",
		set: duration(time.Second, week,
			func(c *Config) *time.Duration { return &c.SessionTimeout }),
	},
	{
		name: "ssl-sessions-single-use", group: groupSessions, form: boolForm, byDefault: "false",
		optional: true,
		help: "let each session be resumed only once, so that observers cannot link " +
			"connections by it",
		set: boolean(func(c *Config) *bool { return &c.SingleUse }),
	},
	{
		name: "ssl-sessions-tickets", group: groupSessions, form: "N", byDefault: "2",
		help: "sessions that a client gets with a full handshake of TLS 1.3, to resume as many " +
			"connections at once without being recognised " +
			"by the same one twice. tls-engine = standard gives one",
		set: integer(1, 8, func(c *Config) *int { return &c.SessionTickets }),
	},
	sessionContext("https-session-context", HTTPRouter),
	sessionContext("sslrouter-session-context", SSLRouter),
}

// sessionContext returns the row of the context that r's listeners share.
func sessionContext(name string, r Router) option {
	return option{
		name: name, group: groupSessions, form: "TEXT",
		help: "sessions are resumed only where the context is the same. By default each listener has " +
			"its own, made from its address; " +
			"set it where listeners or nodes stand for the same service",
		set: func(b *builder, value string) error { b.contexts[r] = value; return nil },
	}
}

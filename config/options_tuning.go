package config

import (
	"errors"
	"math"
	"time"

	"reprise/config/values"
)

// tuningOptions are sizes, budgets, limits and timers.
var tuningOptions = []option{
	{
		name: "http-processes", aliases: []string{
			"loops", "http-workers", "sslrouter-processes",
			"rawrouter-processes",
		}, group: groupLoops, form: "N",
		byDefault: cores,
		help: "event loops, each on its own core if there are enough. The default is one for " +
			"each core; fewer leave cores to other programs",
		set: integer(1, 1024, func(c *Config) *int { return &c.Tuning.Loops }),
	},
	{
		name: "high-watermark", group: groupLoops, form: sizeForm, byDefault: "256k",
		help: "bytes waiting in one direction of a flow at which reading from its sender stops, until " +
			"a quarter is left. Raise for fast, distant readers; " +
			"each slow reader may cost this much memory",
		set: size(4<<10, 1<<30, func(c *Config) *int { return &c.Tuning.HighWatermark }),
	},
	{
		name: "key-workers", group: groupLoops, form: "N", byDefault: cores,
		help: "goroutines that make RSA signatures, each of which takes over a millisecond. The " +
			"default is one for each core; " +
			"0 signs on the loops, where other connections wait",
		set: integer(0, 1024, func(c *Config) *int { return &c.Tuning.KeyWorkers }),
	},

	{
		name: "handshake-timeout", group: groupTimers, form: durationForm, byDefault: "10s",
		help: "from accept to the end of the TLS handshake. Lower under attack by clients that stall",
		set: duration(time.Millisecond, week,
			func(c *Config) *time.Duration { return &c.Tuning.HandshakeTimeout }),
	},
	{
		name: "connect-timeout", group: groupTimers, form: durationForm, byDefault: "5s",
		help: "for one attempt to connect to a backend. Lower to try the next one sooner",
		set: func(b *builder, value string) (err error) {
			b.patience.connect, err = values.Duration(value, time.Millisecond, week)
			return err
		},
	},
	{
		name: "idle-timeout", group: groupTimers, form: durationForm, byDefault: "60s",
		help: "a flow on which nothing moved for this long is closed. Raise for protocols with long " +
			"silences",
		set: func(b *builder, value string) (err error) {
			b.patience.idle, err = values.Duration(value, time.Millisecond, week)
			return err
		},
	},
	{
		name: "backend-resolve-interval", group: groupTimers, form: durationForm, byDefault: "30s",
		help: "how often the DNS names of backends are looked up again. Lower where addresses change " +
			"quickly",
		set: duration(time.Second, week,
			func(c *Config) *time.Duration { return &c.Tuning.ResolveInterval }),
	},
	{
		name: "linger-timeout", group: groupTimers, form: durationForm, byDefault: "5s",
		help: "for a closing connection to send what is left. Raise if slow clients lose the end of " +
			"answers",
		set: duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.LingerTimeout }),
	},
	{
		name: "shutdown-delay", group: groupTimers, form: durationForm, byDefault: "0",
		help: "after SIGTERM, or when told to drain: go on accepting for this long, while /readyz says " +
			"503 and clients are asked to go elsewhere. " +
			"Set to a few intervals of the balancer's checks",
		set: duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.ShutdownDelay }),
	},
	{
		name: "drain-timeout", group: groupTimers, form: durationForm, byDefault: "30s",
		help: "for flows to end by themselves after SIGTERM and shutdown-delay. Raise for long " +
			"downloads, lower for quick restarts",
		set: duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.DrainTimeout }),
	},
	{
		name: "upgrade-timeout", group: groupTimers, form: durationForm, byDefault: "30s",
		help: "for a new process to be ready to take over (SIGUSR2, reprise upgrade); beyond it the " +
			"old one goes on. Raise if an application takes long to load",
		set: duration(time.Millisecond, week,
			func(c *Config) *time.Duration { return &c.Tuning.UpgradeTimeout }),
	},
	{
		name: "cache-lookup-timeout", aliases: []string{"session-store-timeout"},
		group: groupTimers,
		form:  durationForm, byDefault: "10ms",
		help: "the most that a handshake waits for a session that other nodes or a session-store may " +
			"have, all questions together, before it " +
			"goes on in full. Raise if they are far apart; 0 asks none",
		set: duration(0, 10*time.Second,
			func(c *Config) *time.Duration { return &c.Tuning.LookupTimeout }),
	},

	{
		name: "max-connections", group: groupLimits, form: "N", byDefault: "0",
		help: "client connections of all loops together. 0 takes what the limit of open files (ulimit " +
			"-n) allows",
		set: integer(0, math.MaxInt32, func(c *Config) *int { return &c.Tuning.MaxConnections }),
	},
	{
		name: "max-handshakes", group: groupLimits, form: "N", byDefault: "10000",
		help: "handshakes in flight on all loops together. Lower to bound memory under attack",
		set:  integer(1, math.MaxInt32, func(c *Config) *int { return &c.Tuning.MaxHandshakes }),
	},
	{
		name: "listen", aliases: []string{"backlog"}, group: groupLimits, form: "N",
		byDefault: "1024",
		help: "connections that may wait to be accepted, on each listener of each loop; the kernel " +
			"caps it at net.core.somaxconn",
		set: integer(1, 1<<16-1, func(c *Config) *int { return &c.Tuning.Backlog }),
	},

	{
		name: "memory-limit", group: groupProcess, form: sizeForm, byDefault: "0",
		help: "memory at which Go collects more and more often. 0 takes nine tenths of the limit of the " +
			"control group, such as a container's, " +
			"less what the caches hold; without such a limit there is none. $GOMEMLIMIT goes before that",
		set: fill(func(c *Config) *int64 { return &c.Tuning.MemoryLimit },
			func(s string) (int64, error) {
				n, err := values.Size(s, 0, math.MaxInt&^(1<<30-1))
				return int64(n), err
			}),
	},
	{
		name: "tcp-fastopen", group: groupProcess, form: "N", byDefault: "0",
		help: "length of the queue for TCP Fast Open, which saves returning clients a round trip; 0 " +
			"is off. Some middleboxes drop such packets",
		set: integer(0, 1<<16-1, func(c *Config) *int { return &c.Tuning.FastOpen }),
	},
	{
		name: "tcp-defer-accept", group: groupProcess, form: durationForm, byDefault: "0s",
		help: "accept a connection only when its first bytes are there (TCP_DEFER_ACCEPT), waiting at " +
			"most this long; 0 is off",
		set: fill(func(c *Config) *time.Duration { return &c.Tuning.DeferAccept },
			func(s string) (time.Duration, error) {
				d, err := values.Duration(s, 0, time.Hour)
				if err == nil && d%time.Second != 0 {
					return 0, errors.New("bad duration: the kernel takes whole seconds only")
				}
				return d, err
			}),
	},
	{
		name: "cpu-affinity", group: groupProcess, form: boolForm, byDefault: "false",
		optional: true,
		help:     "tie each loop to a core. Try it on machines that run nothing else",
		set:      boolean(func(c *Config) *bool { return &c.Tuning.CPUAffinity }),
	},
}

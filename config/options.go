package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// option is a row of the table from which flags, INI keys, help and the printed configuration are made.
type option struct {
	name      string
	aliases   []string                  // uWSGI's other names for it
	group     string                    // heading of the help
	form      string                    // what a value looks like: ADDR, SIZE ...
	byDefault string                    // as an operator would write it; empty: not set
	optional  bool                      // a missing value means true
	repeat    bool                      // may stand several times, and adds up
	help      string                    // what it is and when to touch it
	mask      func(value string) string // what may be seen of a value; nil: all
	set       func(b *builder, value string) error
}

// The groups, in the order of the help.
const (
	groupListen   = "Listeners and backends"
	groupSessions = "Sessions and caches"
	groupShare    = "Sharing sessions between nodes"
	groupObserve  = "Seeing what it does"
	groupLoops    = "Tuning: loops and buffers"
	groupTimers   = "Tuning: timers"
	groupLimits   = "Tuning: limits"
	groupProcess  = "Tuning: process and sockets"
)

// The forms that many options share.
const (
	boolForm     = "BOOL"
	durationForm = "DURATION"
	sizeForm     = "SIZE"
)

// week is the longest that any timer may be set to, and that a session may live (RFC 8446, Section 4.6.1).
const week = 7 * 24 * time.Hour

// cores is the number of cores this process may use, also inside a container with a quota.
var cores = strconv.Itoa(runtime.GOMAXPROCS(0))

var coreOptions = []option{
	{
		name: "sslrouter", group: groupListen, form: "ADDR,CERT,KEY,...", repeat: true,
		help: "terminate TLS on ADDR and relay the plaintext to the sslrouter-to backends: " + sslrouterForm + ". CIPHERS is an OpenSSL " +
			"list of TLS 1.2 suites; CLIENTCA a PEM file: clients may send a certificate, or must with ! before the file",
		set: addSSLRouter,
	},
	{
		name: "sslrouter2", group: groupListen, form: "KEY=VALUE,...", repeat: true,
		help: "the same as addr=,cert=,key=,ciphers=,clientca=,alpn=,context=. Repeat cert and key to serve RSA and ECDSA side by side; " +
			"separate protocols in alpn by semicolons",
		set: addSSLRouter2,
	},
	{
		name: "sslrouter-to", group: groupListen, form: "ADDR", repeat: true,
		help: "a backend for the connections of all sslrouter listeners",
		set:  addBackend,
	},
	{
		name: "sni", group: groupListen, form: "NAME CERT,KEY,...", repeat: true,
		help: "a certificate for clients that ask for NAME, such as www.example.com or *.example.com, on every TLS listener: " + sniForm +
			". Repeat NAME to serve RSA and ECDSA side by side; what is left out is as on the listener",
		set: addSNI,
	},
	{
		name: "sslrouter-alpn", group: groupListen, form: "PROTOCOL,...",
		help: "protocols to negotiate with clients, most wanted first, such as h2,http/1.1. The backends must speak all of them",
		set: func(b *builder, value string) (err error) {
			b.alpn, err = parseALPN(value, ",")
			return err
		},
	},
	{
		name: "tls-min-version", aliases: []string{"ssl-min-version"}, group: groupListen, form: "1.2|1.3", byDefault: "1.2",
		help: "the oldest TLS version offered. 1.3 shuts out clients from before about 2018",
		set: choice(func(c *Config) *uint16 { return &c.MinVersion },
			named("1.2", uint16(tls.VersionTLS12)), named("1.3", uint16(tls.VersionTLS13))),
	},
	{
		name: "master", group: groupListen, form: boolForm, byDefault: "true", optional: true,
		help: "read for uWSGI's sake; there is one process, which does what uWSGI's master does",
		set:  boolean(func(*Config) *bool { return new(bool) }),
	},

	{
		name: "cache2", group: groupSessions, form: "KEY=VALUE,...", repeat: true,
		help: "a cache: name=NAME,items=N[,keysize=SIZE][,blocksize=SIZE]. It holds at most items entries with keys of at most keysize (default 2k) " +
			"and values of at most blocksize (default 64k) bytes. More items: more clients resume, more memory is used. " +
			"udp=ADDR;... and node=ADDR;... are its own cache-udp-server and cache-udp-node",
		set: addCache,
	},
	{
		name: "cache", group: groupSessions, form: "ITEMS",
		help: "a cache named default, as cache2 would make it",
		set: func(b *builder, value string) (err error) {
			b.legacyCache, err = parseInt(value, 1, maxCacheItems)
			return err
		},
	},
	{
		name: "cache-blocksize", group: groupSessions, form: sizeForm, byDefault: "64k",
		help: "the longest value in the cache that cache makes. A session takes less than 4096 unless clients send certificates",
		set: func(b *builder, value string) (err error) {
			b.legacyBlockSize, err = parseSize(value, 1, maxBlockSize)
			return err
		},
	},
	{
		name: "ssl-sessions-use-cache", aliases: []string{"ssl-session-use-cache"}, group: groupSessions, form: "NAME|BOOL",
		byDefault: "true", optional: true,
		help: "the cache that keeps TLS sessions. true takes the first cache, or makes one of 20000 items if there is none; " +
			"false resumes no session",
		set: func(*builder, string) error { return nil }, // resolveCaches knows what it means
	},
	{
		name: "ssl-sessions-timeout", aliases: []string{"ssl-session-timeout"}, group: groupSessions, form: durationForm, byDefault: "300s",
		help: "how long after the full handshake a session may be resumed. Longer saves handshakes, shorter bounds what a stolen session is worth",
		set:  duration(time.Second, week, func(c *Config) *time.Duration { return &c.SessionTimeout }),
	},
	{
		name: "ssl-sessions-single-use", group: groupSessions, form: boolForm, byDefault: "false", optional: true,
		help: "let each session be resumed only once, so that observers cannot link connections by it",
		set:  boolean(func(c *Config) *bool { return &c.SingleUse }),
	},
	{
		name: "sslrouter-session-context", aliases: []string{"https-session-context"}, group: groupSessions, form: "TEXT",
		help: "sessions are resumed only where the context is the same. By default each listener has its own, made from its address; " +
			"set it where listeners or nodes stand for the same service",
		set: func(b *builder, value string) error { b.context = value; return nil },
	},

	{
		name: "cache-udp-server", group: groupShare, form: "ADDR", repeat: true,
		help: "where other nodes reach the session cache by UDP, unless it has udp= of its own: an address of this machine or a multicast group",
		set:  collect(parseUDP, func(b *builder) *[]pendingAddress { return &b.udpServers }),
	},
	{
		name: "cache-udp-node", group: groupShare, form: "ADDR", repeat: true,
		help: "whom the session cache tells of its sessions, unless it has node= of its own: the cache-udp-server of another node, " +
			"a multicast group or a udprepeater. All addresses of a DNS name are told",
		set: collect(parsePeer, func(b *builder) *[]pendingAddress { return &b.udpNodes }),
	},
	{
		name: "cluster-secret-file", group: groupShare, form: "FILE", repeat: true,
		help: "a secret that all nodes share and that seals what they tell each other: at least 16 bytes, such as openssl rand -hex 32 writes. " +
			"The first seals, what others sealed is still opened: to change the secret, add the new one behind the old on every node, then " +
			"before it, then remove the old. Without any it is derived from the key of the first listener, which all nodes must then share",
		set: func(b *builder, value string) error {
			b.config.ClusterSecretFiles = append(b.config.ClusterSecretFiles, value)
			b.secrets = append(b.secrets, b.now)
			return nil
		},
	},
	{
		name: "cache-replication", group: groupShare, form: "push|pull|push+pull", byDefault: "push+pull",
		help: "push tells every session to every node at once, pull lets a node ask for what it lacks, push+pull does both. pull suits fleets " +
			"in which no node can hold all sessions",
		set: choice(func(c *Config) *ReplicationMode { return &c.Replication.Mode },
			named("push", ReplicatePush), named("pull", ReplicatePull), named("push+pull", ReplicatePushPull)),
	},
	{
		name: "cache-udp-interface", group: groupShare, form: "NAME",
		help: "the network interface of multicast groups, such as eth0. Set it where the default route is not the way to the other nodes",
		set:  func(b *builder, value string) error { b.config.Replication.Interface = value; return nil },
	},
	{
		name: "cache-udp-ttl", aliases: []string{"multicast-ttl"}, group: groupShare, form: "N", byDefault: "1",
		help: "how many networks a multicast datagram may cross. 1 stays on the local one",
		set:  integer(1, 255, func(c *Config) *int { return &c.Replication.TTL }),
	},
	{
		name: "cache-udp-datagram", group: groupShare, form: sizeForm, byDefault: "1200",
		help: "the longest datagram to send, unless a single session is longer. Raise where every way between nodes carries jumbo frames",
		set:  size(576, 16<<10, func(c *Config) *int { return &c.Replication.DatagramSize }),
	},
	{
		name: "cache-udp-buffer", group: groupShare, form: sizeForm, byDefault: "4m",
		help: "bytes asked of the kernel for each UDP socket, in each direction; it caps them at net.core.rmem_max and wmem_max. " +
			"Raise if datagrams are lost in bursts; 0 leaves the kernel's default",
		set: size(0, 1<<30, func(c *Config) *int { return &c.Replication.BufferSize }),
	},
	{
		name: "cache-udp-ring", group: groupShare, form: "N", byDefault: "8192",
		help: "changes that may wait to be sent, each of about 700 bytes. Raise if the statistics show a full ring",
		set:  integer(2, 1<<20, func(c *Config) *int { return &c.Replication.RingLen }),
	},
	{
		name: "cache-udp-heartbeat", group: groupShare, form: durationForm, byDefault: "1s",
		help: "how often a node says that it lives and what it sent last. Shorter finds losses and dead nodes sooner",
		set:  duration(10*time.Millisecond, time.Minute, func(c *Config) *time.Duration { return &c.Replication.Heartbeat }),
	},
	{
		name: "cache-udp-dead-after", group: groupShare, form: durationForm, byDefault: "3s",
		help: "how long a node may be silent before it counts as dead and is asked nothing; more than cache-udp-heartbeat",
		set:  duration(10*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Replication.DeadAfter }),
	},
	{
		name: "cache-join-rate", group: groupShare, form: sizeForm, byDefault: "32m",
		help: "bytes per second that nodes which join are given, together, of the sessions that exist. Lower if that disturbs the network",
		set:  size(4<<10, 1<<30, func(c *Config) *int { return &c.Replication.JoinRate }),
	},
	{
		name: "cache-max-lookups", group: groupShare, form: "N", byDefault: "1024",
		help: "handshakes that may wait at once for a session from another node or a session-store; the others go on in full. " +
			"Lower to bound memory under attack",
		set: integer(1, 1<<20, func(c *Config) *int { return &c.Replication.MaxLookups }),
	},
	{
		name: "cache-sync", group: groupShare, form: "ADDR", repeat: true,
		help: "read for uWSGI's sake; " + syncNote,
		set:  func(b *builder, _ string) error { noteSync(b); return nil },
	},
	{
		name: "session-store", group: groupShare, form: "URL", repeat: true, mask: maskStore,
		help: "a store for sessions beyond this fleet: " + storeForms + ". Sessions are sealed before they leave the node. " +
			"reprise check prints a password as ***",
		set: addStore,
	},
	{
		name: "udprepeater", group: groupShare, form: "ADDR", repeat: true,
		help: "forward the datagrams of nodes whose cache-udp-node is ADDR to each other. Such a process needs no listener and cannot read " +
			"what it forwards unless it is given the cluster secret",
		set: collect(parseRepeater, func(b *builder) *[]pendingAddress { return &b.repeaters }),
	},
	{
		name: "udprepeater-secret-file", group: groupShare, form: "FILE",
		help: "the key by which the repeater knows its subscribers, as reprise repeater-key prints it for a cluster secret, which the " +
			"repeater then need not have",
		set: func(b *builder, value string) error { b.config.RepeaterSecretFile = value; return nil },
	},

	{
		name: "stats", aliases: []string{"stats-server"}, group: groupObserve, form: "ADDR",
		help: "send a JSON document of statistics to whoever connects to ADDR, and close",
		set:  address(func(c *Config) *Address { return &c.Stats }),
	},
	{
		name: "admin", group: groupObserve, form: "ADDR",
		help: "serve /stats, /metrics (Prometheus) and /healthz by HTTP on ADDR. It asks for no password: keep it local",
		set:  address(func(c *Config) *Address { return &c.Admin }),
	},
	{
		name: "pprof", group: groupObserve, form: boolForm, byDefault: "false", optional: true,
		help: "serve Go's profiles on admin under /debug/pprof. Turn on to look for lost time or memory",
		set:  boolean(func(c *Config) *bool { return &c.Pprof }),
	},
	{
		name: "name", aliases: []string{"node-name"}, group: groupObserve, form: "TEXT",
		help: "what this node calls itself in statistics and logs",
		set:  func(b *builder, value string) error { b.config.Name = value; return nil },
	},
	{
		name: "log-level", group: groupObserve, form: "debug|info|warn|error", byDefault: "info",
		help: "the least severe lines that are logged",
		set: choice(func(c *Config) *slog.Level { return &c.LogLevel },
			named("debug", slog.LevelDebug), named("info", slog.LevelInfo), named("warn", slog.LevelWarn), named("error", slog.LevelError)),
	},
	{
		name: "log-format", group: groupObserve, form: "text|json", byDefault: "text",
		help: "how log lines are written",
		set:  choice(func(c *Config) *string { return &c.LogFormat }, named("text", "text"), named("json", "json")),
	},

	{
		name: "http-processes", aliases: []string{"loops", "http-workers", "sslrouter-processes"}, group: groupLoops, form: "N",
		byDefault: cores,
		help:      "event loops, each on its own core if there are enough. The default is one for each core; fewer leave cores to other programs",
		set:       integer(1, 1024, func(c *Config) *int { return &c.Tuning.Loops }),
	},
	{
		name: "read-size", group: groupLoops, form: sizeForm, byDefault: "64k",
		help: "the most that one read takes from a socket. Larger costs fewer system calls in bulk transfers, smaller is fairer",
		set:  size(4<<10, 16<<20, func(c *Config) *int { return &c.Tuning.ReadSize }),
	},
	{
		name: "high-watermark", group: groupLoops, form: sizeForm, byDefault: "256k",
		help: "bytes waiting in one direction of a flow at which its sender is read no further. Raise for fast, distant readers; " +
			"each slow reader may cost this much memory",
		set: size(4<<10, 1<<30, func(c *Config) *int { return &c.Tuning.HighWatermark }),
	},
	{
		name: "low-watermark", group: groupLoops, form: sizeForm, byDefault: "64k",
		help: "bytes left waiting at which the sender is read again; less than high-watermark",
		set:  size(0, 1<<30, func(c *Config) *int { return &c.Tuning.LowWatermark }),
	},
	{
		name: "turn-budget", group: groupLoops, form: sizeForm, byDefault: "256k",
		help: "bytes that one flow may move before the others have their turn. Lower if bulk transfers delay small requests",
		set:  size(4<<10, 1<<30, func(c *Config) *int { return &c.Tuning.TurnBudget }),
	},
	{
		name: "accept-budget", group: groupLoops, form: "N", byDefault: "64",
		help: "connections that one wake-up accepts. Lower if storms of new connections delay established ones",
		set:  integer(1, 1<<16, func(c *Config) *int { return &c.Tuning.AcceptBudget }),
	},
	{
		name: "key-workers", group: groupLoops, form: "N", byDefault: cores,
		help: "goroutines that make RSA signatures, each of which takes over a millisecond. The default is one for each core; " +
			"0 signs on the loops, where other connections wait",
		set: integer(0, 1024, func(c *Config) *int { return &c.Tuning.KeyWorkers }),
	},

	{
		name: "handshake-timeout", group: groupTimers, form: durationForm, byDefault: "10s",
		help: "from accept to the end of the TLS handshake. Lower under attack by clients that stall",
		set:  duration(time.Millisecond, week, func(c *Config) *time.Duration { return &c.Tuning.HandshakeTimeout }),
	},
	{
		name: "connect-timeout", group: groupTimers, form: durationForm, byDefault: "5s",
		help: "for one attempt to connect to a backend. Lower to try the next one sooner",
		set:  duration(time.Millisecond, week, func(c *Config) *time.Duration { return &c.Tuning.ConnectTimeout }),
	},
	{
		name: "idle-timeout", aliases: []string{"sslrouter-timeout"}, group: groupTimers, form: durationForm, byDefault: "60s",
		help: "a flow on which nothing moved for so long is closed. Raise for protocols with long silences",
		set:  duration(time.Millisecond, week, func(c *Config) *time.Duration { return &c.Tuning.IdleTimeout }),
	},
	{
		name: "linger-timeout", group: groupTimers, form: durationForm, byDefault: "5s",
		help: "for a closing connection to send what is left. Raise if slow clients lose the end of answers",
		set:  duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.LingerTimeout }),
	},
	{
		name: "drain-timeout", group: groupTimers, form: durationForm, byDefault: "30s",
		help: "for flows to end by themselves after SIGTERM. Raise for long downloads, lower for quick restarts",
		set:  duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.DrainTimeout }),
	},
	{
		name: "cache-lookup-timeout", aliases: []string{"session-store-timeout"}, group: groupTimers, form: durationForm, byDefault: "10ms",
		help: "the most that a handshake waits for a session that other nodes or a session-store may have, all questions together, before it " +
			"goes on in full. Raise if they are far apart; 0 asks nobody",
		set: duration(0, 10*time.Second, func(c *Config) *time.Duration { return &c.Tuning.LookupTimeout }),
	},
	{
		name: "sslrouter-gracetime", group: groupTimers, form: durationForm, byDefault: "30s",
		help: "how long a backend that could not be connected to is left alone",
		set:  duration(0, week, func(c *Config) *time.Duration { return &c.Tuning.BackendGrace }),
	},

	{
		name: "max-connections", group: groupLimits, form: "N", byDefault: "0",
		help: "client connections of all loops together. 0 takes what the limit of open files (ulimit -n) allows",
		set:  integer(0, math.MaxInt32, func(c *Config) *int { return &c.Tuning.MaxConnections }),
	},
	{
		name: "max-handshakes", group: groupLimits, form: "N", byDefault: "10000",
		help: "handshakes in flight on all loops together. Lower to bound memory under attack",
		set:  integer(1, math.MaxInt32, func(c *Config) *int { return &c.Tuning.MaxHandshakes }),
	},
	{
		name: "sslrouter-max-retries", group: groupLimits, form: "N", byDefault: "3",
		help: "backends to try after the first could not be connected to",
		set:  integer(0, 100, func(c *Config) *int { return &c.Tuning.BackendRetries }),
	},
	{
		name: "listen", aliases: []string{"backlog"}, group: groupLimits, form: "N", byDefault: "1024",
		help: "connections that may wait to be accepted, on each listener of each loop; the kernel caps it at net.core.somaxconn",
		set:  integer(1, 1<<16-1, func(c *Config) *int { return &c.Tuning.Backlog }),
	},

	{
		name: "gc-percent", group: groupProcess, form: "N", byDefault: "400",
		help: "how far the heap grows, in percent, before it is collected. Lower uses less memory and more CPU; -1 waits for memory-limit",
		set:  integer(-1, 1<<20, func(c *Config) *int { return &c.Tuning.GCPercent }),
	},
	{
		name: "memory-limit", group: groupProcess, form: sizeForm, byDefault: "0",
		help: "memory at which Go collects ever harder; 0 is none. Set to about nine tenths of a container's limit",
		set: fill(func(c *Config) *int64 { return &c.Tuning.MemoryLimit }, func(s string) (int64, error) {
			n, err := parseSize(s, 0, math.MaxInt&^(1<<30-1))
			return int64(n), err
		}),
	},
	{
		name: "tcp-nodelay", group: groupProcess, form: boolForm, byDefault: "true", optional: true,
		help: "send small segments at once (TCP_NODELAY). Leave it on",
		set:  boolean(func(c *Config) *bool { return &c.Tuning.NoDelay }),
	},
	{
		name: "tcp-fastopen", group: groupProcess, form: "N", byDefault: "0",
		help: "length of the queue for TCP Fast Open, which saves returning clients a round trip; 0 is off. Some middleboxes drop such packets",
		set:  integer(0, 1<<16-1, func(c *Config) *int { return &c.Tuning.FastOpen }),
	},
	{
		name: "tcp-defer-accept", group: groupProcess, form: durationForm, byDefault: "0s",
		help: "accept a connection only when its first bytes are there (TCP_DEFER_ACCEPT), waiting at most so long; 0 is off",
		set: fill(func(c *Config) *time.Duration { return &c.Tuning.DeferAccept }, func(s string) (time.Duration, error) {
			d, err := parseDuration(s, 0, time.Hour)
			if err == nil && d%time.Second != 0 {
				return 0, errors.New("bad duration: the kernel takes whole seconds only")
			}
			return d, err
		}),
	},
	{
		name: "cpu-affinity", group: groupProcess, form: boolForm, byDefault: "false", optional: true,
		help: "tie each loop to a core. Try it on machines that run nothing else",
		set:  boolean(func(c *Config) *bool { return &c.Tuning.CPUAffinity }),
	},
}

// optionsByName finds options by their names and aliases.
var optionsByName = func() map[string]*option {
	byName := make(map[string]*option)
	for i := range options {
		o := &options[i]
		byName[o.name] = o
		for _, alias := range o.aliases {
			byName[alias] = o
		}
	}
	return byName
}()

// fill makes the set function of an option that only fills a field, which keeps its default if the value is bad.
func fill[T any](field func(*Config) *T, parse func(string) (T, error)) func(*builder, string) error {
	return func(b *builder, value string) error {
		v, err := parse(value)
		if err == nil {
			*field(&b.config) = v
		}
		return err
	}
}

func boolean(field func(*Config) *bool) func(*builder, string) error {
	return fill(field, parseBool)
}

func integer(low, high int, field func(*Config) *int) func(*builder, string) error {
	return fill(field, func(s string) (int, error) { return parseInt(s, low, high) })
}

func size(low, high int, field func(*Config) *int) func(*builder, string) error {
	return fill(field, func(s string) (int, error) { return parseSize(s, low, high) })
}

func duration(low, high time.Duration, field func(*Config) *time.Duration) func(*builder, string) error {
	return fill(field, func(s string) (time.Duration, error) { return parseDuration(s, low, high) })
}

func address(field func(*Config) *Address) func(*builder, string) error {
	return fill(field, ParseAddress)
}

// namedValue is one answer to a multiple choice.
type namedValue[T any] struct {
	name  string
	value T
}

func named[T any](name string, value T) namedValue[T] { return namedValue[T]{name, value} }

func choice[T any](field func(*Config) *T, values ...namedValue[T]) func(*builder, string) error {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.name
	}
	return fill(field, func(s string) (value T, err error) {
		i := slices.Index(names, s)
		if i < 0 {
			return value, fmt.Errorf("bad choice: write %s", strings.Join(names, " or "))
		}
		return values[i].value, nil
	})
}

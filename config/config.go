package config

import (
	"io/fs"
	"log/slog"
	"time"

	"reprise/config/migrate"
	"reprise/internal/tuning"
)

// Config is the whole configuration of one node: defaults, files and flags merged, checked and
// resolved, so that a reader of it need look nowhere else. It is plain data, read by any number of
// goroutines once Parse has returned it.
type Config struct {
	// Name is what the node calls itself in statistics and logs; empty if the operator gave none.
	Name string
	// Listeners holds every address for clients: at least one, unless there are Repeaters. They are
	// in the order of their options in the help, those of one option in the order written.
	Listeners []Listener
	// Pools holds the default pools, by Router: they get what no Rule sends elsewhere.
	Pools [len(Routers)]Pool
	// NamedPools are the other pools, by Router, those of one in the order in which they are first
	// written.
	NamedPools []NamedPool
	// Rules say what goes to which pool, by Router. Their order means nothing: the most specific
	// one decides.
	Rules []PoolRule
	// Subscriptions says how backends join pools of the HTTPRouter by subscribing.
	Subscriptions Subscriptions
	// Limits bound what clients of one address may take.
	Limits ClientLimits
	// HTTP says how the HTTPRouter treats requests.
	HTTP HTTPOptions
	// AccessLog says where requests and connections are logged.
	AccessLog AccessLog
	// Watch says that the files of certificates, keys, client CAs and secrets are read again when
	// they change.
	Watch bool
	// ACME says which certificates are got from an authority.
	ACME ACME
	// ClientCRLs are files with revocation lists, which hold for all client CAs: none means that
	// revocation is not checked.
	ClientCRLs []string
	// NameStrictness says how to treat clients that ask for a name without a certificate.
	NameStrictness NameStrictness
	// MinVersion is the oldest TLS version offered: tls.VersionTLS12 or tls.VersionTLS13.
	MinVersion uint16
	// TLSEngine is what speaks TLS.
	TLSEngine TLSEngine
	// Caches holds every named cache, in the order written; a legacy `cache = N` comes first.
	Caches []Cache
	// SessionCache names the member of Caches that keeps TLS sessions; empty means that no session
	// is ever resumed.
	SessionCache string
	// CacheSweep is how often expired entries are removed from caches.
	CacheSweep time.Duration
	// SessionTimeout is how long after its full handshake a session may be resumed.
	SessionTimeout time.Duration
	// SingleUse lets each session be resumed at most once.
	SingleUse bool
	// SessionTickets is how many sessions a client gets with a full handshake, where TLS and
	// TLSEngine allow it.
	SessionTickets int
	// ClusterSecretFiles are files with the secrets of the fleet, which ReadSecret has accepted:
	// the first seals, what the others sealed is still opened. None means that the secret comes
	// from a listener's key, which is never so if there are SessionStores, or if sessions with
	// client certificates are shared.
	ClusterSecretFiles []string
	// Replication names the other nodes, and says how the SessionCache is kept in step with them.
	Replication Replication
	// SessionStores are the URLs of stores beyond the fleet: redis://, rediss:// or memcached://,
	// in the order written. They may hold passwords: never log them.
	SessionStores []string
	// Repeaters are the UDP addresses at which this process forwards datagrams between nodes.
	Repeaters []Address
	// RepeaterSecretFile is a file with the key by which a repeater knows its subscribers, derived
	// from the fleet's secret; empty means that ClusterSecretFiles serve that purpose too.
	RepeaterSecretFile string
	// Privileges say as which user the process goes on once it holds what only root can open.
	Privileges Privileges
	// SocketFile is how the files of unix sockets are made, except that of Admin.
	SocketFile SocketFile
	// Umask is removed from the modes of files that the process makes, if HasUmask.
	Umask    fs.FileMode
	HasUmask bool
	// Stats is where the JSON statistics server listens; the zero Address means nowhere.
	Stats Address
	// RouterStats is where the listeners of one kind of router have a statistics server of their
	// own: by "http", "rawrouter" and "sslrouter", for those that were asked for.
	RouterStats map[string]Address
	// Admin is where the admin HTTP server listens, in the order written. DefaultAdmin is not among
	// them: the node adds it.
	Admin []Address
	// AdminTokenFile is a file with the token, which ReadSecret has accepted, that lets clients of
	// Admin by TCP change something; empty means that none may.
	AdminTokenFile string
	// AdminHosts are names by which clients reach Admin, in lower case, besides those that are
	// always accepted.
	AdminHosts []string
	// Pprof serves /debug/pprof on Admin.
	Pprof bool
	// LogLevel is the least severe level that is written.
	LogLevel slog.Level
	// LogFormat is "text" or "json".
	LogFormat string
	// Application is a Python application to run beside this process; zero for none.
	Application Application
	// Tuning holds the sizes, budgets, limits and timers.
	Tuning Tuning
	// Warnings are lines for the operator about settings that work but are probably not meant.
	Warnings []string

	// Unusable holds the certificates and revocation lists that Reread could not read or use.
	// Listeners may still name them.
	Unusable []Unusable

	settings []setting // everything that was set, defaults first: what Print prints
	// with certificates that are offered by name: a file added there is one more
	dirs []string
	used []migrate.Usage // every key of a file, for PrintMigration

	into *Pool // the named pool whose option is being set; nil: the default one
}

// Unusable is a certificate that cannot be served, or not under its client policy, or an unusable
// file of revocation lists.
type Unusable struct {
	// CertFile is its file.
	CertFile string
	// Err says where the file is named, and what is wrong.
	Err error
}

// PoolOf returns the default pool of r.
func (c *Config) PoolOf(r Router) *Pool { return &c.Pools[r] }

// target returns the pool that an option of r's is about.
func (c *Config) target(r Router) *Pool {
	if c.into != nil {
		return c.into
	}
	return c.PoolOf(r)
}

// NameStrictness says how to treat clients that ask for a name without a certificate. It reads as
// an operator writes it.
type NameStrictness string

// The strictnesses.
const (
	AnyName    NameStrictness = "false"   // they get the default certificate
	NotUnknown NameStrictness = "unknown" // those that ask for an unknown name are refused
	OnlyKnown  NameStrictness = "true"    // and those that ask for no name
)

// TLSEngine names what speaks TLS. It reads as an operator writes it.
type TLSEngine string

// The engines.
const (
	OwnEngine      TLSEngine = "own"      // package tlsconn's
	StandardEngine TLSEngine = "standard" // Go's standard library
)

// Cache is a named cache.
type Cache struct {
	// Name is unique among the caches.
	Name string
	// Items bounds how many entries it holds.
	Items int
	// KeySize bounds the length of a key, in bytes.
	KeySize int
	// BlockSize bounds the length of a value, in bytes.
	BlockSize int
}

// Replication says how nodes keep their session caches in step, by UDP. Sizes are bytes.
type Replication struct {
	// Listen are the UDP addresses and multicast groups where other nodes reach the SessionCache.
	// None, and no Peers: sessions are not shared by UDP.
	Listen []Address
	// Peers are the UDP addresses of the nodes, multicast groups and repeaters that are told of
	// changes; their ports are never 0, their hosts may be DNS names.
	Peers []Address
	// Interface is the network interface of multicast groups; empty leaves it to the kernel's
	// routes.
	Interface string
	// TTL is how many networks a multicast datagram may pass, 1 to 255.
	TTL int
	// Mode says which sessions nodes send each other, and when.
	Mode ReplicationMode
	// DatagramSize is the most that goes into one datagram, unless a single session is larger.
	DatagramSize int
	// Heartbeat is how often a node tells its peers that it lives.
	Heartbeat time.Duration
	// DeadAfter is how long a peer may be silent before it counts as dead; more than Heartbeat.
	DeadAfter time.Duration
	// JoinRate is how fast a snapshot is sent to a node that joins, in bytes per second.
	JoinRate int
}

// ReplicationMode says how sessions get to other nodes. In every mode a node asks for sessions that
// it lacks. It reads as an operator writes it.
type ReplicationMode string

// The modes of replication.
const (
	ReplicateAuto  ReplicationMode = "auto"  // push in a small fleet, homes in a larger one
	ReplicatePush  ReplicationMode = "push"  // each session goes to every peer when it is made
	ReplicateHomes ReplicationMode = "homes" // each session goes to two peers, by its key
	ReplicatePull  ReplicationMode = "pull"  // sessions stay where they are made
)

// Tuning holds settings that change speed, memory and time-outs, but not meaning. Sizes are bytes.
type Tuning struct {
	tuning.Engine // MaxConnections 0 derives the limit from RLIMIT_NOFILE

	// ResolveInterval is how often the DNS names of backends are looked up again.
	ResolveInterval time.Duration
	// ShutdownDelay is how long the node goes on accepting after the first SIGTERM.
	ShutdownDelay time.Duration
	// DrainTimeout bounds how long flows may go on after that.
	DrainTimeout time.Duration
	// UpgradeTimeout bounds how long a successor may take to be ready.
	UpgradeTimeout time.Duration

	// KeyWorkers is the number of goroutines that make RSA signatures; 0 signs on the loop.
	KeyWorkers int

	// MemoryLimit is Go's GOMEMLIMIT; 0 means none.
	MemoryLimit int64
}

package node

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"

	"reprise/cache"
	"reprise/config"
	"reprise/engine"
	"reprise/internal/accesslog"
	"reprise/internal/acme"
	"reprise/internal/asynclog"
	"reprise/internal/clientlimit"
	"reprise/internal/workpool"
	"reprise/replicate"
	"reprise/replicate/repeater"
	"reprise/sessions"
	"reprise/sessions/store"
	"reprise/stats"
	"reprise/tlsconn"
)

// A Node is everything that one process runs, wired from its configuration.
type Node struct {
	config    *config.Config          // of the start
	service   atomic.Pointer[service] // current, after reloads
	caches    []*cache.Cache
	sessions  *sessions.Memory // nil if no session is ever resumed
	memory    *cache.Cache     // of the sessions
	stores    []*store.Store
	id        replicate.ID
	poller    *replicate.Poller // nil without peers
	repeaters []*repeater.Repeater
	workers   *workpool.Pool
	engine    *engine.Engine
	clients   *clientlimit.Table // of limits

	// nil if no backend may subscribe
	subscriptions *subscriptions
	// reports whether this process listens there; for subscriptions
	own atomic.Pointer[func(network, address string) bool]

	offered offered     // written by reload only, once the node serves
	revoked revocations // likewise
	// likewise: its private key makes the fleet's secret, if no file does
	secret    crypto.PublicKey
	keys      *tlsconn.HandleKeys // likewise; nil without TLS
	acme      *acme.Client        // nil if no certificate comes by ACME
	issued    chan struct{}       // signals a new one
	in        *inheritance
	program   Program
	upgrades  upgrades
	succeeded atomic.Bool  // a successor has taken over
	forGood   atomic.Bool  // there will be no successor
	heir      *heir        // gets the results of the last handshakes
	changing  sync.Mutex   // held by a reload, and by an upgrade
	told      lastStatus   // to peers
	counting  sync.Mutex   // held while sessions are counted
	commands  sync.RWMutex // held by commands that change the estate, and by handing it over

	replicationState *replicate.State // while an upgrade is under way

	reread    func() (*config.Config, error) // nil if there is nothing to read again
	expiry    expiry
	reloads   reloads
	watch     atomic.Pointer[watch] // nil if files are not watched
	log       *asynclog.Writer
	app       *application                  // nil if none runs
	accessLog atomic.Pointer[accesslog.Log] // nil if there is none
	logLevel  *slog.LevelVar

	stats       *stats.JSONServer
	routerStats []*stats.JSONServer
	admins      []adminServer
	access      stats.Access // to them by TCP

	endings  chan string          // asks for an end, as a signal does
	asked    chan chan<- reloaded // asks for a reload, as a signal does
	draining chan struct{}        // closed when the node wants no more traffic
	served   atomic.Int64         // unix time in nanoseconds since when it serves, 0 before
	stop     chan struct{}        // ends the sweeper
	stopped  chan struct{}
	closers  []func() error // free what was opened, the last first
}

// tuneRuntime sets up Go's scheduler and collector, unless the environment has.
func tuneRuntime(c *config.Config) {
	t := &c.Tuning
	if os.Getenv("GOMAXPROCS") == "" {
		// A loop that finds no P waits for Go's 10 ms time slice. With one for each goroutine that
		// is always busy, the kernel shares the cores instead, and preempts fairly.
		runtime.GOMAXPROCS(t.Loops + t.KeyWorkers + 1)
	}
	tuneCollector(t, cachesLen(c))
}

// gcPercent is how far the heap grows before it is collected. Live memory is small, since sessions
// are outside of it and idle flows hold no buffers, so memory is cheap beside the collector's time;
// memory-limit bounds it.
const gcPercent = 400

// clientTable is how many clients the table of limits has room for: more than can be connected at a
// time, since one that has left is still limited. It costs 40 bytes a client, taken as they come.
func clientTable(maxConnections int) int {
	return min(max(1_000_000, 4*maxConnections), 100_000_000)
}

// tuneCollector sets up Go's collector, unless the environment has. caches is how many bytes the
// caches hold, outside of its heap.
func tuneCollector(t *config.Tuning, caches uint64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	switch {
	case t.MemoryLimit > 0:
		debug.SetMemoryLimit(t.MemoryLimit)
	case os.Getenv("GOMEMLIMIT") == "":
		group, err := memlimit.FromCgroup()
		if err != nil {
			group = math.MaxInt64 // none, or it cannot be found
		}
		debug.SetMemoryLimit(heapLimit(group, caches))
	}
}

// heapLimit returns what Go may use where a control group has a limit: the rest is for memory that
// Go does not count, such as buffers of the kernel. It is never less than a quarter, since a
// collector that never finishes would be worse than a process that is killed.
func heapLimit(group, caches uint64) int64 {
	if group >= math.MaxInt64 {
		return math.MaxInt64
	}
	limit := group / 10 * 9
	return int64(max(limit-min(limit, caches), group/4))
}

// cachesLen is how many bytes the caches of c may hold.
func cachesLen(c *config.Config) (n uint64) {
	for _, cc := range c.Caches {
		n += uint64(cc.Items) * uint64(cc.BlockSize)
	}
	return n
}

// New makes and binds everything. It serves the statistics from then on, and connections from Start
// on. Errors are lines for an operator.
func New(p Program, c *config.Config, log *asynclog.Writer) (*Node, error) {
	return newSuccessor(p, c, log, &inheritance{memory: -1})
}

// newSuccessor is New with the sockets and state of the process before.
func newSuccessor(p Program, c *config.Config, log *asynclog.Writer,
	in *inheritance,
) (n *Node, err error) {
	n = &Node{
		program: p, config: c, log: log, id: in.id(), in: in, endings: make(chan string, 1),
		asked:    make(chan chan<- reloaded),
		draining: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
		issued: make(chan struct{}, 1),
	}
	defer func() {
		if err != nil {
			_ = n.release()
		}
	}()
	n.service.Store(&service{config: c})
	if err := n.openMemory(); err != nil {
		return n, err
	}
	if n.clients, err = clientlimit.NewTable(clientTable(maxConnections(&c.Tuning))); err != nil {
		return n, err
	}
	n.onClose(n.clients.Close)
	if c.Tuning.KeyWorkers > 0 {
		n.workers = workpool.New(c.Tuning.KeyWorkers, c.Tuning.MaxHandshakes)
		n.onClose(n.workers.Close)
	}
	if err := n.readFiles(); err != nil {
		return n, err
	}
	secrets, err := secrets(c.ClusterSecretFiles, n.offered)
	if err != nil {
		return n, err
	}
	defer wipe(secrets)
	listeners, err := n.listeners(secrets)
	if err != nil {
		return n, err
	}
	n.setExpiry()
	if err := n.share(secrets); err != nil {
		return n, err
	}
	if err := n.openRepeaters(secrets); err != nil {
		return n, err
	}
	if err := n.openAccessLog(); err != nil {
		return n, err
	}
	if n.engine, err = engine.New(n.engineOptions(c, n.accessLog.Load()), listeners); err != nil {
		return n, err
	}
	if err := n.observe(); err != nil {
		_ = n.engine.Close() // a unix socket is not left behind
		return n, err
	}
	go n.sweep()
	return n, nil
}

// openMemory makes the caches, and the session memory over one of them.
func (n *Node) openMemory() error {
	c := n.config
	for _, cc := range c.Caches {
		if len(c.Listeners) == 0 {
			break // a repeater keeps no sessions
		}
		made, err := cache.New(cache.Options{
			Name: cc.Name, Items: cc.Items, KeyLen: cc.KeySize,
			BlockLen: cc.BlockSize,
		})
		if err != nil {
			return err
		}
		n.caches = append(n.caches, made)
		n.onClose(func() { _ = made.Close() })
		if cc.Name == c.SessionCache {
			n.memory = made
			n.sessions = sessions.New(sessions.Options{
				Cache: made, Lifetime: c.SessionTimeout,
				Hold: c.Tuning.HandshakeTimeout + time.Second,
				Self: tlsconn.NodeID(n.id.Short()), MaxLookups: maxLookups,
			})
		}
	}
	return nil
}

// readFiles reads certificates, keys and revocation lists.
func (n *Node) readFiles() (err error) {
	c := n.config
	if n.revoked, err = startRevocations(c); err != nil {
		return err
	}
	if err = n.openACME(); err != nil {
		return err
	}
	if n.offered, err = readOffered(c, newSources(n.revoked.prepared(), n.acme)); err != nil {
		return err
	}
	if first := n.offered.first(); first != nil {
		n.secret = first.public()
	}
	n.reloads.start(time.Now())
	return nil
}

// Start serves.
func (n *Node) Start() {
	n.succeed()
	n.served.Store(time.Now().UnixNano())
	if n.poller != nil {
		n.poller.SetStatus(n.statusText)
		n.poller.Start()
	}
	for _, r := range n.repeaters {
		r.Start()
	}
	n.watchBackends()
	n.onClose(n.expiry.watch())
	if n.acme != nil {
		n.acme.Start()
	}
	n.engine.Start()
	if n.in.serving != nil {
		close(n.in.serving)
	}
}

// Close ends all flows and frees everything. It is called once.
func (n *Node) Close() error {
	close(n.stop)
	<-n.stopped
	err := n.engine.Close()
	n.engine.TellFailures()
	if n.heir != nil {
		n.heir.close()
	}
	return errors.Join(err, n.release())
}

// abandon frees a node that was to succeed another process and never served: the other goes on.
func (n *Node) abandon() error { return n.Close() }

// Addresses returns the addresses that the node listens on, in the order of its listeners.
func (n *Node) Addresses() []string { return n.engine.Addresses() }

// StatsAddr returns the address of the statistics, nil if there are none.
func (n *Node) StatsAddr() net.Addr { return n.stats.Addr() }

// Sessions returns the session memory, nil if no session is ever resumed.
func (n *Node) Sessions() *sessions.Memory { return n.sessions }

// EngineStats returns the counters of the loops.
func (n *Node) EngineStats() engine.Stats { return n.engine.Stats() }

// onClose has f called when the node closes, in the reverse order of the calls.
func (n *Node) onClose(f func()) { n.onCloseErr(func() error { f(); return nil }) }

// onCloseErr is onClose for a function that may fail.
func (n *Node) onCloseErr(f func() error) { n.closers = append(n.closers, f) }

// release frees all that was opened, except the engine, which Close ends before.
func (n *Node) release() (err error) {
	for _, f := range slices.Backward(n.closers) {
		err = errors.Join(err, f())
	}
	n.closers = nil
	return err
}

// shutDown ends a server of the node's statistics.
func shutDown(s interface{ Shutdown(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.Shutdown(ctx)
}

// sweep reclaims memory: expired sessions, which are overwritten, and after a burst of handshakes
// the memory they took, which the collector would keep until as much is needed again.
func (n *Node) sweep() {
	defer close(n.stopped)
	ticker := time.NewTicker(min(n.config.CacheSweep, maxSweep))
	defer ticker.Stop()
	var accepted, freedAt uint64
	for {
		select {
		case <-n.stop:
			return
		case <-ticker.C:
		}
		if n.sessions != nil {
			if lost := n.sessions.Sweep(); lost > 0 {
				slog.Info(
					"the machine came out of a snapshot, or its clock was set: sessions are older by that", "by", lost.Round(time.Second))
			}
		}
		n.engine.TellFailures()
		before := accepted
		accepted = n.engine.Stats().Flows.Accepted.Load()
		if quiet := accepted-before < quietLen; quiet && accepted-freedAt >= burstLen {
			freedAt = accepted
			debug.FreeOSMemory()
		}
	}
}

const (
	// maxSweep is how long an expired session may lie in memory.
	maxSweep = 5 * time.Second
	// quietLen is how few connections between two sweeps leave time for a collection.
	quietLen = 10
	// burstLen is how many connections since the last collection make one worth while.
	burstLen = 500
)

const (
	// readSize is the most that one read takes. Measured with 16 to 128 KiB: uploads cost a quarter
	// less than with 64 KiB, since the bytes stay in the core's cache.
	readSize = 48 << 10
	// turnBudget is how many bytes one flow may move in a turn: as many as may wait in one
	// direction by default. A turn ends by the clock much earlier (engine's turnTime) wherever
	// bytes cost more than a copy.
	turnBudget = 256 << 10
	// acceptBudget is how many connections one wake-up takes. The turn's clock ends it earlier if
	// they take longer, so the number needs no tuning.
	acceptBudget = 64
	// maxLookups bounds the handshakes, of all loops, that wait for a session from elsewhere: at 10
	// ms each they are 100,000 a second, more than a node makes; each holds some 2 KiB meanwhile.
	maxLookups = 1024
)

// engineOptions are those of c, except those that stay as at the start.
func (n *Node) engineOptions(c *config.Config, log *accesslog.Log) engine.Options {
	t := &c.Tuning
	o := engine.Options{
		Engine: t.Engine, ReadSize: readSize, TurnBudget: turnBudget, AcceptBudget: acceptBudget,
		Clients: n.clients,
		Limits:  limitPolicy(&c.Limits),
		Access:  accessTo(log), Inherit: n.in.listening,
		SocketFile: setSocketFile(&n.config.SocketFile),
	}
	o.SpareP = runtime.GOMAXPROCS(0) > t.Loops+t.KeyWorkers
	o.MaxConnections = maxConnections(t)
	// The times for holding sessions and asking peers stay as at the start.
	o.HandshakeTimeout, o.LookupTimeout = n.config.Tuning.HandshakeTimeout,
		n.config.Tuning.LookupTimeout
	if n.workers != nil {
		o.Workers = n.workers
	}
	return o
}

// maxConnections is the configured limit, or what the descriptors allow: two for each flow, and
// some for everything else.
func maxConnections(t *config.Tuning) int {
	const elsewhere = 128
	if t.MaxConnections > 0 {
		return t.MaxConnections
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 20
	}
	return max(1, (int(min(limit.Cur, 1<<31))-elsewhere-8*t.Loops)/2)
}

// resolve makes an address numeric.
func resolve(a config.Address) (network, address string, err error) {
	if a.Network == "unix" || a.Host == "" {
		return a.Network, a.String(), nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", a.String())
	if err != nil {
		if dns, ok := errors.AsType[*net.DNSError](err); ok {
			return "", "",
				fmt.Errorf("cannot resolve %q: %s: write a name that resolves or a numeric address",
					dns.Name, strings.TrimSpace(dns.Err))
		}
		return "", "", err
	}
	return "tcp", tcp.String(), nil
}

// samePolicy reports whether two names may share one policy.
func samePolicy(a, b config.Policy) bool {
	return slices.Equal(a.Ciphers, b.Ciphers) && a.ClientCA == b.ClientCA &&
		a.ClientCARequired == b.ClientCARequired
}

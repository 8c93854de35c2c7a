package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
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

// A node is everything one process runs, wired from its configuration.
type node struct {
	config    *config.Config          // of the start
	service   atomic.Pointer[service] // what has been taken over since then included
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

	subscriptions *subscriptions                                     // nil if no backend may subscribe
	own           atomic.Pointer[func(network, address string) bool] // whether this process listens there; for subscriptions

	offered   offered             // written by reload only, once the node serves
	revoked   revocations         // likewise
	secret    crypto.PublicKey    // likewise: whose private key makes the fleet's secret, if no file does
	keys      *tlsconn.HandleKeys // likewise; nil without TLS
	acme      *acme.Client        // nil if no certificate is got from an authority
	issued    chan struct{}       // there is a new one
	in        *inheritance
	program   invocation
	upgrades  upgrades
	succeeded atomic.Bool  // a successor has taken over
	forGood   atomic.Bool  // none is to come
	heir      *heir        // which is told of the last handshakes
	changing  sync.Mutex   // held by a reload, and by an upgrade
	commands  sync.RWMutex // held by commands that change what a successor takes over, and by that

	replicationState *replicate.State // while an upgrade is under way

	reread    func() (*config.Config, error) // nil if there is nothing to be read again
	expiry    expiry
	reloads   reloads
	watch     atomic.Pointer[watch] // nil if files are not watched
	log       *asynclog.Writer
	app       *application                  // nil if there is none to run
	accessLog atomic.Pointer[accesslog.Log] // nil if there is none
	logLevel  *slog.LevelVar

	stats       *stats.JSONServer
	routerStats []*stats.JSONServer
	admin       *stats.AdminServer

	endings  chan string          // asks for an end, as a signal does
	asked    chan chan<- reloaded // asks for a reload, as a signal does
	draining chan struct{}        // closed when the node wants no more traffic
	served   atomic.Int64         // unix time in nanoseconds since when it serves, 0 before
	stop     chan struct{}        // ends the sweeper
	stopped  chan struct{}
	watchers []func() // end what looks after the backends
}

// logLines is how many lines may wait for a slow log.
const logLines = 1024

// runNode runs a node until a signal ends it; a reload takes its configuration from reread.
func runNode(c *config.Config, p invocation, in *inheritance, reread func() (*config.Config, error), logTo io.Writer) error {
	log := asynclog.New(logTo, logLines)
	defer log.Close()
	level := new(slog.LevelVar)
	slog.SetDefault(slog.New(logHandler(c, level, log)))
	tuneRuntime(&c.Tuning)
	keepPrivate()

	signals, reloads, reopens := make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	upgrades := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(reloads, syscall.SIGHUP)
	signal.Notify(reopens, syscall.SIGUSR1)
	signal.Notify(upgrades, syscall.SIGUSR2)
	defer signal.Stop(signals)
	defer signal.Stop(reloads)
	defer signal.Stop(reopens)
	defer signal.Stop(upgrades)

	n, err := newSuccessor(c, log, in)
	if err != nil {
		return err
	}
	n.reread, n.program, n.logLevel = reread, p, level
	if err := n.takeOver(); err != nil {
		return runtimeError{errors.Join(err, n.abandon())}
	}
	n.start()
	if in.predecessor != nil {
		go n.follow()
	} else {
		tellManager(daemon.SdNotifyReady)
	}
	go n.beWatched()
	slog.Info("serving", "version", version, "listen", n.engine.Addresses(), "loops", c.Tuning.Loops)
	go n.reloadOn(reloads)
	if err := n.watchFiles(reloads); err != nil {
		slog.Error("files are not watched: send SIGHUP when they have changed", "error", err)
	}
	go n.reopenOn(reopens)
	go n.upgradeOn(upgrades)

	var why string
	select {
	case s := <-signals:
		why = s.String()
	case why = <-n.endings:
	}
	slog.Info("draining", "signal", why, "accepting_for", c.Tuning.ShutdownDelay, "at_most", c.Tuning.DrainTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-signals
		slog.Warn("second signal: leaving at once")
		cancel()
	}()
	open := n.drain(ctx)
	if err := n.close(); err != nil {
		return runtimeError{err}
	}
	slog.Info("stopped", "connections_cut", open)
	return nil
}

// logHandler makes what writes log lines; level is set to the configuration's.
func logHandler(c *config.Config, level *slog.LevelVar, w io.Writer) slog.Handler {
	level.Set(c.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if c.LogFormat == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	if c.Name != "" {
		h = h.WithAttrs([]slog.Attr{slog.String("node", c.Name)})
	}
	return h
}

// tuneRuntime sets up Go's scheduler and collector, unless the environment has.
func tuneRuntime(t *config.Tuning) {
	if os.Getenv("GOMAXPROCS") == "" {
		// A loop that finds no P waits for Go's 10 ms time slice. With one
		// for each goroutine that works all the time, the kernel shares the
		// cores instead, and preempts fairly.
		runtime.GOMAXPROCS(t.Loops + t.KeyWorkers + 1)
	}
	tuneCollector(t)
}

// tuneCollector sets up Go's collector, unless the environment has.
func tuneCollector(t *config.Tuning) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(t.GCPercent)
	}
	switch {
	case t.MemoryLimit > 0:
		debug.SetMemoryLimit(t.MemoryLimit)
	case os.Getenv("GOMEMLIMIT") == "":
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// newNode makes and binds everything. The statistics are served from then on,
// connections not yet.
func newNode(c *config.Config, log *asynclog.Writer) (*node, error) {
	return newSuccessor(c, log, &inheritance{memory: -1})
}

// newSuccessor is newNode that opens nothing that it has from the process before.
func newSuccessor(c *config.Config, log *asynclog.Writer, in *inheritance) (n *node, err error) {
	n = &node{config: c, log: log, id: in.id(), in: in, endings: make(chan string, 1), asked: make(chan chan<- reloaded), draining: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}), issued: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			_ = n.release()
		}
	}()
	n.service.Store(&service{config: c})
	for _, cc := range c.Caches {
		if len(c.Listeners) == 0 {
			break // a repeater keeps no sessions
		}
		made, err := cache.New(cache.Options{Name: cc.Name, Items: cc.Items, KeyLen: cc.KeySize, BlockLen: cc.BlockSize})
		if err != nil {
			return n, err
		}
		n.caches = append(n.caches, made)
		if cc.Name == c.SessionCache {
			n.memory = made
			n.sessions = sessions.New(sessions.Options{
				Cache: made, Lifetime: c.SessionTimeout, Hold: c.Tuning.HandshakeTimeout + time.Second,
				Self: tlsconn.NodeID(n.id.Short()), MaxLookups: c.Replication.MaxLookups,
			})
		}
	}
	if n.clients, err = clientlimit.NewTable(c.Limits.Table); err != nil {
		return n, err
	}
	if c.Tuning.KeyWorkers > 0 {
		n.workers = workpool.New(c.Tuning.KeyWorkers, c.Tuning.MaxHandshakes)
	}
	if n.revoked, err = startRevocations(c); err != nil {
		return n, err
	}
	if err = n.openACME(); err != nil {
		return n, err
	}
	if n.offered, err = readOffered(c, sources{n.revoked.prepared(), n.acme}); err != nil {
		return n, err
	}
	if first := n.offered.first(); first != nil {
		n.secret = first.public()
	}
	n.expiry.set(c, n.offered, n.revoked, time.Now())
	n.reloads.start(time.Now())
	secrets, err := secrets(c.ClusterSecretFiles, n.offered)
	if err != nil {
		return n, err
	}
	defer wipe(secrets)
	listeners, err := n.listeners(secrets)
	if err != nil {
		return n, err
	}
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

// start serves.
func (n *node) start() {
	n.succeed()
	n.served.Store(time.Now().UnixNano())
	if n.poller != nil {
		n.poller.Start()
	}
	for _, r := range n.repeaters {
		r.Start()
	}
	n.watchBackends()
	n.watchers = append(n.watchers, n.expiry.watch())
	if n.acme != nil {
		n.acme.Start()
	}
	n.engine.Start()
	if n.in.serving != nil {
		close(n.in.serving)
	}
}

// close ends all flows and frees everything.
func (n *node) close() error {
	close(n.stop)
	<-n.stopped
	err := n.engine.Close()
	if n.heir != nil {
		n.heir.close()
	}
	return errors.Join(err, n.release())
}

// abandon frees a node that was to succeed another process and never served: what that one
// serves stays.
func (n *node) abandon() error { return n.close() }

// release frees what serves no flow any more: who looks at others first.
func (n *node) release() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if n.stats != nil {
		_ = n.stats.Shutdown(ctx)
	}
	for _, s := range n.routerStats {
		_ = s.Shutdown(ctx)
	}
	if n.admin != nil {
		_ = n.admin.Shutdown(ctx)
	}
	for _, stop := range n.watchers {
		stop()
	}
	if n.acme != nil {
		n.acme.Close()
	}
	if s := n.service.Load(); s != nil {
		s.stop()
	}
	if n.subscriptions != nil {
		n.subscriptions.close()
	}
	switch {
	case n.poller == nil:
	case n.in.estate != nil && n.served.Load() == 0: // the node lives on in another process
		err = n.poller.Retire()
	default:
		err = n.poller.Close()
	}
	for _, r := range n.repeaters {
		err = errors.Join(err, r.Close())
	}
	if n.workers != nil {
		n.workers.Close()
	}
	for _, st := range n.stores {
		st.Close()
	}
	for _, c := range n.caches {
		_ = c.Close()
	}
	if n.clients != nil {
		n.clients.Close()
	}
	if n.app != nil {
		n.app.close()
	}
	if log := n.accessLog.Load(); log != nil {
		log.Close()
	}
	return err
}

// sweep reclaims what is not needed any more: expired sessions, which are
// overwritten, and after a burst of handshakes the memory they took, which the
// collector would leave until as much is needed again.
func (n *node) sweep() {
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
				slog.Info("the machine came out of a snapshot, or its clock was set: sessions are older by that", "by", lost.Round(time.Second))
			}
		}
		before := accepted
		accepted = n.engine.Stats().Flows.Accepted
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
	// burstLen is how many connections since the last one make it worth while.
	burstLen = 500
)

// engineOptions are those of c, but for what is as it was at the start.
func (n *node) engineOptions(c *config.Config, log *accesslog.Log) engine.Options {
	t := &c.Tuning
	o := engine.Options{
		Loops: t.Loops, ReadSize: t.ReadSize, HighWatermark: t.HighWatermark, LowWatermark: t.LowWatermark,
		TurnBudget: t.TurnBudget, AcceptBudget: t.AcceptBudget, Backlog: t.Backlog,
		MaxConnections: maxConnections(t), MaxHandshakes: t.MaxHandshakes,
		HandshakeTimeout: n.config.Tuning.HandshakeTimeout, LookupTimeout: n.config.Tuning.LookupTimeout, LingerTimeout: t.LingerTimeout,
		Clients: n.clients, Limits: limitPolicy(&c.Limits),
		NoDelay: t.NoDelay, FastOpen: t.FastOpen, DeferAccept: t.DeferAccept, Affinity: t.CPUAffinity,
		Access: accessTo(log), Inherit: n.in.listening,
	}
	if n.workers != nil {
		o.Workers = n.workers
	}
	return o
}

// maxConnections is what was asked for, or what the descriptors allow: two for
// each flow, and some for everything else.
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
			return "", "", fmt.Errorf("cannot resolve %q: %s: write a name that resolves or a numeric address", dns.Name, strings.TrimSpace(dns.Err))
		}
		return "", "", err
	}
	return "tcp", tcp.String(), nil
}

// samePolicy reports whether two names may share one policy.
func samePolicy(a, b config.Policy) bool {
	return slices.Equal(a.Ciphers, b.Ciphers) && a.ClientCA == b.ClientCA && a.ClientCARequired == b.ClientCARequired
}

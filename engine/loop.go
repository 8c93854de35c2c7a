package engine

import (
	"crypto/rand"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/backend/http1"
	"reprise/backend/http2"
	"reprise/internal/metric"
	"reprise/internal/reactor"
	"reprise/tlsconn"
)

// tick is the resolution of timers.
const tick = time.Millisecond

func ticks(d time.Duration) uint64 { return uint64((d + tick - 1) / tick) }

// maxRecord is the most plaintext a TLS record holds (RFC 8446, Section 5.1).
const maxRecord = 16 << 10

// A loop is one reactor goroutine with all its data: nothing here is shared with another loop. Only
// its goroutine reads and writes fields, except count, failures and fields marked as safe.
type loop struct {
	o       Options
	id      int
	reactor *reactor.Reactor

	now  time.Time // when the turn began
	tick uint64    // the same in ticks

	listeners  []*listener
	handshakes flowList // flows in their handshake, oldest first
	turns      turns    // work put off
	full       fullHandshakes
	reserve    int      // a descriptor to give up when there are no others
	splicer    *splicer // nil until needed

	routes                map[*backend.Pool]*route
	securing, maxSecuring int                // handshakes with backends under way
	securingLater         int                // those waiting for a place
	toSecure              turnQueue[secured] // the same in order, including some that have ended

	streamFlows streamFlows // for reuse

	idle      map[*backend.Node]*idleList // backend connections kept for the next request
	freeConns []*idleConn                 // for reuse

	shared map[*backend.Node]*sharedGroup // connections that requests share

	// Buffers that are empty between events.
	in      []byte // read from a socket
	plain   []byte // decrypted
	out     []byte // encrypted: a turn's output for its client
	outOf   *flow  // its flow
	message []byte // a PROXY header
	sealed  []byte // encrypted for a backend
	spare   []byte // for quiet, nil until needed

	// Memory for the codecs, so that a message costs no allocation.
	messages    exchange.Scratch
	date        http1.Clock
	access      Access
	upgraded    http1.Request // the first request of a tunnel, for the access log
	scratch     http2.Scratch
	spareFrames [][]byte // for muxes
	name, value []byte   // of a field

	uniqueID    [16]byte // of connections: random for the loop, then counted
	connections uint64   // number of connections that got one

	leaving  bool          // clients are asked to go elsewhere
	draining bool          // and nothing is accepted
	drainAt  uint64        // tick at which draining began
	drained  chan struct{} // closed when draining and no flow is left
	over     chan struct{} // closed when run has returned
	failed   error         // the reason

	failures *failureLog // of all loops
	recent   *recent

	count counts
	// the first one, whose counters all later ones use; nil if there was none
	counts atomic.Pointer[tlsconn.Server]
}

// A member is the target of a loop's event or timer: a listener, a flow, or a backend connection
// that waits for one.
type member interface {
	reactor.Handler
	close(why cause)
}

// A listener is a loop's share of a listening address.
type listener struct {
	*settings // for new connections
	loop      *loop
	fd        int
	extra     []int // further sockets, from a predecessor with more loops
	port      int
	held      bool // accepting has not begun, or is suspended
	removed   bool // accepting has ended
	paused    bool // connections wait in the backlog until others end
	more      bool // there may be more to accept in the next round
	again     reactor.Timer

	open     metric.Gauge
	accepted metric.Counter
}

func newLoop(id int, o Options) (*loop, error) {
	l := &loop{
		o: o, id: id, reserve: -1, maxSecuring: maxSecuring,
		routes:  make(map[*backend.Pool]*route),
		idle:    make(map[*backend.Node]*idleList),
		in:      make([]byte, o.ReadSize),
		plain:   make([]byte, o.ReadSize+maxRecord),
		out:     make([]byte, 0, o.ReadSize+o.ReadSize/8),
		drained: make(chan struct{}),
		over:    make(chan struct{}),
		recent:  newRecent(),
	}
	_, _ = rand.Read(l.uniqueID[:8])
	var err error
	l.reactor, err = reactor.Open(reactor.Options{Host: l, Tick: tick, KeepsP: o.SpareP})
	if err != nil {
		return nil, err
	}
	l.now = time.Now()
	if l.reserve, err = openReserve(); err != nil {
		return l, err
	}
	return l, nil
}

func openReserve() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}

// clock is the time as connections see it.
func (l *loop) clock() time.Time { return l.now }

// sinceEpoch is the start of the turn, more exact than its tick.
func (l *loop) sinceEpoch() time.Duration { return l.now.Sub(l.reactor.Epoch()) }

func (l *loop) timeOf(at uint64) time.Time {
	return l.reactor.Epoch().Add(time.Duration(at) * tick)
}

// run serves until the reactor is stopped.
func (l *loop) run() {
	defer close(l.over)
	if l.o.CPUAffinity {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var cpus unix.CPUSet
		cpus.Set(l.id % runtime.NumCPU())
		if err := unix.SchedSetaffinity(0, &cpus); err != nil {
			slog.Warn("cannot bind a loop to its CPU", "loop", l.id, "error", err)
		}
	}
	l.failed = l.reactor.Run()
	l.end()
}

// end closes all flows and the resources of their handshakes. It runs on the loop's goroutine,
// because a coroutine is bound to the thread that made it if that is bound to a CPU.
func (l *loop) end() {
	l.reactor.Each(func(_ int, h reactor.Handler) { h.(member).close(causeShutdown) })
	for _, ln := range l.listeners {
		if ln.tls != nil {
			ln.tls.Close()
		}
	}
}

// free closes the loop's resources, after run has returned or if it was never called.
func (l *loop) free() {
	l.end()
	for _, ln := range l.listeners {
		ln.close(causeShutdown) // if it is not watched
	}
	if l.reserve >= 0 {
		unix.Close(l.reserve)
	}
	if l.splicer != nil {
		l.splicer.close()
	}
	_ = l.reactor.Close()
}

// closeSocket closes a socket; that also removes it from epoll.
func (l *loop) closeSocket(s *socket) {
	if s.open() {
		l.reactor.Forget(s.fd)
		rawClose(s.fd)
		s.fd, s.readable, s.writable = -1, false, false
	}
	if s.tls != nil {
		l.dropSecured(s.tls)
		s.tls = nil
	}
}

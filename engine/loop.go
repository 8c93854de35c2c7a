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

// A loop is one reactor goroutine with everything it touches: nothing here is
// shared with another loop. Fields are read and written by its goroutine only,
// but for count, failures and what is said to be safe.
type loop struct {
	o       Options
	id      int
	reactor *reactor.Reactor

	now  time.Time // when the turn began
	tick uint64    // the same in ticks

	listeners  []*listener
	handshakes flowList // flows in their handshake, oldest first
	turns      turns    // what comes later
	full       fullHandshakes
	reserve    int      // a descriptor to give up when there are no more
	splicer    *splicer // nil until one is needed

	routes                map[*backend.Pool]*route
	securing, maxSecuring int                // handshakes with backends that have a place
	securingLater         int                // those that wait for one
	toSecure              turnQueue[secured] // the same in their order, with some that have ended

	streamFlows streamFlows // to be used again

	idle      map[*backend.Node]*idleList // backend connections kept for the next request
	freeConns []*idleConn                 // to be used again

	shared map[*backend.Node]*sharedGroup // connections that requests share

	// Buffers that are empty between events.
	in      []byte // read from a socket
	plain   []byte // decrypted
	out     []byte // encrypted: what a turn has gathered for its client
	outOf   *flow  // whose that is
	message []byte // a PROXY header
	sealed  []byte // encrypted for a backend
	spare   []byte // of quiet, nil until it is needed

	// What the codecs read and write, so that a message costs no allocation.
	messages    exchange.Scratch
	date        http1.Clock
	access      Access
	upgraded    http1.Request // what a tunnel began as, for the access log
	scratch     http2.Scratch
	spareFrames [][]byte // for muxes
	name, value []byte   // of a field

	uniqueID    [16]byte // of connections: random for the loop, then counted
	connections uint64   // that were given one

	leaving  bool          // clients are asked to go elsewhere
	draining bool          // and nothing is accepted
	drainAt  uint64        // tick at which that began
	drained  chan struct{} // closed when draining and no flow is left
	over     chan struct{} // closed when run has returned
	failed   error         // why it has

	failures *failureLog // of all loops
	recent   *recent

	count counts
	// the first one, which all later ones count with; nil if there was none
	counts atomic.Pointer[tlsconn.Server]
}

// A member is what an event or a timer of a loop is for: a listener, a flow, or a
// backend connection that waits for one.
type member interface {
	reactor.Handler
	close(why cause)
}

// A listener is a loop's share of a listening address.
type listener struct {
	*settings // of what begins now
	loop      *loop
	fd        int
	extra     []int // further sockets, which a predecessor with more loops has left
	port      int
	held      bool // nothing is accepted yet, or now
	removed   bool // nothing is any more
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
	if l.reactor, err = reactor.Open(reactor.Options{
		Host: l, Tick: tick, KeepsP: runtime.GOMAXPROCS(0) > o.Loops,
	}); err != nil {
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

// sinceEpoch is when the turn began, more exactly than by its tick.
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

// end closes all flows and what their handshakes need. It runs on the loop's
// goroutine, because coroutines belong to the thread they were made on if that is
// bound to a CPU.
func (l *loop) end() {
	l.reactor.Each(func(_ int, h reactor.Handler) { h.(member).close(causeShutdown) })
	for _, ln := range l.listeners {
		if ln.tls != nil {
			ln.tls.Close()
		}
	}
}

// free closes what the loop holds, after run has returned or if it was never
// called.
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

// closeSocket closes a socket; epoll forgets it by itself.
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

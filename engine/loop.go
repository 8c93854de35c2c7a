package engine

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/backend/uwsgi"
	"reprise/internal/metric"
	"reprise/tlsconn"
)

type duration = time.Duration

// tick is the resolution of timers.
const tick = time.Millisecond

func ticks(d duration) uint64 { return uint64((d + tick - 1) / tick) }

// maxRecord is the most plaintext a TLS record holds (RFC 8446, Section 5.1).
const maxRecord = 16 << 10

// A loop is one reactor goroutine with everything it touches: nothing here is
// shared with another loop. Fields are read and written by its goroutine only,
// but for count and what is said to be safe.
type loop struct {
	o      Options
	id     int
	poller *poller

	now   time.Time // the clock, read once per event
	tick  uint64    // the same in ticks since epoch
	epoch time.Time

	wheel   wheel
	timerfd int
	armed   uint64 // tick the timerfd is set to, 0 if none
	laterfd int    // eventfd: what is left over from this round of epoll comes after the next

	listeners  []*listener
	handlers   []handler // by descriptor: whose it is
	handshakes flowList  // flows in their handshake, oldest first
	again      []*flow   // used up their budget, go on in the next round
	spare      []*flow   // the other buffer of again
	queuing    []*flow   // in their handshake, and wait for a round of epoll in between
	stepped    bool      // this turn took a step of a handshake
	stepEnd    time.Time // when the last turn that did ended
	acceptMore bool      // some listener is to be looked at again in the next round
	reserve    int       // a descriptor to give up when there are no more
	splicer    *splicer  // nil until one is needed

	idle      map[*backend.Node]*idleList // backend connections kept for the next request
	freeConns []*idleConn                 // to be used again

	// Buffers that are empty between events.
	in      []byte // read from a socket
	plain   []byte // decrypted
	out     []byte // encrypted
	message []byte // what HTTP's codecs write

	// What the codecs read and write, so that a message costs no allocation.
	request  http1.Request
	response http1.Response
	forward  http1.Forward
	vars     uwsgi.Vars
	tlsVars  uwsgi.TLS
	access   Access
	parsed   *flow // whose head request holds, until its turn ends

	sockaddr4 unix.SockaddrInet4 // what connect(2) is given
	sockaddr6 unix.SockaddrInet6

	uniqueID    [16]byte // of connections: random for the loop, then counted
	connections uint64   // that were given one

	draining bool
	drained  chan struct{} // closed when draining and no flow is left
	failed   error         // why run returned

	count counts
}

// A handler is who an event or a timer is for: a flow, or a backend connection
// that waits for one.
type handler interface {
	onEvent(fd int, e events)
	onTimer()
	close(why cause)
}

// A listener is a loop's share of a listening address.
type listener struct {
	Listener
	loop    *loop
	fd      int
	port    int
	tls     tlsconn.Server // nil without TLS
	counts  tlsconn.Server // the first one, which all later ones count with
	cursor  backend.Cursor
	waiting waitingList // flows that wait for a backend with room
	paused  bool        // connections wait in the backlog until others end
	more    bool        // there may be more to accept in the next round

	open     metric.Gauge
	accepted metric.Counter
}

func newLoop(id int, o Options) (*loop, error) {
	l := &loop{
		o: o, id: id, timerfd: -1, laterfd: -1, reserve: -1,
		idle:    make(map[*backend.Node]*idleList),
		in:      make([]byte, o.ReadSize),
		plain:   make([]byte, o.ReadSize+maxRecord),
		out:     make([]byte, 0, o.ReadSize+o.ReadSize/8),
		drained: make(chan struct{}),
	}
	_, _ = rand.Read(l.uniqueID[:8])
	l.epoch = time.Now()
	l.now = l.epoch
	var err error
	if l.poller, err = openPoller(); err != nil {
		return nil, err
	}
	if l.timerfd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return l, os.NewSyscallError("timerfd_create", err)
	}
	if l.laterfd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return l, os.NewSyscallError("eventfd", err)
	}
	if l.reserve, err = openReserve(); err != nil {
		return l, err
	}
	return l, errors.Join(l.poller.addListener(l.timerfd), l.poller.addListener(l.laterfd))
}

func openReserve() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}

// clock is the time as connections see it.
func (l *loop) clock() time.Time { return l.now }

func (l *loop) timeOf(tick uint64) time.Time {
	return l.epoch.Add(time.Duration(tick) * time.Millisecond)
}

// run serves until the poller is stopped.
func (l *loop) run() {
	if l.o.Affinity {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var cpus unix.CPUSet
		cpus.Set(l.id % runtime.NumCPU())
		if err := unix.SchedSetaffinity(0, &cpus); err != nil {
			slog.Warn("cannot bind a loop to its CPU", "loop", l.id, "error", err)
		}
	}
	l.failed = l.poller.run(l.onEvent)
	l.end()
}

// end closes all flows and what their handshakes need. It runs on the loop's
// goroutine, because coroutines belong to the thread they were made on if that is
// bound to a CPU.
func (l *loop) end() {
	for _, h := range l.handlers {
		if h != nil {
			h.close(causeShutdown)
		}
	}
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
		if ln.fd >= 0 {
			unix.Close(ln.fd)
		}
	}
	for _, fd := range []int{l.timerfd, l.laterfd, l.reserve} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.splicer != nil {
		l.splicer.close()
	}
	_ = l.poller.close()
}

// enter begins a turn: what one event or task leads to.
func (l *loop) enter() {
	l.now = time.Now()
	l.tick = uint64(l.now.Sub(l.epoch) / tick)
}

// leave ends a turn; it must be deferred. A panic costs the flow it happened in,
// not the node: what comes from a socket is hostile, and this is the last line.
func (l *loop) leave(h handler) {
	if p := recover(); p != nil {
		l.panicked(h, p)
	}
	l.parsed = nil
	l.armTimer()
	end := time.Now()
	if l.stepped {
		l.stepped, l.stepEnd = false, end
	}
	l.count.turn.Observe(end.Sub(l.now))
}

func (l *loop) panicked(h handler, p any) {
	l.count.panics.Inc()
	slog.Error("panic in a connection, which is closed", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if h != nil {
		h.close(causePanic)
	}
}

func (l *loop) onEvent(fd int, e events) {
	l.enter()
	var h handler
	if fd < len(l.handlers) {
		h = l.handlers[fd]
	}
	defer l.leave(h)
	switch {
	case h != nil:
		h.onEvent(fd, e)
	case fd == l.timerfd:
		l.armed = 0
		l.wheel.advance(l.tick, l.fire)
	case fd == l.laterfd:
		l.goOn()
	default:
		for _, ln := range l.listeners {
			if ln.fd == fd {
				l.accept(ln)
			}
		}
	}
}

// fire runs one timer.
func (l *loop) fire(t *timer) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked(t.owner, p)
		}
	}()
	t.owner.onTimer()
	l.parsed = nil
}

// armTimer sets the timerfd if the next timer comes before it.
func (l *loop) armTimer() {
	next, ok := l.wheel.next()
	if !ok || l.armed != 0 && l.armed <= next {
		return
	}
	wait := tick
	if next > l.tick {
		wait = time.Duration(next-l.tick) * tick
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	if err := unix.TimerfdSettime(l.timerfd, 0, &spec, nil); err != nil {
		panic(os.NewSyscallError("timerfd_settime", err)) // its arguments are ours
	}
	l.armed = next
}

// watch registers a descriptor of h.
func (l *loop) watch(fd int, h handler) error {
	if err := l.poller.add(fd); err != nil {
		return err
	}
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, make([]handler, 1024)...)
	}
	l.handlers[fd] = h
	return nil
}

// unwatch closes a socket; epoll forgets it by itself.
func (l *loop) unwatch(s *side) {
	if s.open() {
		if s.fd < len(l.handlers) {
			l.handlers[s.fd] = nil
		}
		unix.Close(s.fd)
		s.fd, s.readable, s.writable = -1, false, false
	}
}

// goOnLater lets the other flows have their turn first.
func (l *loop) goOnLater(f *flow) {
	if !f.deferred {
		f.deferred = true
		l.again = append(l.again, f)
		l.wakeLater()
	}
}

const (
	// stepGap is the pause after a step of a handshake that shows that there was a
	// round of epoll in between: much less goes by between two events of one round.
	stepGap = 20 * time.Microsecond
	// stepBudget is how long handshakes may take before established flows have a
	// turn: two full ones, several that resume.
	stepBudget = 300 * time.Microsecond
)

// stepLater reports whether a handshake had better wait until events of established
// flows have been served: a step of it takes as long as dozens of them, and
// in a storm of new clients a round of epoll brings many.
func (l *loop) stepLater(f *flow) bool {
	if f.phase != handshaking || len(l.queuing) == 0 && l.now.Sub(l.stepEnd) > stepGap {
		return false
	}
	if !f.deferred {
		f.deferred = true
		l.queuing = append(l.queuing, f)
		l.wakeLater()
	}
	return true
}

// stepOn takes the next handshakes that wait.
func (l *loop) stepOn() {
	for start := time.Now(); len(l.queuing) > 0; {
		if time.Since(start) > stepBudget {
			l.wakeLater()
			return
		}
		f := l.queuing[0]
		l.queuing[0], f.deferred = nil, false
		if l.queuing = l.queuing[1:]; len(l.queuing) == 0 {
			l.queuing = nil
		}
		l.goOnWith(f)
	}
}

// wakeLater makes goOn run after the next round of epoll. A task posted to the
// poller would not do: it runs tasks until there are none, and one that posts its
// successor would keep all events waiting.
func (l *loop) wakeLater() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// Each write makes an edge, so nobody has to read; 2^64 of them fit.
	_, _ = unix.Write(l.laterfd, one[:])
}

// goOn continues what was left over.
func (l *loop) goOn() {
	l.stepOn()
	list := l.again
	l.again = l.spare[:0]
	for i, f := range list {
		list[i], f.deferred = nil, false
		l.goOnWith(f)
	}
	l.spare = list
	if l.acceptMore {
		l.acceptMore = false
		for _, ln := range l.listeners {
			if ln.more && ln.fd >= 0 {
				ln.more = false
				l.accept(ln)
			}
		}
	}
}

func (l *loop) goOnWith(f *flow) {
	l.enter()
	defer l.leave(f)
	f.progress()
}

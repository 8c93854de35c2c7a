package replicate

import (
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	tasks "github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"
)

const (
	// flushEvery is how long updates gather while they keep coming. The first
	// one after a pause goes out at once.
	flushEvery = time.Millisecond
	// drainLen bounds how many updates are taken before datagrams are looked at.
	drainLen = 4096
	// batchLen datagrams are moved by one system call.
	batchLen = 64
	// receiveLen is the longest datagram taken: a session of the largest size.
	receiveLen = DatagramOverhead + BatchOverhead + recordHeaderLen + maxValueLen + 1024
	// maxReported bounds how many addresses are remembered as complained about.
	maxReported = 1024
)

// PollerOptions say where a node listens and whom it tells.
type PollerOptions struct {
	Network
	RingLen int // updates that may wait to be sent
	Logger  *slog.Logger
}

// A Poller is the goroutine that owns a node's sockets: it drains the ring,
// drives the Node and moves datagrams in batches.
type Poller struct {
	np    *netpoll.Poller
	ring  *Ring
	node  *Node
	log   *slog.Logger
	began time.Time

	sockets *sockets
	subs    *subscriber // at those peers that are repeaters
	in      *batch
	timerfd int
	armed   time.Duration // when the timerfd fires, 0 if it is not set

	draining bool          // updates came lately: drain by time, not by wake-up
	drainAt  time.Duration // when
	tickAt   time.Duration

	reported map[netip.Addr]bool

	running sync.WaitGroup
	closed  chan struct{}
	failed  atomic.Pointer[error]
}

// NewPoller binds the sockets of a node.
func NewPoller(o PollerOptions, n Options, m Memory) (*Poller, error) {
	p := &Poller{
		ring: NewRing(o.RingLen), log: o.Logger, began: time.Now(), timerfd: -1, closed: make(chan struct{}),
		in: newBatch(batchLen, receiveLen), reported: make(map[netip.Addr]bool),
	}
	var err error
	if p.sockets, err = openSockets(&o.Network); err != nil {
		return nil, err
	}
	if p.np, err = netpoll.OpenPoller(); err != nil {
		p.sockets.close()
		return nil, err
	}
	if err = p.register(); err != nil {
		p.free()
		return nil, err
	}
	p.node = NewNode(n, m, p.sockets)
	p.subs = newSubscriber(RepeaterKey(n.Secrets[0]), o.Peers)
	p.node.Defer = p.do
	p.node.Report = p.report
	return p, nil
}

func (p *Poller) register() (err error) {
	if p.timerfd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if err = p.np.AddRead(&netpoll.PollAttachment{FD: p.timerfd}, true); err != nil {
		return err
	}
	for _, s := range p.sockets.list {
		// Level-triggered: what a turn leaves in the buffer comes again.
		if err = p.np.AddRead(&netpoll.PollAttachment{FD: s.fd}, false); err != nil {
			return err
		}
	}
	return nil
}

// Start runs the goroutine.
func (p *Poller) Start() {
	p.ring.Sleep()
	p.do(p.turn)
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		err := p.np.Polling(p.onEvent)
		if err != nil && err != errors.ErrEngineShutdown { //nolint:errorlint // returned as is
			p.failed.Store(&err)
		}
	}()
}

// Close stops the goroutine and closes the sockets. Updates that still wait are
// lost to the peers.
func (p *Poller) Close() error {
	_ = p.np.Trigger(tasks.HighPriority, func(any) error { return errors.ErrEngineShutdown }, nil)
	p.running.Wait()
	close(p.closed)
	p.ring.Drain(len(p.ring.slots), func(*Update) {}) // wipes
	p.node.wipe()
	p.free()
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *Poller) free() {
	p.sockets.close()
	if p.timerfd >= 0 {
		unix.Close(p.timerfd)
	}
	_ = p.np.Close()
}

// Now is the node's clock.
func (p *Poller) Now() time.Duration { return time.Since(p.began) }

// Publish tells the peers of an update. Any goroutine may call it; it copies the
// value, never blocks and reports whether there was room.
func (p *Poller) Publish(u Update) bool {
	u.Made = p.Now()
	ok := p.ring.TryPush(u)
	if p.ring.NeedsWake() {
		p.wake()
	}
	return ok
}

func (p *Poller) wake() { _ = p.np.Trigger(tasks.HighPriority, wakePoller, p) }

func wakePoller(arg any) error {
	p := arg.(*Poller)
	p.draining, p.drainAt = true, 0
	p.turn()
	return nil
}

// TryAsk asks the peers for a session. Any goroutine may call it; false means
// that there is no room for another question.
func (p *Poller) TryAsk(q *Question) bool {
	if !p.ring.TryPush(Update{Kind: UpdateAsk, Ask: q}) {
		return false
	}
	p.ring.NeedsWake()
	p.wake() // a handshake waits: not for the time of the next flush
	return true
}

// Release gives a session back that its owner holds for this node. Any goroutine
// may call it.
func (p *Poller) Release(key Key, owner ShortID, hold uint64) {
	p.Publish(Update{Kind: UpdateRelease, Key: key, Owner: owner, Hold: hold})
}

// Forget makes this node and all live peers drop sessions and waits until they
// have, or some have not for some seconds. Any goroutine but a loop's may call it.
func (p *Poller) Forget(what ForgetScope, hash uint64) Forgetting {
	result := make(chan Forgetting, 1)
	p.do(func() { p.node.Forget(p.Now(), what, hash, func(f Forgetting) { result <- f }) })
	select {
	case f := <-result:
		return f
	case <-p.closed:
		return Forgetting{}
	}
}

// Rekey exchanges the live secrets. Any goroutine may call it.
func (p *Poller) Rekey(secrets []Secret) {
	p.do(func() {
		p.node.Rekey(secrets)
		p.subs.Rekey(RepeaterKey(secrets[0]))
	})
}

// SetPeers exchanges the addresses that are told everything, when names resolve
// to others. Any goroutine may call it.
func (p *Poller) SetPeers(peers []netip.AddrPort) {
	p.do(func() {
		p.sockets.peers = peers
		p.subs.SetPeers(peers)
		p.tickAt = 0
	})
}

// do runs f on the poller's goroutine.
func (p *Poller) do(f func()) {
	_ = p.np.Trigger(tasks.HighPriority, func(any) error {
		f()
		p.turn()
		return nil
	}, nil)
}

func (p *Poller) onEvent(fd int, _ netpoll.IOEvent, _ netpoll.IOFlags) error {
	if fd == p.timerfd {
		p.armed = 0
	} else if s := p.sockets.byFD(fd); s != nil {
		now := p.Now()
		n, err := p.in.receive(fd, func(from netip.AddrPort, datagram []byte) {
			p.receive(now, from, datagram)
		})
		p.sockets.count.received(n, err)
		p.tickAt = 0 // what came may have made something due
	}
	p.turn()
	return nil
}

// receive takes one datagram. A panic costs that datagram, not the node: what
// comes from a socket is hostile, and this is the last line.
func (p *Poller) receive(now time.Duration, from netip.AddrPort, datagram []byte) {
	defer func() {
		if r := recover(); r != nil {
			p.sockets.count.panics.Inc()
			p.log.Error("panic in a datagram, which is dropped", "from", from, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	if !p.subs.Receive(now, datagram) {
		p.node.Receive(now, from, datagram)
	}
}

// turn does what is due and sends what came of it.
func (p *Poller) turn() {
	now := p.Now()
	if p.draining && now >= p.drainAt {
		p.drain(now)
		p.tickAt = 0
	}
	if now >= p.tickAt {
		p.tickAt = min(p.node.Tick(now), p.subs.Tick(now, p.sockets.Send))
	}
	p.sockets.flush()
	p.arm()
}

// drain takes updates from the ring. While there are some it goes by time, so
// that a busy loop need not wake anybody; after an idle millisecond it sleeps.
func (p *Poller) drain(now time.Duration) {
	n := p.ring.Drain(drainLen, func(u *Update) {
		if u.Kind == UpdateAsk {
			p.node.Ask(now, u.Ask)
			return
		}
		p.node.Publish(now, u)
	})
	p.node.Flush(now)
	switch {
	case n == drainLen:
		p.drainAt = now
	case n > 0 || !p.ring.Sleep():
		p.drainAt = now + flushEvery
	default:
		p.draining = false
	}
}

// arm sets the timer to what comes first.
func (p *Poller) arm() {
	next := p.tickAt
	if p.draining {
		next = min(next, p.drainAt)
	}
	if p.armed != 0 && p.armed <= next {
		return
	}
	wait := max(next-p.Now(), 50*time.Microsecond)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	if err := unix.TimerfdSettime(p.timerfd, 0, &spec, nil); err != nil {
		panic(os.NewSyscallError("timerfd_settime", err)) // its arguments are ours
	}
	p.armed = next
}

// report says once for each address what is the likeliest mistake.
func (p *Poller) report(from netip.AddrPort, why Reason) {
	if why != ForeignKey && why != NotAuthentic || p.reported[from.Addr()] || len(p.reported) >= maxReported {
		return
	}
	p.reported[from.Addr()] = true
	p.log.Warn(from.String() + " sends datagrams this node cannot open: do both have the same cluster-secret-file / key?")
}

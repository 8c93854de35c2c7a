package replicate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/boottime"
	"reprise/internal/metric"
	"reprise/internal/reactor"
	"reprise/replicate/repeater"
	"reprise/replicate/udp"
)

const (
	// flushEvery is how long updates gather while they keep coming, flushSoon the minimum if the
	// goroutine runs for another reason. The first update after a pause of drainFor is sent at
	// once: until then loops need not wake the goroutine, and being woken is most of a fleet's
	// cost.
	flushEvery = 5 * time.Millisecond
	flushSoon  = 3 * time.Millisecond
	drainFor   = 50 * time.Millisecond
	// drainLen bounds how many updates are taken before datagrams are handled.
	drainLen = 4096
	// maxOwed bounds the deletes and releases kept beside a full ring.
	maxOwed = 1 << 16
	// maxVersion is the largest first byte that may be a version.
	maxVersion = 15
)

// PollerOptions say where a node listens and to which peers it sends.
type PollerOptions struct {
	Network
	Names   map[netip.AddrPort]string // configured names of peers
	RingLen int                       // bound on updates waiting to be sent
	Logger  *slog.Logger              // nil: nothing is logged
}

// A Poller is the goroutine that owns a node's sockets: it drains the ring,
// drives the Node and moves datagrams in batches.
type Poller struct {
	ring  *Ring
	node  *Node
	log   *slog.Logger
	began time.Duration

	sockets *udp.Sockets
	subs    *repeater.Subscriber // at peers that are repeaters
	in      *udp.Batch
	reactor *reactor.Reactor
	timer   reactor.Timer

	draining  bool          // updates came recently: drain by time, not by wake-up
	drainAt   time.Duration // at the latest
	drainedAt time.Duration // time of the last drain
	updatedAt time.Duration // when there was last an update
	tickAt    time.Duration

	panics metric.Counter

	news atomic.Bool // something urgent is in the ring, or beside it
	mu   sync.Mutex  // guards owed
	owed []Update    // deletes and releases for which the ring had no room
	kept metric.Counter

	running sync.WaitGroup
	closed  chan struct{}
	failed  error // written before running is done
	retired bool  // all has been closed
}

// NewPoller binds the sockets of a node.
func NewPoller(o PollerOptions, n Options, m Memory) (*Poller, error) {
	p := &Poller{
		ring: NewRing(o.RingLen), log: o.Logger, began: boottime.Now(), closed: make(chan struct{}),
		in:       udp.NewBatch(udp.BatchLen, receiveLen),
		draining: true, // so that the ring knows before the first sleep
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.sockets, err = udp.Open(&o.Network); err != nil {
		return nil, err
	}
	if err := p.openReactor(); err != nil {
		p.sockets.Close()
		return nil, err
	}
	if n.Instance == (Instance{}) {
		n.Instance = p.instance()
	}
	p.node = NewNode(n, m, p.sockets)
	p.node.SetPeers(0, o.Peers, o.Names)
	p.node.Defer = p.do
	p.node.Notice = p.report
	key := n.Secrets[0].RepeaterKey()
	defer clear(key)
	p.subs = repeater.NewSubscriber(key, o.Peers)
	return p, nil
}

// timerTick is the resolution of timers. Two events are due no closer together.
const timerTick = 50 * time.Microsecond

func (p *Poller) openReactor() (err error) {
	if p.reactor, err = reactor.Open(reactor.Options{
		Host: p, Tick: timerTick,
		Parks: true,
	}); err != nil {
		return err
	}
	p.timer.Owner = p
	for _, s := range p.sockets.List {
		// Datagrams left by a batch are received in the next round.
		if err := p.reactor.WatchLevel(s.FD, &socketHandler{p, s}); err != nil {
			p.reactor.Close()
			return err
		}
	}
	return nil
}

// instance names this installation: by its machine and its listening addresses.
func (p *Poller) instance() Instance {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		machine = nil
	}
	host, _ := os.Hostname()
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", machine, host)
	for _, s := range p.sockets.List {
		fmt.Fprintln(h, s.Addr)
	}
	return Instance(h.Sum(nil))
}

// Start runs the goroutine.
func (p *Poller) Start() {
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		p.failed = p.reactor.Run()
	}()
}

// Close stops the goroutine and closes the sockets. Updates that still wait do not reach the peers.
func (p *Poller) Close() error {
	if p.retired {
		return p.failed
	}
	p.reactor.Stop()
	p.running.Wait()
	close(p.closed)
	p.node.Leave(p.Now())
	p.sockets.Flush()
	return p.free()
}

// free wipes and closes the goroutine's resources.
func (p *Poller) free() error {
	p.ring.Drain(len(p.ring.slots), func(*Update) {}) // wipes
	p.node.wipe()
	_ = p.reactor.Close()
	p.sockets.Close()
	return p.failed
}

// Now is the node's clock. It counts while the machine sleeps: datagrams in a socket meanwhile
// become late by that, not fresh.
func (p *Poller) Now() time.Duration { return boottime.Now() - p.began }

// Publish sends an update to the peers. Any goroutine may call it; it copies the value, never
// blocks for long and reports whether there was room. Sessions cannot take the room of deletes and
// releases: a lost one would let a spent session be used again, or use up an unspent one.
func (p *Poller) Publish(u Update) bool {
	u.Made = p.Now()
	ok := p.ring.TryPush(u)
	if !ok && u.Kind != UpdateSession {
		ok = p.owe(u)
	}
	if p.ring.NeedsWake() {
		p.wake()
	}
	return ok
}

// owe keeps an update beside the ring. A delete may thus overtake its session, which peers expect.
func (p *Poller) owe(u Update) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.owed) >= maxOwed {
		return false
	}
	p.owed = append(p.owed, u)
	p.kept.Inc()
	return true
}

func (p *Poller) wake() {
	p.news.Store(true)
	p.reactor.Wake()
}

// TryAsk asks the peers for a session. Any goroutine may call it; false means that there is no room
// for another question.
func (p *Poller) TryAsk(q *Question) bool {
	if !p.ring.TryPush(Update{Kind: UpdateAsk, Ask: q}) {
		return false
	}
	p.ring.NeedsWake()
	p.wake() // a handshake waits: do not wait for the next flush
	return true
}

// Reachable reports whether another node is in contact now and would answer a question. Any
// goroutine may call it.
func (p *Poller) Reachable(id ShortID) bool { return p.node.Reachable(id, p.Now()) }

// Release releases a session that its owner holds for this node. Any goroutine may call it.
func (p *Poller) Release(key Key, owner ShortID, hold uint64) {
	p.Publish(Update{Kind: UpdateRelease, Key: key, Owner: owner, Hold: hold})
}

// Forget makes this node and all others drop sessions and waits until they have, or some have not
// for some seconds. Any goroutine but a loop's may call it. If the node ends before, the outcome is
// unknown, and the result is [ErrClosed].
func (p *Poller) Forget(what ForgetScope, hash uint64) (Forgetting, error) {
	result := make(chan Forgetting, 1)
	p.do(func() { p.node.Forget(p.Now(), what, hash, func(f Forgetting) { result <- f }) })
	select {
	case f := <-result:
		return f, nil
	case <-p.closed:
		return Forgetting{}, ErrClosed
	}
}

// ErrClosed is the result of an operation that the node's end has interrupted.
var ErrClosed = errors.New("the node has ended")

// Rekey replaces the live secrets. Any goroutine may call it.
func (p *Poller) Rekey(secrets []Secret) {
	p.do(func() {
		p.node.Rekey(p.Now(), secrets)
		key := secrets[0].RepeaterKey()
		defer clear(key)
		p.subs.Rekey(key)
		p.tickAt = 0
	})
}

// SetPeers replaces the configured addresses when names resolve to others. names are their
// configured names, if any. Any goroutine may call it.
func (p *Poller) SetPeers(peers []netip.AddrPort, names map[netip.AddrPort]string) {
	p.do(func() {
		p.node.SetPeers(p.Now(), peers, names)
		p.subs.SetPeers(peers)
		p.tickAt = 0
	})
}

// do runs f on the poller's goroutine.
func (p *Poller) do(f func()) {
	p.reactor.Post(func(any) {
		f()
		p.tickAt = 0
		p.news.Store(true)
	}, nil)
}

// A socketHandler receives the datagrams of a socket.
type socketHandler struct {
	poller *Poller
	socket *udp.Socket
}

// OnEvent implements reactor.Handler.
func (s *socketHandler) OnEvent(int, reactor.Events) { s.poller.receiveFrom(s.socket) }

// OnTimer implements reactor.Handler.
func (s *socketHandler) OnTimer() {}

// OnEvent implements reactor.Handler: the timer's owner has no descriptor.
func (p *Poller) OnEvent(int, reactor.Events) {}

// OnTimer implements reactor.Handler: work that is due is done when the round ends.
func (p *Poller) OnTimer() {}

// TurnBegins implements reactor.Host.
func (p *Poller) TurnBegins(time.Time, uint64) {}

// TurnEnds implements reactor.Host. Panics of datagrams are caught separately: see receive.
func (p *Poller) TurnEnds(_ reactor.Handler, _ time.Duration, panicked any) {
	if panicked != nil {
		panic(panicked)
	}
}

// RoundEnds implements reactor.Host.
func (p *Poller) RoundEnds() (more bool) {
	if p.news.Swap(false) {
		p.draining, p.drainAt = true, 0
	}
	p.turn()
	next := p.tickAt
	if p.draining {
		next = min(next, p.drainAt)
	}
	p.reactor.SetTimerIn(&p.timer, max(next-p.Now(), 0))
	return false
}

// receiveFrom receives one batch of datagrams; the rest follows in the next turn.
func (p *Poller) receiveFrom(s *udp.Socket) {
	now := p.Now()
	_, err := p.in.Receive(s.FD, func(from netip.AddrPort, datagram []byte) {
		p.receive(now, from, datagram)
	})
	p.sockets.Count.ReceiveCalls.Inc()
	if err != nil && err != unix.EAGAIN {
		p.sockets.Count.ReceiveErrors.Inc()
	}
	p.tickAt = 0 // the datagrams may have made something due
}

// receive handles one datagram. A panic costs that datagram, not the node: input from a socket is
// hostile, and this is the last line of defence.
func (p *Poller) receive(now time.Duration, from netip.AddrPort, datagram []byte) {
	defer func() {
		if r := recover(); r != nil {
			p.panics.Inc()
			p.log.Error("panic in a datagram, which is dropped", "from", from, "panic", r, "stack",
				string(debug.Stack()))
		}
	}()
	if !p.subs.Receive(now, datagram) {
		p.node.Receive(now, from, datagram)
	}
}

// turn does what is due and sends the results.
func (p *Poller) turn() {
	now := p.Now()
	if p.draining && (now >= p.drainAt || now >= p.drainedAt+flushSoon) {
		p.drain(now)
		p.tickAt = 0
	}
	if now >= p.tickAt {
		p.tickAt = min(p.node.Tick(now), p.subs.Tick(now, p.sockets.Send))
	}
	p.sockets.Flush()
}

// drain takes updates from the ring. While there are some it runs by time, so that a busy loop need
// not wake it; after an idle time it sleeps.
func (p *Poller) drain(now time.Duration) {
	p.mu.Lock()
	owed := p.owed
	p.owed = nil
	p.mu.Unlock()
	for i := range owed {
		p.node.Publish(now, &owed[i])
	}
	n := p.ring.Drain(drainLen, func(u *Update) {
		if u.Kind == UpdateAsk {
			p.node.Ask(now, u.Ask)
			return
		}
		p.node.Publish(now, u)
	})
	p.node.Flush(now)
	p.drainedAt = now
	if n > 0 {
		p.updatedAt = now
	}
	switch {
	case n == drainLen:
		p.drainAt = now
	case now-p.updatedAt < drainFor || !p.ring.Sleep():
		p.drainAt = now + flushEvery
	default:
		p.draining = false
	}
}

// report logs a notice.
func (p *Poller) report(m Notice) {
	peer := m.Name
	if peer == "" {
		peer = m.Addr.String()
	} else if peer != m.Addr.String() {
		peer += " (" + m.Addr.String() + ")"
	}
	switch m.Kind {
	case NoticeUp:
		p.log.Info("peer " + peer + " is there")
		return
	case NoticeDown:
		p.log.Warn("peer " + peer + " is not heard any more")
		return
	case NoticeLeft:
		p.log.Info("peer " + peer + " has ended")
		return
	}
	if m.Unknown > 1 {
		peer = fmt.Sprintf(
			"%d datagrams from addresses of no peer could not be opened, the last: %s", m.Unknown,
			peer)
	}
	switch m.Kind {
	case NoticeVersion:
		if m.TheirByte == 0 || m.TheirByte > maxVersion {
			p.log.Warn(peer + " sends something else than this replication protocol")
			return
		}
		p.log.Warn(
			fmt.Sprintf(
				"%s speaks version %d of the replication protocol, this node version %d: they share no sessions until both run the same release", peer, m.TheirByte, m.OurByte))
	case NoticeSecret:
		p.log.Warn(
			fmt.Sprintf(
				"%s sends datagrams this node cannot open: do both have the same cluster-secret-file / key? (theirs has the id %02x, this node's %02x)", peer, m.TheirByte, m.OurByte))
	case NoticeContext:
		p.log.Warn(
			fmt.Sprintf(
				"peer %s serves other session contexts (%s, this node's are %s): sessions of one are of no use at the other", peer, m.Theirs, m.Ours))
	case NoticeLifetime:
		p.log.Warn(
			fmt.Sprintf(
				"peer %s resumes sessions for %s, this node for %s: ssl-sessions-timeout should be the same at both", peer, m.Theirs, m.Ours))
	case NoticeCopies:
		p.log.Warn(
			fmt.Sprintf(
				"peers %s and %s (%s) call themselves the same, like copies of one machine: if one is restarted, forget waits for its earlier life too. Give each its own /etc/machine-id or host name", peer, m.Theirs, m.Ours))
	case NoticeClock:
		p.log.Warn(fmt.Sprintf("the clock of peer %s is %s ahead of this node's", peer, m.Theirs))
	}
}

package repeater

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/metric"
	"reprise/internal/reactor"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

const (
	defaultLifetime       = 10 * time.Second
	defaultMaxSubscribers = 1024

	// pendingLen is how many datagrams gather for one socket before they are sent early.
	pendingLen = 1024
	// sendWait is how long a full send buffer may take to have room again. Incoming datagrams wait
	// in the receive buffers: without this, 64 datagrams for 29 nodes on a link of 100 Mbit/s lost
	// 1734 of 1856, with it none.
	sendWait = 10 * time.Millisecond
	// expireEvery is how long expired subscriptions may still be counted while no datagram comes.
	expireEvery = time.Second
	// maxReported bounds the addresses recorded as complained about.
	maxReported = 1024
	// receiveLen is the longest datagram taken: a session of the largest size.
	receiveLen = wire.DatagramOverhead + wire.BatchOverhead + wire.MaxRecordLen + 1024
)

// Options are a repeater's fixed settings.
type Options struct {
	// Listen are own addresses, of one fleet. Nodes subscribed at different ones receive each
	// other's datagrams.
	Listen []netip.AddrPort
	// Keys are from [wire.Secret.RepeaterKey]: the newest first, the others during a rotation of
	// the cluster secret. The caller keeps and wipes them.
	Keys [][]byte
	// BufferLen is the requested size of each socket buffer in bytes; 0 leaves the kernel's.
	BufferLen int
	// Lifetime is that of a subscription, which nodes renew five times in it; 0 means 10 s.
	Lifetime time.Duration
	// Inherit returns a socket that a predecessor has bound to an address, or -1; nil: there is no
	// predecessor.
	Inherit func(addr netip.AddrPort) (fd int)
	// MaxSubscribers bounds them; 0 means 1024.
	MaxSubscribers int
	Logger         *slog.Logger
}

// A Repeater is a gateway between nodes that need to know only its address: it forwards each sealed
// datagram of a subscriber to all the others. It cannot read them, and sends them only to addresses
// of nodes that have proved to be of the fleet; see subscription.go.
//
// What it forwards has passed the fleet's check, once: neither garbage under a forged source
// address nor a recording is multiplied.
type Repeater struct {
	log            *slog.Logger
	lifetime       time.Duration
	maxSubscribers int
	began          time.Time
	keys           atomic.Pointer[[]fleetKey] // used only by the goroutine

	outlets []*outlet
	in      *udp.Batch
	out     *udp.Batch
	reactor *reactor.Reactor
	timer   reactor.Timer

	// The rest belongs to the goroutine.
	cookies     *wire.CookieJar
	subscribers []subscribed
	seen        seen
	answers     []byte // what pending answers point into
	reported    map[netip.Addr]bool
	fullSaid    bool

	counts  Counts
	running sync.WaitGroup
	failed  error // written before running is done
	closing sync.Once
}

// fleetKey is the repeater's part of one cluster secret.
type fleetKey struct {
	mac     *wire.MAC
	checker *wire.Checker
}

// subscribed is a node to which datagrams are forwarded.
type subscribed struct {
	addr  netip.AddrPort
	via   *outlet // where it subscribed: its datagrams are sent from there
	until time.Duration
	intro budget
}

// Sockets returns the repeater's sockets for a successor.
func (r *Repeater) Sockets() (list []*udp.Socket) {
	for _, o := range r.outlets {
		list = append(list, o.Socket)
	}
	return list
}

// An outlet is a socket and its pending datagrams.
type outlet struct {
	*udp.Socket
	repeater *Repeater
	pending  []udp.Outgoing
}

// Counts are written by the goroutine; any goroutine may read them.
type Counts struct {
	Subscribers       metric.Gauge           `json:"subscribers" help:"Nodes subscribed now."`
	Subscriptions     metric.Counters[event] `json:"subscriptions" label:"event" help:"Subscriptions by what became of them."`
	ReceivedDatagrams metric.Counter         `json:"received_datagrams" help:"Datagrams received, of any kind and from any address."`
	ReceivedBytes     metric.Counter         `json:"received_bytes" help:"Bytes of these."`
	SentDatagrams     metric.Counter         `json:"sent_datagrams" help:"Datagrams sent: forwarded ones, and answers to subscribers."`
	SentBytes         metric.Counter         `json:"sent_bytes" help:"Bytes of these."`
	Dropped           metric.Counters[drop]  `json:"dropped" label:"reason" help:"Datagrams not taken or not sent."`
}

// An event is the outcome of a subscription.
type event uint8

const (
	eventChallenged event = iota
	eventSubscribed
	eventRenewed
	eventExpired
	eventRefused // no room
	repeaterEvents
)

var repeaterEventNames = [repeaterEvents]string{
	"challenged", "subscribed", "renewed", "expired",
	"refused",
}

// A drop is the reason why a datagram was dropped.
type drop uint8

const (
	dropNotSubscribed drop = iota // from an unknown address
	dropNotSealed                 // neither a node's datagram nor a control
	dropForged                    // its check is of another key
	dropRepeated                  // forwarded before, or too many or too long of its kind
	dropBadControl                // of no use to a repeater
	dropForgedControl             // its tag is of another key
	dropReceiveError              // of a system call
	dropSendFull                  // the kernel had no room
	dropUndeliverable             // the kernel refused it
	repeaterDrops
)

var repeaterDropNames = [repeaterDrops]string{
	"not_subscribed", "not_sealed", "forged", "repeated", "bad_control", "forged_control",
	"receive_error", "send_full", "undeliverable",
}

// Names implements metric.Key.
func (event) Names() []string { return repeaterEventNames[:] }

// Names implements metric.Key.
func (drop) Names() []string { return repeaterDropNames[:] }

// New binds the sockets of a repeater.
func New(o Options) (*Repeater, error) {
	r := &Repeater{
		log: o.Logger, lifetime: o.Lifetime, maxSubscribers: o.MaxSubscribers, began: time.Now(),
		in: udp.NewBatch(udp.BatchLen, receiveLen), out: udp.NewBatch(udp.BatchLen, 0),
		answers: make([]byte, 0, udp.BatchLen*controlLen), reported: make(map[netip.Addr]bool),
	}
	if r.lifetime == 0 {
		r.lifetime = defaultLifetime
	}
	if r.maxSubscribers == 0 {
		r.maxSubscribers = defaultMaxSubscribers
	}
	r.cookies = wire.NewCookieJar(r.lifetime)
	if err := r.Rekey(o.Keys); err != nil {
		return nil, err
	}
	if err := r.open(&o); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

func (r *Repeater) open(o *Options) (err error) {
	if r.reactor, err = reactor.Open(reactor.Options{
		Host: r, Tick: time.Millisecond,
		Parks: true,
	}); err != nil {
		return err
	}
	r.timer.Owner = r
	r.reactor.SetTimerIn(&r.timer, expireEvery)
	for _, addr := range o.Listen {
		if addr.Addr().IsMulticast() {
			return fmt.Errorf(
				"cannot repeat at %s: it is a multicast group, whose nodes need no repeater", addr)
		}
		s, err := udp.OpenSocket(&udp.Network{BufferLen: o.BufferLen, Inherit: o.Inherit}, addr)
		if err != nil {
			return fmt.Errorf("cannot listen on UDP %s: %w%s", addr, err, udp.Advice(err))
		}
		o := &outlet{Socket: s, repeater: r, pending: make([]udp.Outgoing, 0, pendingLen)}
		r.outlets = append(r.outlets, o)
		// Datagrams left by a batch are received in the next round.
		if err := r.reactor.WatchLevel(s.FD, o); err != nil {
			return err
		}
	}
	return nil
}

// Addrs returns the bound addresses.
func (r *Repeater) Addrs() []netip.AddrPort {
	list := make([]netip.AddrPort, len(r.outlets))
	for i, o := range r.outlets {
		list[i] = o.Addr
	}
	return list
}

// Start runs the repeater's goroutine.
func (r *Repeater) Start() {
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		r.failed = r.reactor.Run()
	}()
}

// Close stops the goroutine and closes the sockets. It must be called once, and returns the error
// that ended the goroutine before, if any.
func (r *Repeater) Close() error {
	r.closing.Do(func() {
		r.reactor.Stop()
		r.running.Wait()
		r.free()
	})
	return r.failed
}

func (r *Repeater) free() {
	for _, o := range r.outlets {
		unix.Close(o.FD)
	}
	if r.reactor != nil {
		_ = r.reactor.Close()
	}
}

// Rekey replaces the keys: see [Options]. It keeps the old ones if one of the new could be guessed,
// as [wire.NewSecret] does. Any goroutine may call it.
func (r *Repeater) Rekey(keys [][]byte) error {
	rekey, err := r.PrepareRekey(keys)
	if err == nil {
		rekey()
	}
	return err
}

// PrepareRekey is Rekey in two steps: the second, which replaces the keys, cannot fail.
func (r *Repeater) PrepareRekey(keys [][]byte) (rekey func(), err error) {
	if len(keys) == 0 {
		return nil, errors.New("replicate: a repeater needs a key")
	}
	list := make([]fleetKey, len(keys))
	for i, key := range keys {
		if err := wire.CheckKey(key); err != nil {
			return nil, err
		}
		list[i] = fleetKey{wire.NewMAC(key), wire.NewChecker(key)}
	}
	return func() { r.keys.Store(&list) }, nil
}

// OnEvent implements reactor.Handler.
func (o *outlet) OnEvent(int, reactor.Events) {
	now := time.Since(o.repeater.began)
	o.repeater.expire(now)
	o.repeater.serve(now, o)
}

// OnTimer implements reactor.Handler.
func (o *outlet) OnTimer() {}

// OnEvent implements reactor.Handler: the timer's owner has no descriptor.
func (r *Repeater) OnEvent(int, reactor.Events) {}

// OnTimer implements reactor.Handler.
func (r *Repeater) OnTimer() {
	r.expire(time.Since(r.began))
	r.reactor.SetTimerIn(&r.timer, expireEvery)
}

// TurnBegins implements reactor.Host.
func (r *Repeater) TurnBegins(time.Time, uint64) {}

// TurnEnds implements reactor.Host.
func (r *Repeater) TurnEnds(_ reactor.Handler, _ time.Duration, panicked any) {
	if panicked != nil {
		panic(panicked)
	}
}

// RoundEnds implements reactor.Host.
func (r *Repeater) RoundEnds() (more bool) { return false }

// serve forwards one batch of datagrams received by o.
func (r *Repeater) serve(now time.Duration, o *outlet) {
	_, err := r.in.Receive(o.FD, func(from netip.AddrPort, datagram []byte) {
		r.handle(now, o, from, datagram)
	})
	if err != nil && err != unix.EAGAIN {
		r.counts.Dropped.Inc(dropReceiveError)
	}
	for _, o := range r.outlets {
		r.flush(o)
	}
	r.answers = r.answers[:0]
}

// handle plans what a datagram makes us send. The datagram must not change until then.
func (r *Repeater) handle(now time.Duration, via *outlet, from netip.AddrPort, datagram []byte) {
	r.counts.ReceivedDatagrams.Inc()
	r.counts.ReceivedBytes.Add(uint64(len(datagram)))
	if isControl(datagram) {
		r.handleControl(now, via, from, datagram)
		return
	}
	source := r.find(from)
	if source < 0 {
		r.counts.Dropped.Inc(dropNotSubscribed)
		return
	}
	h, reason := wire.ParseHeader(datagram)
	if reason != wire.Opened {
		r.counts.Dropped.Inc(dropNotSealed)
		return
	}
	if !slices.ContainsFunc(*r.keys.Load(),
		func(k fleetKey) bool { return k.checker.Verify(datagram) }) {
		r.counts.Dropped.Inc(dropForged)
		return
	}
	isSealed := h.Kind == wire.KindSealed
	if !fits(h.Kind, len(datagram)) || !isSealed && !r.subscribers[source].intro.take(now) ||
		!r.seen.isNew(now, h) {
		r.counts.Dropped.Inc(dropRepeated)
		return
	}
	for i := range r.subscribers {
		if i != source {
			r.send(r.subscribers[i].via, r.subscribers[i].addr, datagram)
		}
	}
}

// handleControl answers a subscribe. Without the key there is no answer, and without a cookie only
// a cookie.
func (r *Repeater) handleControl(now time.Duration, via *outlet, from netip.AddrPort,
	datagram []byte,
) {
	c, ok := parseControl(datagram)
	if !ok || c.kind != controlSubscribe {
		r.counts.Dropped.Inc(dropBadControl)
		return
	}
	keys := *r.keys.Load()
	key := slices.IndexFunc(keys, func(k fleetKey) bool { return verify(k.mac, datagram) })
	if key < 0 {
		r.counts.Dropped.Inc(dropForgedControl)
		r.report(from)
		return
	}
	answer := control{kind: controlChallenge, nonce: c.nonce, cookie: r.cookies.Make(now, from)}
	if !r.cookies.IsGood(now, from, c.cookie) {
		r.counts.Subscriptions.Inc(eventChallenged)
	} else if r.subscribe(now, via, from) {
		answer.kind, answer.lifetime = controlAccepted, r.lifetime
	} else {
		return
	}
	start := len(r.answers)
	r.answers = answer.append(r.answers, keys[key].mac)
	r.send(via, from, r.answers[start:])
}

// subscribe adds or renews a subscription and reports whether there was room.
func (r *Repeater) subscribe(now time.Duration, via *outlet, addr netip.AddrPort) bool {
	s := subscribed{addr: addr, via: via, until: now + r.lifetime}
	if i := r.find(addr); i >= 0 {
		r.counts.Subscriptions.Inc(eventRenewed)
		s.intro = r.subscribers[i].intro
		r.subscribers[i] = s
		return true
	}
	if len(r.subscribers) >= r.maxSubscribers {
		r.counts.Subscriptions.Inc(eventRefused)
		if !r.fullSaid {
			r.fullSaid = true
			r.log.Warn(fmt.Sprintf("%s cannot subscribe: there are %d subscribers already", addr,
				r.maxSubscribers))
		}
		return false
	}
	r.counts.Subscriptions.Inc(eventSubscribed)
	r.subscribers = append(r.subscribers, s)
	r.counts.Subscribers.Inc()
	r.log.Info(addr.String() + " subscribed")
	return true
}

// expire drops subscriptions that were not renewed.
func (r *Repeater) expire(now time.Duration) {
	r.subscribers = slices.DeleteFunc(r.subscribers, func(s subscribed) bool {
		if now < s.until {
			return false
		}
		r.counts.Subscriptions.Inc(eventExpired)
		r.counts.Subscribers.Dec()
		r.log.Info(s.addr.String() + " did not renew its subscription")
		return true
	})
}

func (r *Repeater) find(addr netip.AddrPort) int {
	return slices.IndexFunc(r.subscribers, func(s subscribed) bool { return s.addr == addr })
}

func (r *Repeater) send(via *outlet, to netip.AddrPort, datagram []byte) {
	if len(via.pending) == pendingLen {
		r.flush(via)
	}
	via.pending = append(via.pending, udp.Outgoing{To: to, Datagram: datagram})
}

// flush sends pending datagrams. What the kernel does not take soon is dropped: the nodes notice
// and ask each other again.
func (r *Repeater) flush(o *outlet) {
	for rest := o.pending; len(rest) > 0; {
		n, err := r.out.Send(o.FD, o.Family, rest)
		for _, sent := range rest[:n] {
			r.counts.SentDatagrams.Inc()
			r.counts.SentBytes.Add(uint64(len(sent.Datagram)))
		}
		rest = rest[n:]
		switch {
		case err == nil:
		case err == unix.EAGAIN && becomesWritable(o.FD):
		case err == unix.EAGAIN || err == unix.ENOBUFS:
			r.counts.Dropped.Add(dropSendFull, uint64(len(rest)))
			rest = nil
		default: // of the first datagram only: no route, or the like
			r.counts.Dropped.Inc(dropUndeliverable)
			rest = rest[1:]
		}
	}
	clear(o.pending)
	o.pending = o.pending[:0]
}

func becomesWritable(fd int) bool {
	polled := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, _ := unix.Poll(polled[:], int(sendWait/time.Millisecond))
	return n > 0
}

// report logs the likeliest mistake, once for each address.
func (r *Repeater) report(from netip.AddrPort) {
	if r.reported[from.Addr()] || len(r.reported) >= maxReported {
		return
	}
	r.reported[from.Addr()] = true
	r.log.Warn(from.String() +
		" subscribes with a key that this repeater does not have: do both have the same cluster-secret-file / udprepeater-secret-file?")
}

// Stats returns the live counters. Any goroutine may call it.
func (r *Repeater) Stats() *Counts { return &r.counts }

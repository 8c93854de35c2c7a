package replicate

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"reprise/replicate/wire"
)

// receiveLen is the longest datagram taken: a session of the largest size.
const receiveLen = wire.DatagramOverhead + wire.BatchOverhead + wire.MaxRecordLen + 1024

// A Transport sends datagrams without confirmation; it must copy what it keeps.
type Transport interface {
	Send(to netip.AddrPort, datagram []byte)
	SendAll(to []netip.AddrPort, datagram []byte)
}

// Options are a node's fixed settings. Zero values are not defaults.
type Options struct {
	ID       ID
	Instance Instance // the same in each life of this node
	Name     string   // for the logs and statistics of other nodes
	Secrets  []Secret // live ones; the first introduces
	Mode     Mode
	Context  uint64 // hash of the session contexts that this node serves

	DatagramLen   int           // longest datagram in bytes, except for a larger session
	Heartbeat     time.Duration // interval
	DeadAfter     time.Duration // silence after which a peer counts as dead
	LookupTimeout time.Duration // for a question, over all nodes asked
	MaxQuestions  int           // under way at once
	SnapshotRate  int           // bytes per second for all joining nodes together
	HoldFor       time.Duration // for which a session is held for a peer's handshake
	Lifetime      time.Duration // of a session; 0 is KnownFor
	// Lifetime and a little more: how long rules are kept and nodes remembered
	KnownFor time.Duration

	Wall func() time.Time // for comparing clocks; nil means time.Now
}

// A Node is one node's side of the protocol as a value: datagrams, updates and the time come in,
// datagrams go out through its Transport. It belongs to one goroutine; only Stats and the answers
// of questions may be used elsewhere. Time is a duration on a clock of the caller's choice that
// never goes back.
type Node struct {
	o      Options
	id     ShortID
	memory Memory
	out    Transport
	now    time.Duration

	// transit bounds how long the current datagram was under way. Its sessions are older by that;
	// else one that was under way while a rule came in force would be taken for one born after it.
	transit time.Duration
	// paused is how long this node got no time; until pausedUntil, datagrams found in its sockets
	// may have waited as long, whatever is known of the senders' clocks.
	paused, pausedUntil time.Duration

	// Notice, if set, is called with what an operator should know.
	Notice func(Notice)
	// Status, if set, returns this node's status: see [Poller.SetStatus].
	Status func() []byte
	// Defer runs f on the node's goroutine; any goroutine may call it. By default it calls f at
	// once.
	Defer func(f func())

	secrets []liveSecret // the first introduces
	sender  *wire.Sender

	peers   map[ID]*peer
	known   []*peer // the same, by id; a running walk keeps the list it began with
	byShort map[ShortID]*peer
	placed  map[netip.AddrPort]*peer // by address, as last determined
	listed  atomic.Pointer[[]*peer]  // some of the same, for readers elsewhere

	contacts  map[netip.AddrPort]*contact // configured addresses
	contacted atomic.Pointer[[]*contact]  // the same, sorted, for readers elsewhere

	up      atomic.Pointer[map[ShortID]*peer] // those that are up, for readers elsewhere
	members []member                          // this node and the peers that are up
	digest  uint32                            // of members
	beats   []netip.AddrPort                  // targets of heartbeats
	told    []netip.AddrPort                  // targets of batches for all
	rumours map[ShortID]*rumour
	// departed are nodes that have ended, with their addresses: others may still mention them.
	departed map[ShortID]departed
	// copied are instances that two nodes use at once: machines that were made as copies of each
	// other. That one of them lives shows nothing about the other.
	copied    map[Instance]bool
	unordered bool // of some lives it is unknown which is the later one

	unknown   uint64        // datagrams from unknown addresses, not yet reported
	unknownAt time.Duration // when they may be reported

	intro     introductions
	mode      autoMode
	all       stream
	pending   []*stream // with updates that have yet to be sent
	tails     []*peer   // whose stream of home batches has recently ended
	gaps      []*inbound
	questions questions
	holds     holds
	snapshot  snapshots
	statuses  statuses
	forgets   map[RuleID]*forgetting
	dropped   map[RuleID]int // sessions dropped by rules of others

	heartbeatAt time.Duration
	starting    int           // heartbeats sent since the start, up to a few
	tail        int           // heartbeats already sent after the last batch
	tailFrom    time.Duration // when the last of these or the batch was sent
	sweepAt     time.Duration

	counts counts

	// Buffers that are empty between calls. Those that hold secrets never grow, or copies would be
	// left behind.
	plain      []byte // opened
	msgs       []byte // to be sealed
	value      []byte // found
	sealed     []byte
	ranges     []wire.Range
	wireRanges wire.Ranges
	rules      []Rule
}

// A liveSecret is a cluster secret with the fleet's check.
type liveSecret struct {
	Secret
	check *wire.Checker
}

// Reasons to drop a datagram or message beyond those of package wire.
const (
	dropMalformed = wire.Stale + 1 + iota
	dropReflected // our own, returned to us
	dropNotIntroduced
	dropTooManyPeers
	dropIntroductions // too many at once
	drops
)

// NewNode returns a node without peers.
func NewNode(o Options, m Memory, t Transport) *Node {
	n := &Node{
		o: o, id: o.ID.Short(), memory: m, out: t,
		peers:    make(map[ID]*peer),
		byShort:  make(map[ShortID]*peer),
		placed:   make(map[netip.AddrPort]*peer),
		contacts: make(map[netip.AddrPort]*contact),
		rumours:  make(map[ShortID]*rumour),
		departed: make(map[ShortID]departed),
		copied:   make(map[Instance]bool),
		forgets:  make(map[RuleID]*forgetting),
		dropped:  make(map[RuleID]int),
		Defer:    func(f func()) { f() },
	}
	if n.o.Lifetime == 0 {
		n.o.Lifetime = n.o.KnownFor
	}
	if n.o.Wall == nil {
		n.o.Wall = time.Now
	}
	for _, s := range o.Secrets {
		n.secrets = append(n.secrets, liveSecret{s, s.Checker()})
	}
	n.sender = wire.NewSender(n.secrets[0].check, n.id, 0)
	n.plain, n.msgs = make([]byte, 0, receiveLen), make([]byte, 0, receiveLen)
	n.value = make([]byte, 0, wire.MaxValueLen)
	n.intro.init()
	n.all.init(wire.StreamAll, nil, o.DatagramLen)
	n.questions.init()
	n.holds.init()
	n.snapshot.init()
	n.retarget()
	return n
}

// Rekey replaces the live secrets of a running node. Peers introduced under a removed secret are
// dropped until they are introduced anew, and all get a new key, which holders of only the old
// secret cannot learn.
func (n *Node) Rekey(now time.Duration, secrets []Secret) {
	n.now = now
	live := make([]liveSecret, len(secrets))
	for i, s := range secrets {
		live[i] = liveSecret{s, s.Checker()}
	}
	old := n.secrets
	n.secrets = live
	n.sender.Recheck(live[0].check)
	if slices.ContainsFunc(old,
		func(s liveSecret) bool { return n.liveSecret(s.Fingerprint()) == nil }) {
		n.sender.Renew(now)
	}
	for _, p := range n.known {
		if p.introduced && n.liveSecret(p.secret) == nil {
			p.opener.Wipe()
			p.introduced = false
		}
	}
	n.heartbeatAt = now // a peer that cannot open it asks for an introduction
}

// liveSecret returns the live secret with a fingerprint. Ids are not enough: a leaked secret and
// one in 256 of its successors have the same.
func (n *Node) liveSecret(f wire.Fingerprint) *liveSecret {
	for i := range n.secrets {
		if n.secrets[i].Fingerprint().Is(f) {
			return &n.secrets[i]
		}
	}
	return nil
}

// verify returns the secret whose check a datagram passes.
func (n *Node) verify(datagram []byte, h wire.Header) (*liveSecret, wire.Reason) {
	reason := wire.ForeignSecret
	for i := range n.secrets { // ids may collide, so the first match need not be the right one
		s := &n.secrets[i]
		if s.check.ID() != h.SecretID {
			continue
		}
		if !s.check.VerifyHeader(datagram) {
			reason = wire.Forged
			continue
		}
		if !s.check.VerifyBody(datagram) {
			return nil, wire.NotAuthentic
		}
		return s, wire.Opened
	}
	return nil, reason
}

// Receive handles a received datagram. It does not keep it.
func (n *Node) Receive(now time.Duration, from netip.AddrPort, datagram []byte) {
	n.now = now
	n.noticePause()
	n.counts.ReceivedDatagrams.Inc()
	n.counts.ReceivedBytes.Add(uint64(len(datagram)))
	h, reason := wire.ParseHeader(datagram)
	var secret *liveSecret
	if reason == wire.Opened {
		secret, reason = n.verify(datagram, h)
	}
	if reason == wire.Opened && h.Sender == n.id {
		reason = dropReflected
	}
	if reason == wire.Opened {
		if h.Kind == wire.KindSealed {
			reason = n.receiveSealed(from, datagram, h, secret)
		} else {
			wire.ScrubStack()
			reason = n.receiveIntroduction(from, datagram, h, secret)
			wire.ScrubStack() // the keys of an introduction that has ended are gone
		}
	}
	if reason != wire.Opened {
		n.drop(from, reason, datagram)
	}
}

// receiveSealed opens a datagram and acts on its messages. Its source gets nothing but a retry:
// answers to peers go to addresses they have proved.
func (n *Node) receiveSealed(from netip.AddrPort, datagram []byte, h wire.Header,
	secret *liveSecret,
) wire.Reason {
	p := n.byShort[h.Sender]
	if p == nil || !p.introduced {
		if len(datagram) < wire.DatagramOverhead {
			return wire.TooShort
		}
		if !n.retry(from, h, secret) {
			return dropIntroductions
		}
		return dropNotIntroduced
	}
	plain, reason := p.opener.Open(n.plain[:0], datagram, h, n.now)
	if reason != wire.Opened {
		switch reason {
		case wire.NotAuthentic, wire.KeyGone, wire.Stale:
			// perhaps the sender has a new key, or its clock has stood still
			n.retry(from, h, secret)
		}
		return reason
	}
	defer clear(plain)
	messages, ok := wire.ParseMessages(plain[wire.PlainHeaderLen:])
	if !ok {
		return dropMalformed
	}
	if !p.heard(n.now, from, len(datagram)) {
		n.retry(from, h, secret) // it is new, but its address has to be proved
	}
	if !p.secret.Is(secret.Fingerprint()) && secret == &n.secrets[0] {
		n.retry(from, h, secret) // both have the new secret: before the old one goes
	}
	if !p.superseded { // otherwise it may be a late datagram of a life that has ended
		n.rise(p)
	}
	if n.transit = p.opener.Transit(); n.now < n.pausedUntil {
		n.transit = max(n.transit, n.paused)
	}
	p.aliveAt = max(p.aliveAt, n.now-n.transit)
	for m := range messages.All() {
		if m.IsFor(n.id) {
			n.handle(p, m)
		}
	}
	return wire.Opened
}

// handle acts on one message of a peer.
func (n *Node) handle(p *peer, m wire.Message) {
	switch m.Type {
	case wire.TypeBatch:
		n.handleBatch(p, m.Batch())
	case wire.TypeHeartbeat:
		n.handleHeartbeat(p, m.Heartbeat())
	case wire.TypeEcho:
		n.handleEcho(p, m.Echo())
	case wire.TypeRepair:
		n.handleRepair(p, m.Repair())
	case wire.TypeAsk:
		n.handleAsk(p, m.Ask())
	case wire.TypeAnswer:
		n.handleAnswer(p, m.Answer())
	case wire.TypeRelease:
		n.handleRelease(p, m.Release())
	case wire.TypeSnapshotRequest:
		n.handleSnapshotRequest(p, m.SnapshotRequest())
	case wire.TypeSnapshotPart:
		n.handleSnapshotPart(p, m.SnapshotPart())
	case wire.TypeRules:
		n.handleRules(p, m.Rules())
	case wire.TypeObeyed:
		n.handleObeyed(p, m.Obeyed())
	case wire.TypeMembers:
		n.handleMembers(m.Members())
	case wire.TypeLeave:
		n.leave(p)
	case wire.TypeStatusRequest:
		n.handleStatusRequest(p)
	case wire.TypeStatus:
		n.handleStatus(p, m.Status())
	}
}

// Tick does what is due and returns when to call again at the latest.
func (n *Node) Tick(now time.Duration) (next time.Duration) {
	n.now = now
	n.noticePause()
	if now >= n.sweepAt {
		n.sweep()
		wire.ScrubStack() // the keys were in use for a while
	}
	next = min(n.sweepAt, n.tickHeartbeat())
	next = min(next, n.tickTails())
	next = min(next, n.tickIntroductions())
	next = min(next, n.tickGaps())
	next = min(next, n.tickQuestions())
	next = min(next, n.tickReleases())
	next = min(next, n.tickSnapshot())
	return min(next, n.tickForgets())
}

// sweepEvery bounds the delay until an end is noticed.
const sweepEvery = 100 * time.Millisecond

// pauseLen is the delay from which on a node assumes that it was stopped.
const pauseLen = time.Second

// noticePause records that the node has not run for a while: it was stopped, or starved.
func (n *Node) noticePause() {
	if late := n.now - n.sweepAt; n.sweepAt != 0 && late > pauseLen && n.now >= n.pausedUntil {
		n.paused, n.pausedUntil = late+sweepEvery, n.now+pauseLen
	}
}

// sweep handles everything that time alone changes.
func (n *Node) sweep() {
	n.sweepAt = n.now + sweepEvery
	unordered := n.unordered
	n.unordered = false
	for _, p := range n.known {
		if unordered {
			n.supersede(p)
		}
		n.sweepPeer(p)
	}
	n.sweepContacts()
	n.sweepRumours()
	n.sweepHolds()
	n.mode.update(n)
}

// drop counts a datagram that was not accepted, and records what it shows about the configured
// address that it came from.
func (n *Node) drop(from netip.AddrPort, why wire.Reason, datagram []byte) {
	n.counts.Dropped.Inc(dropReason(why))
	n.noteForeign(from, why, datagram)
}

// Leave tells the peers that this node ends, and its memory with it.
func (n *Node) Leave(now time.Duration) {
	n.now = now
	n.seal(wire.Leave{}.Append(n.begin()))
	n.out.SendAll(n.told, n.sealed)
}

// wipe overwrites keys and what the node still holds of sessions. The node must not be used
// afterwards.
func (n *Node) wipe() {
	n.sender.Wipe()
	for _, p := range n.known {
		p.opener.Wipe()
		p.home.wipe()
	}
	for _, b := range n.intro.begun {
		b.Wipe()
	}
	for _, r := range n.intro.awaited {
		r.Wipe()
	}
	n.all.wipe()
	wire.ScrubStack()
}

// begin returns the buffer to which a datagram's messages are appended.
func (n *Node) begin() []byte { return n.msgs[:wire.PlainHeaderLen] }

// sendTo seals messages for one peer. They must have been made in [Node.begin].
func (n *Node) sendTo(p *peer, messages []byte) {
	n.seal(messages)
	p.counts.SentDatagrams.Inc()
	p.counts.SentBytes.Add(uint64(len(n.sealed)))
	n.out.Send(p.addr, n.sealed)
}

func (n *Node) seal(messages []byte) {
	n.sealed = n.sender.Seal(n.sealed[:0], messages, n.now)
	clear(messages)
	n.msgs = messages[:0]
	n.countSent(n.sealed)
}

func (n *Node) countSent(datagram []byte) {
	n.counts.SentDatagrams.Inc()
	n.counts.SentBytes.Add(uint64(len(datagram)))
}

package replicate

import (
	"crypto/rand"
	"net/netip"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
)

// A Transport sends datagrams and forgets about them; it must copy what it keeps.
type Transport interface {
	Send(to netip.AddrPort, datagram []byte)
	// Broadcast sends to every configured peer, group and repeater.
	Broadcast(datagram []byte)
}

// Options are what a node is told once. Zero values are not defaults.
type Options struct {
	ID      ID
	Secrets []Secret // live ones; the first seals
	Mode    Mode

	DatagramLen   int           // most bytes of a datagram, but for a larger session
	Heartbeat     time.Duration // between two of them
	DeadAfter     time.Duration // of silence
	LookupTimeout time.Duration // for a question, both rounds of it
	MaxQuestions  int           // under way at once
	SnapshotRate  int           // bytes per second given to joining nodes, together

	Name     string        // of this node, for the logs and statistics of others
	Context  uint64        // hash of the session contexts that this node serves
	HoldFor  time.Duration // for which a session is kept for a peer's handshake
	KnownFor time.Duration // the longest life of a session: so long are rules kept, and nodes remembered
}

// A Node is one node's side of the protocol as a value: datagrams, updates and
// the time come in, datagrams go out through its Transport. It belongs to one
// goroutine; only Stats and the answers of questions may be used elsewhere. Time
// is a duration on a clock of the caller's choosing that never goes back.
type Node struct {
	o      Options
	memory Memory
	out    Transport
	sealer *Sealer
	now    time.Duration

	// Report is called, if set, for datagrams that cannot be opened.
	Report func(from netip.AddrPort, why Reason)
	// Defer runs f on the node's goroutine; it may be called by any. By
	// default it calls f at once.
	Defer func(f func())

	peers   map[ID]*peer
	byShort map[ShortID]*peer
	listed  atomic.Pointer[[]*peer] // the same, for readers elsewhere

	outbox    outbox
	questions questions
	snapshot  snapshots
	forgets   map[uint64]*forgetting

	obeyed     [forgottenLen]obeyed // commands of others, the newest at nextObeyed
	nextObeyed int

	heartbeatAt time.Duration
	tail        int           // heartbeats already sent after the last batch
	tailFrom    time.Duration // when the last of these or the batch was sent

	strangers strangers

	counts counts

	// Buffers that are empty between calls. Those that hold secrets never grow,
	// or they would leave copies behind.
	plain      []byte // opened
	msgs       []byte // to be sealed
	value      []byte // found
	sealed     []byte
	ranges     []Range
	wireRanges Ranges
}

// counts are written by the node's goroutine and read by anybody.
type counts struct {
	sentDatagrams, sentBytes         metric.Counter
	receivedDatagrams, receivedBytes metric.Counter
	dropped                          [drops]metric.Counter
	sessionsOut, sessionsIn          metric.Counter
	deletesOut, deletesIn            metric.Counter
	asked, askedOther, found         metric.Counter
	absent, unanswered, refused      metric.Counter
	answered, answeredAbsent         metric.Counter
	repairAsked, repairSent          metric.Counter
	snapshotSent, snapshotIn         metric.Counter
	joinState                        metric.Gauge
	lookup                           metric.Histogram
}

// Reasons to drop a datagram or message beyond those of Open.
const (
	dropMalformed = Replayed + 1 + iota
	dropReflected // our own, sent back to us
	dropNotIntroduced
	dropTooManyPeers
	dropTooManyStrangers
	drops
)

// NewID returns a random id for a node that starts.
func NewID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// NewNode returns a node that knows nobody yet.
func NewNode(o Options, m Memory, t Transport) *Node {
	n := &Node{
		o: o, memory: m, out: t,
		sealer:  NewSealer(o.Secrets[0], o.ID),
		peers:   make(map[ID]*peer),
		byShort: make(map[ShortID]*peer),
		forgets: make(map[uint64]*forgetting),
		Defer:   func(f func()) { f() },
	}
	n.plain, n.msgs, n.value = make([]byte, 0, receiveLen), make([]byte, 0, receiveLen), make([]byte, 0, maxValueLen)
	n.outbox.init(o.DatagramLen)
	n.questions.init()
	n.snapshot.init()
	return n
}

// Rekey exchanges the live secrets of a running node.
func (n *Node) Rekey(secrets []Secret) {
	n.o.Secrets = secrets
	n.sealer.Rekey(secrets[0])
	for _, p := range n.peers {
		p.opener.Rekey(secrets)
	}
}

// Receive takes a datagram that arrived. It is not kept.
func (n *Node) Receive(now time.Duration, from netip.AddrPort, datagram []byte) {
	n.now = now
	n.counts.receivedDatagrams.Inc()
	n.counts.receivedBytes.Add(uint64(len(datagram)))
	h, reason := ParseHeader(datagram)
	if reason == Opened && h.Sender == n.o.ID {
		reason = dropReflected
	}
	if reason != Opened {
		n.drop(from, reason)
		return
	}
	p := n.peers[h.Sender]
	opener := (*Opener)(nil)
	if p != nil {
		opener = p.opener
	} else {
		if !n.knowsKey(h.KeyID) { // before deriving a key for a stranger
			n.drop(from, ForeignKey)
			return
		}
		if !n.strangers.admit(n.now) {
			n.drop(from, dropTooManyStrangers)
			return
		}
		opener = NewOpener(n.o.Secrets, h.Sender)
	}
	plain, reason := opener.Open(n.plain[:0], datagram)
	if reason != Opened {
		n.drop(from, reason)
		return
	}
	defer clear(plain)
	messages, ok := ParseMessages(plain)
	if !ok {
		n.drop(from, dropMalformed)
		return
	}
	if p == nil {
		if p = n.meet(h.Sender, opener); p == nil {
			n.drop(from, dropTooManyPeers)
			return
		}
	}
	p.heard(n.now, from, h.Counter, len(datagram))
	for m := range messages.All() {
		if m.IsFor(n.o.ID.Short()) {
			n.handle(p, m)
		}
	}
	if !p.introduced {
		n.challenge(p)
	}
}

// handle acts on one message.
func (n *Node) handle(p *peer, m Message) {
	switch m.Type { // these need no introduction
	case TypeChallenge:
		n.handleChallenge(p, m.Challenge())
		return
	case TypeResponse:
		n.handleResponse(p, m.Response())
		return
	}
	if !p.introduced {
		n.counts.dropped[dropNotIntroduced].Inc()
		return
	}
	switch m.Type {
	case TypeBatch:
		n.handleBatch(p, m.Batch())
	case TypeHeartbeat:
		n.handleHeartbeat(p, m.Heartbeat())
	case TypeEcho:
		n.handleEcho(p, m.Echo())
	case TypeRepair:
		n.handleRepair(p, m.Repair())
	case TypeAsk:
		n.handleAsk(p, m.Ask())
	case TypeAnswer:
		n.handleAnswer(p, m.Answer())
	case TypeSnapshotRequest:
		n.handleSnapshotRequest(p, m.SnapshotRequest())
	case TypeSnapshotPart:
		n.handleSnapshotPart(p, m.SnapshotPart())
	case TypeForget:
		n.handleForget(p, m.Forget())
	case TypeForgotten:
		n.handleForgotten(p, m.Forgotten())
	}
}

// Tick does what has become due and returns when to call again, at the latest.
func (n *Node) Tick(now time.Duration) (next time.Duration) {
	n.now = now
	next = n.tickHeartbeat()
	next = min(next, n.tickPeers())
	next = min(next, n.tickQuestions())
	next = min(next, n.tickSnapshot())
	return min(next, n.tickForgets())
}

func (n *Node) drop(from netip.AddrPort, why Reason) {
	n.counts.dropped[why].Inc()
	if n.Report != nil {
		n.Report(from, why)
	}
}

func (n *Node) knowsKey(id byte) bool {
	for _, s := range n.o.Secrets {
		if s.ID() == id {
			return true
		}
	}
	return false
}

// strangers bounds the work for senders that nobody has heard of, which anybody
// may invent: keys are derived before their datagrams can be refused. Peers are not
// affected, and whoever wants to become one tries again.
type strangers struct {
	left  int
	until time.Duration // when there are strangersLen again
}

const (
	// A fleet may start at once. At 5 us for each, derivations take at most
	// 1.3 % of a core.
	strangersLen   = 256
	strangersEvery = 100 * time.Millisecond
)

// admit reports whether another may be looked at now.
func (s *strangers) admit(now time.Duration) bool {
	if now >= s.until {
		s.left, s.until = strangersLen, now+strangersEvery
	}
	s.left--
	return s.left >= 0
}

// wipe overwrites the sessions that the node still holds. It must not be used
// afterwards.
func (n *Node) wipe() {
	n.outbox.wipe()
	for id := range n.snapshot.donations {
		n.snapshot.endDonation(id)
	}
}

// sendTo seals messages for one peer. Messages must have been made in n.msgs.
func (n *Node) sendTo(p *peer, messages []byte) {
	n.seal(messages)
	p.counts.sentDatagrams.Inc()
	p.counts.sentBytes.Add(uint64(len(n.sealed)))
	n.out.Send(p.addr, n.sealed)
}

// broadcast seals messages for all.
func (n *Node) broadcast(messages []byte) {
	n.seal(messages)
	n.out.Broadcast(n.sealed)
}

func (n *Node) seal(messages []byte) {
	n.sealed = n.sealer.Seal(n.sealed[:0], messages)
	clear(messages)
	n.msgs = messages[:0]
	n.counts.sentDatagrams.Inc()
	n.counts.sentBytes.Add(uint64(len(n.sealed)))
}

package replicate

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"reprise/replicate/wire"
)

const (
	// cookieEpoch is the minimum time for which a cookie is valid.
	cookieEpoch = 10 * time.Second
	// Each unknown sender gets at most retriesLen retries in retriesEvery. The sender's id has been
	// verified, so forged or replayed ids do not keep a joining node out.
	retriesLen   = 4
	retriesEvery = 20 * time.Millisecond
	// maxSenders bounds the senders for which that is recorded.
	maxSenders = 4096
	// maxBegun and maxAwaited bound introductions under way, as initiator and responder; the oldest
	// gives way.
	maxBegun   = 1024
	maxAwaited = 1024
	// introductionFor is how long an introduction may take.
	introductionFor = time.Second
	// helloAgain is when a hello is repeated, doubled each time, helloTries times; helloEvery is
	// the shortest interval at which one node may make another begin an introduction.
	helloAgain = 20 * time.Millisecond
	helloTries = 4
	helloEvery = 50 * time.Millisecond
	// maxPeers bounds the peers that nodes with the secret can make a node keep.
	maxPeers = 4096
	// clockApart is the difference of wall clocks that is reported.
	clockApart = 5 * time.Second
)

// introductions are those under way. All keys of its maps have passed the fleet's check.
type introductions struct {
	cookies *wire.CookieJar
	retried map[ShortID]retried
	begun   map[uint64]*begun // by number
	newest  map[begunKey]*begun
	awaited map[awaitedKey]*wire.Responder
	since   map[awaitedKey]time.Duration
	buf     []byte
}

// retried is the state of a possibly unknown sender.
type retried struct {
	left    int // retries that it may still get until then
	until   time.Duration
	counter uint64 // of our newest datagram that it could not open
}

// begun is an introduction that this node has begun.
type begun struct {
	*wire.Initiator
	addr    netip.AddrPort
	secret  wire.Fingerprint
	since   time.Duration
	againAt time.Duration
	tries   int
}

type begunKey struct {
	to   ShortID
	addr netip.AddrPort
}

type awaitedKey struct {
	from   ShortID
	number uint64
}

func (i *introductions) init() {
	i.cookies = wire.NewCookieJar(cookieEpoch)
	i.retried = make(map[ShortID]retried)
	i.begun = make(map[uint64]*begun)
	i.newest = make(map[begunKey]*begun)
	i.awaited = make(map[awaitedKey]*wire.Responder)
	i.since = make(map[awaitedKey]time.Duration)
}

// about returns the state of a sender, and whether there is room for it.
func (i *introductions) about(id ShortID, now time.Duration) (retried, bool) {
	r, ok := i.retried[id]
	if !ok && len(i.retried) >= maxSenders {
		for id, r := range i.retried {
			if now > r.until+introductionFor {
				delete(i.retried, id)
			}
		}
		if len(i.retried) >= maxSenders {
			return r, false
		}
	}
	return r, true
}

// retry asks the sender of a datagram that cannot be opened to introduce itself, with a datagram
// shorter than that one. It reports whether a retry was allowed.
func (n *Node) retry(from netip.AddrPort, h wire.Header, secret *liveSecret) bool {
	i := &n.intro
	r, ok := i.about(h.Sender, n.now)
	if !ok {
		return false
	}
	if n.now >= r.until {
		r.left, r.until = retriesLen, n.now+retriesEvery
	}
	if r.left == 0 {
		return false
	}
	r.left--
	i.retried[h.Sender] = r
	n.counts.Retries.Inc()
	i.buf = wire.AppendRetry(i.buf[:0], secret.check, n.id, h, i.cookies.Make(n.now, from))
	n.countSent(i.buf)
	n.out.Send(from, i.buf)
	return true
}

// receiveIntroduction handles a datagram that is not sealed.
func (n *Node) receiveIntroduction(from netip.AddrPort, datagram []byte, h wire.Header,
	secret *liveSecret,
) wire.Reason {
	switch h.Kind {
	case wire.KindRetry:
		return n.handleRetry(from, datagram, h, secret)
	case wire.KindHello:
		return n.handleHello(from, datagram, h, secret)
	case wire.KindWelcome:
		return n.handleWelcome(from, datagram, h)
	case wire.KindProof:
		return n.handleProof(from, datagram, h)
	}
	return wire.Opened // of a later version, to be skipped
}

// handleRetry begins an introduction.
func (n *Node) handleRetry(from netip.AddrPort, datagram []byte, h wire.Header,
	secret *liveSecret,
) wire.Reason {
	m, ok := wire.ParseRetry(datagram)
	if !ok {
		return wire.TooShort
	}
	if m.To != n.id {
		return wire.Opened // addressed to another node
	}
	i := &n.intro
	if wire.Kind(h.Epoch) == wire.KindHello {
		old := i.begun[h.Counter]
		if old == nil || old.addr != from {
			return wire.Replayed
		}
		n.endBegun(old)
	} else {
		// It answers a recent datagram, and each of our datagrams starts one introduction, however
		// often the answer is repeated.
		r, ok := i.about(h.Sender, n.now)
		if !ok {
			return dropIntroductions
		}
		if !n.sender.Recent(h.Counter) || h.Counter <= r.counter {
			return wire.Replayed
		}
		r.counter = h.Counter
		i.retried[h.Sender] = r
		if b := i.newest[begunKey{h.Sender, from}]; b != nil && n.now-b.since < helloEvery {
			return wire.Opened // one is under way
		}
	}
	n.hello(from, h.Sender, m.Cookie, secret)
	return wire.Opened
}

// hello begins an introduction to a node.
func (n *Node) hello(addr netip.AddrPort, to ShortID, cookie wire.Cookie, secret *liveSecret) {
	i := &n.intro
	if len(i.begun) >= maxBegun {
		var oldest *begun
		for _, b := range i.begun {
			if oldest == nil || b.since < oldest.since {
				oldest = b
			}
		}
		n.endBegun(oldest)
	}
	b := &begun{
		Initiator: wire.NewInitiator(secret.Secret, secret.check, n.id, to, cookie),
		addr:      addr, secret: secret.Fingerprint(), since: n.now, againAt: n.now + helloAgain,
	}
	i.begun[b.Number] = b
	i.newest[begunKey{to, addr}] = b
	n.counts.Hellos.Inc()
	n.countSent(b.Hello)
	n.out.Send(addr, b.Hello)
}

func (n *Node) endBegun(b *begun) {
	b.Wipe()
	delete(n.intro.begun, b.Number)
	if key := (begunKey{b.To, b.addr}); n.intro.newest[key] == b {
		delete(n.intro.newest, key)
	}
}

// handleHello answers a node that has shown a valid cookie, and else asks for one.
func (n *Node) handleHello(from netip.AddrPort, datagram []byte, h wire.Header,
	secret *liveSecret,
) wire.Reason {
	to, cookie, ok := wire.HelloTo(datagram)
	if !ok {
		return wire.TooShort
	}
	if to != n.id {
		return wire.Opened
	}
	i := &n.intro
	if !i.cookies.IsGood(n.now, from, cookie) {
		if !n.retry(from, h, secret) {
			return dropIntroductions
		}
		return dropNotIntroduced
	}
	key := awaitedKey{h.Sender, h.Counter}
	r := i.awaited[key]
	if r == nil {
		own := n.introduction()
		r, ok = wire.NewResponder(secret.Secret, secret.check, datagram, &own)
		own.Wipe()
		if !ok {
			return wire.NotAuthentic
		}
		if len(i.awaited) >= maxAwaited {
			n.endOldestAwaited()
		}
		r.Addr, r.Secret = from, secret.Fingerprint()
		i.awaited[key], i.since[key] = r, n.now
	}
	if r.Addr != from {
		return wire.Replayed
	}
	n.countSent(r.Welcome)
	n.out.Send(from, r.Welcome)
	return wire.Opened
}

func (n *Node) endOldestAwaited() {
	var oldest awaitedKey
	first := true
	for key, since := range n.intro.since {
		if first || since < n.intro.since[oldest] {
			oldest, first = key, false
		}
	}
	n.endAwaited(oldest)
}

func (n *Node) endAwaited(key awaitedKey) {
	n.intro.awaited[key].Wipe()
	delete(n.intro.awaited, key)
	delete(n.intro.since, key)
}

// handleWelcome completes an introduction for its initiator.
func (n *Node) handleWelcome(from netip.AddrPort, datagram []byte, h wire.Header) wire.Reason {
	to, ok := wire.To(datagram)
	if !ok {
		return wire.TooShort
	}
	if to != n.id {
		return wire.Opened
	}
	b := n.intro.begun[h.Counter]
	if b == nil || b.addr != from {
		return wire.Replayed
	}
	secret := n.liveSecret(b.secret)
	if secret == nil {
		return wire.ForeignSecret // the secret was replaced meanwhile
	}
	own := n.introduction()
	other, proof, ok := b.Welcome(datagram, secret.check, &own)
	own.Wipe()
	if !ok {
		return wire.NotAuthentic
	}
	n.countSent(proof)
	n.out.Send(from, proof)
	for _, other := range n.intro.begun { // others may be under way if the network is slow
		if other.To == b.To && other.addr == from {
			n.endBegun(other)
		}
	}
	// Which of the hellos it answers is unknown. Assuming the first one can only make what it sends
	// look older; assuming the last one would make it look younger, and let a session outlive the
	// rule that forgets it.
	return n.introduce(&other, from, b.secret, n.now-b.since, b.tries == 0)
}

// handleProof completes it for its responder.
func (n *Node) handleProof(from netip.AddrPort, datagram []byte, h wire.Header) wire.Reason {
	to, ok := wire.To(datagram)
	if !ok {
		return wire.TooShort
	}
	if to != n.id {
		return wire.Opened
	}
	key := awaitedKey{h.Sender, h.Counter}
	r := n.intro.awaited[key]
	if r == nil || r.Addr != from {
		return wire.Replayed
	}
	other, ok := r.Proof(datagram)
	if !ok {
		return wire.NotAuthentic
	}
	took := n.now - n.intro.since[key]
	n.endAwaited(key)
	return n.introduce(&other, from, r.Secret, took, true)
}

// introduction is this node's own introduction. The caller wipes it.
func (n *Node) introduction() wire.Introduction {
	i := wire.Introduction{
		ID: n.o.ID, Instance: n.o.Instance, Wall: n.o.Wall(), Context: n.o.Context,
		Lifetime: n.o.Lifetime, Name: n.o.Name,
	}
	n.sender.Handover(&i, n.now)
	return i
}

// introduce accepts a node that has proved itself, and its address. took is an upper bound of the
// time that its answer took, and isRTT says whether that is a round trip.
func (n *Node) introduce(
	i *wire.Introduction, from netip.AddrPort, secret wire.Fingerprint, took time.Duration,
	isRTT bool,
) wire.Reason {
	defer i.Wipe()
	if i.ID == n.o.ID || i.ID.Short() == n.id {
		return dropReflected
	}
	p := n.peers[i.ID]
	if p == nil {
		if p = n.meet(i.ID); p == nil {
			return dropTooManyPeers
		}
	}
	isNew := !p.introduced
	p.opener.Introduce(i, n.now, took)
	p.introduced, p.secret = true, secret
	p.counts.Introduced.Set(1)
	if p.instance != i.Instance { // once: any goroutine reads it in Poller.Arbiter
		p.instance = i.Instance
	}
	p.lifetime = i.Lifetime
	p.aliveAt = max(p.aliveAt, n.now-took)
	if p.name != i.Name {
		p.name = i.Name
	}
	p.prove(n.now, from)
	if p.rtt == 0 && isRTT { // as Karn's algorithm does (RFC 6298 section 3)
		p.sampleRTT(took)
	}
	p.seen = n.now
	p.counts.seen.Set(int64(n.now))
	n.contactIntroduced(p, from)
	delete(n.departed, p.id.Short())
	n.supersede(p)
	if !p.superseded {
		n.rise(p)
	}
	if isNew {
		n.counts.Introduced.Inc()
	}
	n.compare(p, i, from)
	n.sendTo(p, n.heartbeat(p.id.Short()).Append(n.begin()))
	return wire.Opened
}

// compare reports settings that should be the same at all nodes and differ.
func (n *Node) compare(p *peer, i *wire.Introduction, from netip.AddrPort) {
	apart := i.Wall.Sub(n.o.Wall())
	isApart := apart > clockApart || apart < -clockApart
	differs := i.Context != n.o.Context
	p.counts.clockApart.Set(int64(apart))
	p.counts.foreignContext.Set(boolean(differs))
	c := n.contacts[from]
	if c != nil {
		c.foreignContext.Set(boolean(differs))
		c.clockApart.Set(int64(apart))
	}
	if p.told.isNew(NoticeContext, differs) {
		n.notice(Notice{
			Kind: NoticeContext, Addr: from, Name: n.label(p),
			Theirs: fmt.Sprintf("%016x", i.Context), Ours: fmt.Sprintf("%016x", n.o.Context),
		})
	}
	if p.told.isNew(NoticeLifetime, i.Lifetime != n.o.Lifetime) {
		n.notice(Notice{
			Kind: NoticeLifetime, Addr: from, Name: n.label(p),
			Theirs: i.Lifetime.String(), Ours: n.o.Lifetime.String(),
		})
	}
	if p.told.isNew(NoticeClock, isApart) {
		n.notice(Notice{
			Kind: NoticeClock, Addr: from, Name: n.label(p),
			Theirs: apart.Round(time.Second).String(),
		})
	}
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// tickIntroductions repeats hellos to addresses that are configured or have proved themselves
// before: others get one hello for each retry.
func (n *Node) tickIntroductions() time.Duration {
	i := &n.intro
	next := n.now + time.Second
	for _, number := range keysOf(i.begun, cmp.Compare) {
		b := i.begun[number]
		switch {
		case n.now-b.since >= introductionFor:
			n.endBegun(b)
			continue
		case b.tries < helloTries && n.mayRepeat(b) && n.now >= b.againAt:
			b.tries++
			b.againAt = n.now + helloAgain<<b.tries
			n.countSent(b.Hello)
			n.out.Send(b.addr, b.Hello)
		}
		if b.tries < helloTries && n.mayRepeat(b) {
			next = min(next, b.againAt)
		}
	}
	for key, since := range i.since {
		if n.now-since >= introductionFor {
			n.endAwaited(key)
		}
	}
	return next
}

func (n *Node) mayRepeat(b *begun) bool {
	if n.contacts[b.addr] != nil {
		return true
	}
	p := n.byShort[b.To]
	return p != nil && p.hasProved(b.addr)
}

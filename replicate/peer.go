package replicate

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"reprise/replicate/wire"
)

const (
	// keysFor is how long the keys of a silent peer are kept: as long as two keys are in use, so
	// that they open nothing older.
	keysFor = 2 * wire.RatchetEvery
	// catchUpLen is how many batches from before its introduction a peer is asked for. Older
	// sessions come by the snapshot, or when they are missed.
	catchUpLen = 256
	// maxProved bounds the addresses of one peer.
	maxProved = 8
)

// A peer is another node in one life of its process.
type peer struct {
	id       ID
	instance Instance
	name     string        // as announced
	lifetime time.Duration // of sessions there, as announced

	// Keys exist once the peer has proved that it has the secret and lives.
	introduced bool
	secret     wire.Fingerprint // the secret of its introduction
	opener     wire.Opener

	addr   netip.AddrPort // where datagrams for it go, one of proved
	proved []provedAddr

	seen       time.Duration
	up         bool          // heard recently
	upAt       time.Duration // since when
	superseded bool          // by a later life of the same instance
	// It existed at firstAt or before, and lived at aliveAt or after: that distinguishes a life
	// that has ended from another node of the same name.
	firstAt, aliveAt time.Duration

	rtt time.Duration // smoothed, 0 if unknown

	in   [2]inbound // its batches, by stream
	home stream     // ours for it

	released *wire.Window // its questions that have ended

	tail     int // of home
	tailFrom time.Duration

	echoedAt  time.Duration // when it got an echo of us
	echoAt    time.Duration // when we got an echo of it
	deaf      bool          // it does not receive what is sent to groups
	rulesAt   time.Duration // when it may be sent the rules again
	membersAt time.Duration // when it was sent the members
	toldSelf  uint32        // the digests at that time
	toldOther uint32

	told   complaints
	status peerStatus

	counts peerCounts
}

// complaints are those made about a peer or an address, by kind: each is made once, until the cause
// is gone.
type complaints [NoticeLifetime + 1]bool

// isNew reports whether a fault has not yet been reported.
func (c *complaints) isNew(kind NoticeKind, wrong bool) bool {
	told := c[kind]
	c[kind] = wrong
	return wrong && !told
}

type provedAddr struct {
	addr  netip.AddrPort
	heard time.Duration
}

// heard records that the peer lives, and reports whether it has proved the address from which the
// datagram came.
func (p *peer) heard(now time.Duration, from netip.AddrPort, size int) bool {
	p.counts.ReceivedDatagrams.Inc()
	p.counts.ReceivedBytes.Add(uint64(size))
	p.seen = now
	p.counts.seen.Set(int64(now))
	for i := range p.proved {
		if p.proved[i].addr == from {
			p.proved[i].heard = now
			return true
		}
	}
	return false
}

// prove records that the peer receives what is sent to addr.
func (p *peer) prove(now time.Duration, addr netip.AddrPort) {
	if !p.heardAt(now, addr) {
		if len(p.proved) == maxProved {
			p.proved = append(p.proved[:0], p.proved[1:]...)
		}
		p.proved = append(p.proved, provedAddr{addr, now})
	}
	if !p.addr.IsValid() {
		p.moveTo(addr)
	}
}

func (p *peer) heardAt(now time.Duration, addr netip.AddrPort) bool {
	for i := range p.proved {
		if p.proved[i].addr == addr {
			p.proved[i].heard = now
			return true
		}
	}
	return false
}

func (p *peer) hasProved(addr netip.AddrPort) bool {
	for i := range p.proved {
		if p.proved[i].addr == addr {
			return true
		}
	}
	return false
}

func (p *peer) moveTo(addr netip.AddrPort) {
	if p.addr != addr {
		p.addr = addr
		moved := addr // otherwise each call would allocate
		p.counts.addr.Store(&moved)
	}
}

// settle chooses the address to send to: the one in use while the peer is heard from there, else
// the one from which it was heard last.
func (p *peer) settle(now, deadAfter time.Duration) {
	best := provedAddr{}
	for _, a := range p.proved {
		if a.addr == p.addr && now-a.heard < deadAfter {
			return
		}
		if !best.addr.IsValid() || a.heard > best.heard {
			best = a
		}
	}
	if best.addr.IsValid() {
		p.moveTo(best.addr)
	}
}

// alive reports whether p can be asked.
func (n *Node) alive(p *peer) bool { return p.introduced && n.now-p.seen < n.o.DeadAfter }

// meet adds a node that has proved itself. It returns nil if there is no room for another.
func (n *Node) meet(id ID) *peer {
	if len(n.peers) >= maxPeers && !n.forgetOldest() {
		return nil
	}
	if old := n.byShort[id.Short()]; old != nil {
		n.removePeer(old) // the same short id by chance
	}
	p := &peer{id: id, firstAt: n.now, echoedAt: n.now - n.o.Heartbeat, echoAt: n.now}
	for s := range p.in {
		p.in[s] = inbound{peer: p, stream: wire.Stream(s)}
	}
	n.peers[id], n.byShort[id.Short()] = p, p
	at, _ := slices.BinarySearchFunc(n.known, p, comparePeers)
	n.known = slices.Insert(slices.Clone(n.known), at, p)
	return p
}

func (n *Node) removePeer(p *peer) {
	delete(n.peers, p.id)
	n.known = slices.DeleteFunc(slices.Clone(n.known), func(o *peer) bool { return o == p })
	if n.byShort[p.id.Short()] == p {
		delete(n.byShort, p.id.Short())
	}
	p.opener.Wipe()
	p.home.wipe()
	n.mode.homeFirst = max(n.mode.homeFirst, p.home.seq+1) // the peer may remember the stream
	p.introduced = false
	n.snapshot.endDonation(p.id)
	n.unlist(p)
	p.up = false
	n.retarget()
}

// forgetOldest makes room by removing a dead peer.
func (n *Node) forgetOldest() bool {
	var oldest *peer
	for _, p := range n.known {
		if !n.alive(p) && (oldest == nil || p.seen < oldest.seen) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	n.removePeer(oldest)
	return true
}

// rise records that a silent peer is heard again.
func (n *Node) rise(p *peer) {
	if p.up {
		return
	}
	p.up, p.upAt, p.deaf, p.echoAt = true, n.now, false, n.now
	delete(n.rumours, p.id.Short())
	n.list(p)
	n.retarget()
	n.notice(Notice{Kind: NoticeUp, Addr: p.addr, Name: n.label(p)})
}

// leave handles a peer's leave message.
func (n *Node) leave(p *peer) {
	n.notice(Notice{Kind: NoticeLeft, Addr: p.addr, Name: n.label(p)})
	n.depart(p.id.Short(), departed{addr: p.addr, until: n.now + n.keepFor(p.lifetime)})
	n.removePeer(p)
}

// keepFor is how long after its last datagram a node may still have sessions of that lifetime: for
// so long it is remembered, and rules for it are kept.
func (n *Node) keepFor(lifetime time.Duration) time.Duration {
	return max(n.o.KnownFor, min(lifetime, longestLife)+n.o.KnownFor-n.o.Lifetime)
}

// longest is the longest session lifetime of all nodes.
func (n *Node) longest() time.Duration {
	longest := n.o.KnownFor
	for _, p := range n.known {
		longest = max(longest, n.keepFor(p.lifetime))
	}
	return longest
}

// supersede compares p with other lives of its installation.
func (n *Node) supersede(p *peer) {
	if p.instance == (Instance{}) || n.copied[p.instance] {
		return
	}
	for _, other := range n.known {
		if other != p && other.instance == p.instance {
			n.order(p, other)
		}
	}
	n.dropRumoursOf(p.instance)
}

// order finds out which of two lives of one installation is the later one; the other's memory is
// gone. A life that was alive when the other already existed is the later one, since they cannot
// exist at once. If that holds for both, they are two nodes, and no node of that name is taken for
// ended any more before its sessions have ended.
func (n *Node) order(a, b *peer) {
	aLater, bLater := a.aliveAt >= b.firstAt, b.aliveAt >= a.firstAt
	switch {
	case aLater && bLater:
		n.noteCopies(a, b)
	case aLater:
		n.end(b)
	case bLater:
		n.end(a)
	default: // both came at once, and one may be late
		n.unordered = true
	}
}

func (n *Node) end(p *peer) {
	if !p.superseded {
		p.superseded = true
		n.unlist(p)
		n.retarget()
	}
}

func (n *Node) noteCopies(a, b *peer) {
	if len(n.copied) >= maxPeers || n.copied[a.instance] {
		return
	}
	n.copied[a.instance] = true
	for _, p := range n.known {
		if p.instance == a.instance && p.superseded {
			p.superseded = false
			n.list(p)
		}
	}
	n.retarget()
	n.notice(Notice{
		Kind: NoticeCopies, Addr: a.addr, Name: n.label(a), Theirs: n.label(b),
		Ours: b.addr.String(),
	})
}

// sweepPeer does what is due after some silence of a peer.
func (n *Node) sweepPeer(p *peer) {
	silent := n.now - p.seen
	p.opener.Expire(n.now)
	if p.up {
		p.settle(n.now, n.o.DeadAfter)
		for _, a := range p.proved {
			if c := n.contacts[a.addr]; c != nil && a.heard > c.heardAt {
				c.heardAt = a.heard
				c.state.Set(int64(Alive))
			}
		}
		if deaf := n.now-p.echoAt > 3*n.o.Heartbeat; deaf && !p.deaf {
			p.deaf = true
			n.retarget()
		}
	}
	if p.superseded {
		n.supersede(p)
	}
	if p.up && silent >= n.o.DeadAfter {
		p.up = false
		n.retarget()
		if !p.superseded { // as another life, it was announced as up
			n.notice(Notice{Kind: NoticeDown, Addr: p.addr, Name: n.label(p)})
		}
	}
	if !p.up && p.superseded || silent >= max(n.keepFor(p.lifetime), keysFor) {
		n.removePeer(p)
		return
	}
	if p.introduced && silent >= keysFor {
		p.opener.Wipe()
		p.introduced = false
		p.counts.Introduced.Set(0)
	}
}

// label names a peer in logs and statistics: by its name, or its address.
func (n *Node) label(p *peer) string {
	if p.name != "" {
		return p.name
	}
	if c := n.contacts[p.addr]; c != nil {
		return c.label()
	}
	return p.addr.String()
}

// retarget recomputes the targets after members have changed.
func (n *Node) retarget() {
	n.members = append(n.members[:0], member{nil, memberHash(n.o.ID, n.o.Instance)})
	n.beats, n.told = n.beats[:0], n.told[:0]
	hasGroup := false
	for _, c := range n.contacts {
		n.beats = append(n.beats, c.addr)
		if c.isGroup {
			hasGroup = true
			n.told = append(n.told, c.addr)
		}
	}
	clear(n.placed)
	for _, p := range n.known {
		if q := n.placed[p.addr]; q == nil || !q.up {
			n.placed[p.addr] = p
		}
		if !p.up || p.superseded {
			continue
		}
		n.members = append(n.members, member{p, memberHash(p.id, p.instance)})
		isContact := n.contacts[p.addr] != nil
		if hasGroup && !isContact && !p.deaf {
			continue // it receives the group's datagrams
		}
		if !isContact {
			n.beats = append(n.beats, p.addr)
		}
		if !contains(n.told, p.addr) { // several may be behind one repeater
			n.told = append(n.told, p.addr)
		}
	}
	sortAddrs(n.beats)
	sortAddrs(n.told)
	tellApart(n.members, n.o.ID)
	up := make(map[ShortID]*peer, len(n.members))
	for _, m := range n.members {
		if m.peer != nil {
			up[m.peer.id.Short()] = m.peer
		}
	}
	n.up.Store(&up)
	n.redigest()
}

// redigest computes the digest of the known nodes: in contact, or silent.
func (n *Node) redigest() {
	n.digest = n.id.Uint32()
	for id, p := range n.byShort {
		switch {
		case p.superseded:
		case p.up:
			n.digest ^= id.Uint32()
		default:
			n.digest ^= silentDigest(id)
		}
	}
	for id := range n.rumours {
		if n.byShort[id] == nil {
			n.digest ^= silentDigest(id)
		}
	}
}

// silentDigest represents a silent node in a digest.
func silentDigest(id ShortID) uint32 { return bits.RotateLeft32(id.Uint32(), 16) }

// Reachable reports whether a node is in contact. Any goroutine may call it.
func (n *Node) Reachable(id ShortID, now time.Duration) bool {
	p := (*n.up.Load())[id]
	return p != nil && now-time.Duration(p.counts.seen.Load()) < n.o.DeadAfter
}

// heartbeatTail has the delays of further heartbeats, each after the one before and the first after
// the last batch. They let receivers detect a missing end long before the regular heartbeat. While
// batches keep coming, these have the same effect, and the tail waits.
var heartbeatTail = [...]time.Duration{
	25 * time.Millisecond, 50 * time.Millisecond,
	150 * time.Millisecond,
}

// heartbeatStart has the delays of further heartbeats after the first ones of a node's life.
var heartbeatStart = [...]time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond,
	200 * time.Millisecond, 400 * time.Millisecond,
}

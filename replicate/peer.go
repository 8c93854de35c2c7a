package replicate

import (
	"crypto/rand"
	"crypto/subtle"
	"net/netip"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
)

const (
	// maxPeers bounds what senders with the secret can make a node remember.
	maxPeers = 4096
	// challengeEvery bounds challenges to one peer.
	challengeEvery = 50 * time.Millisecond
	challengeLen   = DatagramOverhead + messageHeaderLen + 20
	// forgetAfter is when a peer that fell silent is forgotten; should it
	// come back with the same id, it is introduced anew.
	forgetAfter = 10 * time.Minute
	// catchUpLen is how many batches from before its introduction a peer is
	// asked for. More comes by the snapshot, or when it is missed.
	catchUpLen = 256
)

// A peer is another node in one life of its process.
type peer struct {
	id     ID
	addr   netip.AddrPort // where its newest datagram came from
	opener *Opener

	// A recording of an earlier life opens like a datagram. So a peer must
	// answer a nonce before anything it says has an effect.
	introduced   bool
	nonce        Nonce
	challengedAt time.Duration

	newest uint64 // counter of its newest datagram
	seen   time.Duration
	rtt    time.Duration // smoothed, 0 if not known
	offset time.Duration // of our clock against the peer's, 0 if not known

	batches     tracker
	tracking    bool // batches has been told where to begin
	repairAt    time.Duration
	repairing   uint64 // the oldest missing batch when it was last asked for
	repairTries int    // of that one

	echoedAt time.Duration

	counts peerCounts
}

// peerCounts are written by the node's goroutine and read by anybody.
type peerCounts struct {
	sentDatagrams, sentBytes         metric.Counter
	receivedDatagrams, receivedBytes metric.Counter
	lag                              metric.Histogram
	rtt                              metric.Gauge // nanoseconds
	lost                             metric.Gauge // batches given up
	repaired                         metric.Counter
	repeated                         metric.Gauge
	seen                             metric.Gauge // nanoseconds on the node's clock
	introduced                       metric.Gauge // 0 or 1
	addr                             atomic.Pointer[netip.AddrPort]
}

// heard notes that the peer lives.
func (p *peer) heard(now time.Duration, from netip.AddrPort, counter uint64, size int) {
	p.counts.receivedDatagrams.Inc()
	p.counts.receivedBytes.Add(uint64(size))
	p.seen = now
	p.counts.seen.Set(int64(now))
	if counter >= p.newest { // a delayed datagram does not say where the peer is now
		p.newest = counter
		p.moveTo(from)
	}
}

// alive reports whether p can be asked something.
func (n *Node) alive(p *peer) bool { return p.introduced && n.now-p.seen < n.o.DeadAfter }

// meet remembers a sender whose datagram opened. It returns nil if there is no
// room for another.
func (n *Node) meet(id ID, opener *Opener) *peer {
	if len(n.peers) >= maxPeers && !n.forgetOldest() {
		return nil
	}
	p := &peer{id: id, opener: opener, challengedAt: n.now - challengeEvery, echoedAt: n.now - n.o.Heartbeat}
	n.peers[id], n.byShort[id.Short()] = p, p
	n.list(p, true)
	return p
}

func (n *Node) removePeer(p *peer) {
	delete(n.peers, p.id)
	if n.byShort[p.id.Short()] == p {
		delete(n.byShort, p.id.Short())
	}
	n.snapshot.endDonation(p.id)
	n.list(p, false)
}

// forgetOldest makes room by forgetting a dead peer.
func (n *Node) forgetOldest() bool {
	var oldest *peer
	for _, p := range n.peers {
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

// mayChallenge reports whether p may be challenged again. A recording can be sent
// from a forged address: until the proof, p gets at most three times the bytes that
// came from it (RFC 9000, Section 8.1).
func (p *peer) mayChallenge() bool {
	return p.counts.sentBytes.Load()+challengeLen <= 3*p.counts.receivedBytes.Load()
}

// challenge asks p to prove that it lives now.
func (n *Node) challenge(p *peer) {
	if n.now-p.challengedAt < challengeEvery || !p.mayChallenge() {
		return
	}
	p.challengedAt = n.now
	if p.nonce == (Nonce{}) {
		_, _ = rand.Read(p.nonce[:])
	}
	n.sendTo(p, Challenge{To: p.id.Short(), Nonce: p.nonce}.Append(n.msgs[:0]))
}

// handleChallenge answers, also to somebody who is not introduced: the answer
// tells nothing and is hardly larger than the question.
func (n *Node) handleChallenge(p *peer, m Challenge) {
	messages := Response{To: p.id.Short(), Nonce: m.Nonce}.Append(n.msgs[:0])
	n.sendTo(p, n.heartbeat().Append(messages))
}

func (n *Node) handleResponse(p *peer, m Response) {
	if p.introduced || p.nonce == (Nonce{}) || subtle.ConstantTimeCompare(m.Nonce[:], p.nonce[:]) != 1 {
		return
	}
	p.introduced = true
	p.counts.introduced.Set(1)
}

// heartbeatTail is when further heartbeats, each after the one before and the
// first after the last batch, let receivers find that the end is missing, long
// before the regular one. While batches keep coming these say as much, and the tail
// waits.
var heartbeatTail = [...]time.Duration{3 * time.Millisecond, 15 * time.Millisecond, 75 * time.Millisecond}

func (n *Node) heartbeat() Heartbeat {
	return Heartbeat{Newest: n.outbox.seq, Oldest: n.outbox.oldest(), Sent: uint64(n.now / time.Microsecond)}
}

func (n *Node) tickHeartbeat() time.Duration {
	if n.now >= n.nextHeartbeat() {
		n.broadcast(n.heartbeat().Append(n.msgs[:0]))
		n.heartbeatAt = n.now + n.o.Heartbeat
		if n.tail < len(heartbeatTail) {
			n.tail++
			n.tailFrom = n.now
		}
	}
	return n.nextHeartbeat()
}

// nextHeartbeat is when the regular one or one of the tail is due.
func (n *Node) nextHeartbeat() time.Duration {
	if n.tail < len(heartbeatTail) {
		return min(n.heartbeatAt, n.tailFrom+heartbeatTail[n.tail])
	}
	return n.heartbeatAt
}

// startTail is called for each batch.
func (n *Node) startTail() { n.tail, n.tailFrom = 0, n.now }

func (n *Node) handleHeartbeat(p *peer, m Heartbeat) {
	if n.now-p.echoedAt >= n.o.Heartbeat/2 { // those of the tail are not for timing
		p.echoedAt = n.now
		n.sendTo(p, Echo{To: p.id.Short(), Sent: m.Sent}.Append(n.msgs[:0]))
	}
	if p.rtt != 0 {
		p.offset = n.now - time.Duration(m.Sent)*time.Microsecond - p.rtt/2
	}
	if !p.tracking {
		p.track(m.Newest + 1)
	}
	p.batches.announce(m.Newest)
	p.batches.giveUp(m.Oldest)
	n.noteGaps(p)
}

func (n *Node) handleEcho(p *peer, m Echo) {
	rtt := n.now - time.Duration(m.Sent)*time.Microsecond - m.Held
	if rtt < 0 || rtt > time.Minute {
		return // not ours, or the peer's invention
	}
	p.sampleRTT(rtt)
}

func (p *peer) sampleRTT(rtt time.Duration) {
	if p.rtt == 0 {
		p.rtt = rtt
	} else {
		p.rtt += (rtt - p.rtt) / 8 // as TCP does (RFC 6298)
	}
	p.counts.rtt.Set(int64(p.rtt))
}

// track begins to follow p's batches, with the last ones before seq.
func (p *peer) track(seq uint64) {
	p.tracking = true
	p.batches.from(max(1, seq-min(seq, catchUpLen)))
}

// tickPeers repairs what is missing and forgets who is long gone.
func (n *Node) tickPeers() time.Duration {
	next := n.now + time.Second
	for _, p := range n.peers {
		switch {
		case n.now-p.seen >= forgetAfter:
			n.removePeer(p)
		case !p.introduced && p.mayChallenge():
			n.challenge(p)
			next = min(next, p.challengedAt+challengeEvery)
		case p.introduced && !p.batches.complete():
			next = min(next, n.repair(p))
		}
	}
	return next
}

// closest returns the live peer with the shortest round trip, other than not.
func (n *Node) closest(not *peer) *peer {
	var best *peer
	for _, p := range n.peers {
		if p != not && n.alive(p) && (best == nil || p.rtt < best.rtt) {
			best = p
		}
	}
	return best
}

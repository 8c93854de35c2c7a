package replicate

import (
	"time"

	"reprise/replicate/wire"
)

func (n *Node) heartbeat(to ShortID) wire.Heartbeat {
	return wire.Heartbeat{
		To: to, Newest: n.all.seq, Oldest: n.all.oldest(), Sent: uint64(n.now / time.Microsecond),
		Rules: n.memory.RulesDigest(), Members: n.digest,
	}
}

func (n *Node) tickHeartbeat() time.Duration {
	switch {
	case n.now >= n.heartbeatAt:
		n.seal(n.heartbeat(wire.Everybody).Append(n.begin()))
		n.out.SendAll(n.beats, n.sealed)
		n.heartbeatAt = n.now + n.o.Heartbeat
		if n.starting < len(heartbeatStart) {
			n.heartbeatAt = n.now + min(n.o.Heartbeat, heartbeatStart[n.starting])
			n.starting++
		}
	case n.now >= n.tailAt():
		n.seal(n.heartbeat(wire.Everybody).Append(n.begin()))
		n.out.SendAll(n.told, n.sealed)
		n.tail++
		n.tailFrom = n.now
	}
	return min(n.heartbeatAt, n.tailAt())
}

// tailAt is when the next heartbeat of the tail is due.
func (n *Node) tailAt() time.Duration {
	if n.all.seq == 0 || n.tail >= len(heartbeatTail) {
		return n.heartbeatAt
	}
	return n.tailFrom + heartbeatTail[n.tail]
}

func (n *Node) handleHeartbeat(p *peer, m wire.Heartbeat) {
	if n.now-p.echoedAt >= n.o.Heartbeat/2 { // those of the tail are not for timing
		p.echoedAt = n.now
		n.sendTo(p, wire.Echo{
			To: p.id.Short(), Sent: m.Sent, Stream: wire.StreamHome, Newest: p.home.seq,
			Oldest: p.home.oldest(),
		}.Append(n.begin()))
	}
	n.announce(&p.in[wire.StreamAll], m.Newest, m.Oldest)
	if m.Rules != n.memory.RulesDigest() && n.now >= p.rulesAt {
		p.rulesAt = n.now + n.o.Heartbeat/2
		n.sendRules(p)
	}
	if m.Members != n.digest {
		n.sendMembers(p, m.Members)
	}
}

func (n *Node) handleEcho(p *peer, m wire.Echo) {
	if m.Stream == wire.StreamHome {
		n.announce(&p.in[wire.StreamHome], m.Newest, m.Oldest)
	}
	if m.Sent == 0 {
		return
	}
	p.echoAt = n.now
	rtt := n.now - time.Duration(m.Sent)*time.Microsecond - m.Held
	if rtt < 0 || rtt > time.Minute {
		return // not ours, or the peer's invention
	}
	p.sampleRTT(rtt)
}

// sampleRTT takes the round-trip time of the answer being handled.
func (p *peer) sampleRTT(rtt time.Duration) {
	p.opener.Sample(rtt)
	if p.rtt == 0 {
		p.rtt = max(rtt, 1)
	} else {
		p.rtt += (rtt - p.rtt) / 8 // as TCP does (RFC 6298)
	}
	p.counts.rtt.Set(int64(p.rtt))
}

// closest returns the live peer with the shortest round trip, except not.
func (n *Node) closest(not *peer) *peer {
	var best *peer
	for _, m := range n.members {
		p := m.peer
		if p != nil && p != not && n.alive(p) && (best == nil || p.rtt < best.rtt) {
			best = p
		}
	}
	return best
}

package replicate

import (
	"encoding/binary"
	"time"
)

// Arbiter returns the node that decides which handshake may use a single-use session: its owner
// while that can be asked, otherwise the first of its homes among the nodes in contact and this
// one, for which self is true. Nodes in contact with each other choose the same one. Any goroutine
// may call it.
func (p *Poller) Arbiter(key Key, owner ShortID) (arbiter ShortID, self bool) {
	return p.node.Arbiter(p.Now(), key, owner)
}

// Arbiter is [Poller.Arbiter] at a given time.
func (n *Node) Arbiter(now time.Duration, key Key, owner ShortID) (arbiter ShortID, self bool) {
	if owner == n.o.ID.Short() {
		return owner, true
	}
	if n.Reachable(owner, now) {
		return owner, false
	}
	k := binary.BigEndian.Uint64(key[:])
	arbiter, self = n.o.ID.Short(), true
	first := score(k, memberHash(n.o.ID, n.o.Instance))
	for id, peer := range *n.up.Load() {
		s := score(k, memberHash(peer.id, peer.instance))
		// Copies of one machine have equal scores: then the smaller id, wherever it is computed.
		if (s > first || s == first && compareShort(id, arbiter) < 0) && n.Reachable(id, now) {
			arbiter, self, first = id, false, s
		}
	}
	return arbiter, self
}

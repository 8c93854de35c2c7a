package replicate

import (
	"encoding/binary"
	"time"
)

// Arbiter returns the node that decides which handshake may use a session that is
// for one use: its owner while that can be asked, otherwise the first of its homes
// among the nodes that are heard and this one, which self says it is. Nodes that hear
// each other choose the same one. Any goroutine may call it.
func (p *Poller) Arbiter(key Key, owner ShortID) (arbiter ShortID, self bool) {
	return p.node.Arbiter(p.Now(), key, owner)
}

// Arbiter is what [Poller.Arbiter] says.
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
		// Copies of one machine have the same: then the smaller id, wherever it is looked at.
		if (s > first || s == first && compareShort(id, arbiter) < 0) && n.Reachable(id, now) {
			arbiter, self, first = id, false, s
		}
	}
	return arbiter, self
}

package replicate

import (
	"bytes"
	"slices"
	"time"
)

// Reachable reports whether the node that made a session can be asked about it: a
// peer that has proved itself and is heard now. It may be called from any goroutine.
func (p *Poller) Reachable(owner ShortID) bool { return p.node.reachable(p.Now(), owner) }

func (n *Node) reachable(now time.Duration, owner ShortID) bool {
	list := n.listed.Load()
	if list == nil {
		return false
	}
	at, _ := slices.BinarySearchFunc(*list, owner, func(p *peer, short ShortID) int { return bytes.Compare(p.id[:len(short)], short[:]) })
	for _, p := range (*list)[at:] {
		if p.id.Short() != owner {
			break
		}
		if p.counts.introduced.Load() == 1 && now-time.Duration(p.counts.seen.Load()) < n.o.DeadAfter {
			return true
		}
	}
	return false
}

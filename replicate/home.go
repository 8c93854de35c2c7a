package replicate

import (
	"encoding/binary"
	"time"
)

// In a large fleet each session is sent to two homes instead of all: the two nodes in contact for
// which a hash of the session's key and the node's id is the highest (rendezvous hashing). So the
// cost does not grow with the fleet, and homes need not be announced: a node that comes or goes
// changes only the homes of its share. No session moves then. A node that needs a session asks its
// owner, which always has it, and the homes when the owner is gone or silent.

const (
	// pushNodes is the largest number of nodes for which mode auto sends each session to all: up to
	// there that costs no more, since few sessions have to be asked for. At eight nodes homes cost as
	// much CPU time as push (docs/SCALING.md) and a quarter of the memory.
	pushNodes = 4
	// autoDelay is how long a fleet must have been larger or smaller before the mode changes, so
	// that a restart does not change it.
	autoDelay = 10 * time.Second
)

// A member is a node to which sessions may be sent: a peer that is up, or this node itself, which
// has no peer.
type member struct {
	peer *peer
	hash uint64
}

// memberHash represents a node in the choice of homes: it depends on the installation, so that
// after a restart the node is a home of the same sessions.
func memberHash(id ID, instance Instance) uint64 {
	name := [16]byte(instance)
	if instance == (Instance{}) {
		name = id
	}
	return score(binary.BigEndian.Uint64(name[:]), binary.BigEndian.Uint64(name[8:]))
}

// tellApart gives members that were installed as copies of each other different hashes.
func tellApart(members []member, own ID) {
	for i := range members {
		for j := range members[:i] {
			if members[i].hash != members[j].hash {
				continue
			}
			for _, k := range []int{i, j} {
				id := own
				if members[k].peer != nil {
					id = members[k].peer.id
				}
				members[k].hash = memberHash(id, Instance{})
			}
		}
	}
}

// score is the rank of a member as a home for a key: the finalizer of splitmix64, over two random
// numbers.
func score(key, member uint64) uint64 {
	x := key*0x9e3779b97f4a7c15 ^ member
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// homesOf returns the two homes of a session; nil stands for this node.
func (n *Node) homesOf(key Key) (a, b *peer) {
	var first, second uint64
	k := binary.BigEndian.Uint64(key[:])
	for i := range n.members {
		m := &n.members[i]
		switch s := score(k, m.hash); {
		case s > first:
			second, b = first, a
			first, a = s, m.peer
		case s > second:
			second, b = s, m.peer
		}
	}
	return a, b
}

// autoMode is the choice between push and homes in mode auto.
type autoMode struct {
	homes     bool
	since     time.Duration // when the fleet last had a size that fits the choice
	began     time.Duration
	homeFirst uint64 // where new streams of home batches begin
}

func (a *autoMode) update(n *Node) {
	if a.began == 0 {
		a.began, a.since = n.now, n.now
	}
	large := len(n.members) > pushNodes
	switch {
	case large == a.homes:
		a.since = n.now
	case n.now-a.since >= autoDelay || large && n.now-a.began < autoDelay:
		a.homes, a.since = large, n.now
	}
	n.counts.Homes.Set(boolean(n.sends() == Homes))
}

// sends is the mode in force.
func (n *Node) sends() Mode {
	switch {
	case n.o.Mode != Auto:
		return n.o.Mode
	case n.mode.homes:
		return Homes
	}
	return Push
}

package replicate

import (
	"encoding/binary"
	"time"
)

// In a large fleet each session is sent to two homes instead of all: those two of
// the nodes that are heard for which a hash of the session's key and the node's id is
// the highest (rendezvous hashing). So its cost does not grow with the fleet, and no
// node needs to be told who is whose home: a node that comes or goes changes the
// homes of its share only. Nothing moves then. Who looks for a session asks its
// owner, who always has it, and the homes when the owner is gone or silent.

const (
	// pushNodes is up to how many nodes every session goes to each, in mode
	// auto: then it is as cheap, and nothing has to be asked for.
	pushNodes = 4
	// autoDelay is how long a fleet must have been larger or smaller before the
	// mode changes, so that a restart does not change it.
	autoDelay = 10 * time.Second
)

// A member is a node that sessions may be sent to: a peer that is up, or this node
// itself, which has no peer.
type member struct {
	peer *peer
	hash uint64
}

// memberHash is what a node is called when homes are chosen: by its installation, so
// that after a restart it is a home of the same sessions.
func memberHash(id ID, instance Instance) uint64 {
	name := [16]byte(instance)
	if instance == (Instance{}) {
		name = id
	}
	return score(binary.BigEndian.Uint64(name[:]), binary.BigEndian.Uint64(name[8:]))
}

// tellApart sees to it that no two members have one hash, because they were installed
// as copies of each other.
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

// score says how much a member is a home for a key: the finalizer of splitmix64,
// over two random numbers.
func score(key, member uint64) uint64 {
	x := key*0x9e3779b97f4a7c15 ^ member
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// homesOf returns the two homes of a session; this node itself is nil.
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
	since     time.Duration // when the fleet last had a size that the choice fits
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

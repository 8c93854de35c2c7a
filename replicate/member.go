package replicate

import (
	"net/netip"
	"slices"
	"time"

	"reprise/replicate/wire"
)

// Nodes tell each other whom they hear, when they find by heartbeats that it is not
// the same. So all of a fleet become introduced to each other, even if a names b and
// c names a in their configurations and nothing else is named.

const (
	// membersAgain is when a peer is told of the same members again that it
	// cannot hear.
	membersAgain = 30 * time.Second
	// maxRumours bounds the nodes heard of and not introduced.
	maxRumours = 1024
	// rumourFor is how long one counts as part of the fleet that only others
	// hear.
	rumourFor = 5 * time.Second
	// knockMost is the longest time between two heartbeats to such a node.
	knockMost = 30 * time.Second
	// membersPerDatagram keeps a list within the smallest datagram.
	membersPerDatagram = 48
)

// A rumour is a node that a peer hears and this one does not.
type rumour struct {
	addr    netip.AddrPort
	heard   time.Duration // of it, last
	knockAt time.Duration
	wait    time.Duration
}

// sendMembers tells p who is there, since it hears others.
func (n *Node) sendMembers(p *peer, theirs uint32) {
	p.membersAt = n.now + n.o.Heartbeat/2
	if p.toldSelf == n.digest && p.toldOther == theirs {
		p.membersAt = n.now + membersAgain
	}
	p.toldSelf, p.toldOther = n.digest, theirs
	var list wire.MemberList
	flush := func() {
		if len(list) > 0 {
			n.sendTo(p, wire.Members{To: p.id.Short(), List: list}.Append(n.begin()))
			list = list[:0]
		}
	}
	count := 0
	for _, m := range n.members {
		if m.peer == nil || m.peer == p {
			continue
		}
		list = list.Append(wire.Member{ID: m.peer.id.Short(), Addr: m.peer.addr})
		if count++; count%membersPerDatagram == 0 {
			flush()
		}
	}
	flush()
}

// handleMembers notes who is there, and talks to those that are not known. Where
// they are is what a peer says: they get a heartbeat, which they answer with a retry
// if they are what they are said to be.
func (n *Node) handleMembers(m wire.Members) {
	for member := range m.List.All() {
		p := n.byShort[member.ID]
		if _, gone := n.departed[member.ID]; gone || member.ID == n.id || p != nil && p.up || !isHost(member.Addr) {
			continue
		}
		r := n.rumours[member.ID]
		if r == nil {
			if len(n.rumours) >= maxRumours {
				return
			}
			r = &rumour{wait: n.o.Heartbeat}
			n.rumours[member.ID] = r
		}
		r.addr, r.heard = member.Addr, n.now
		n.knock(r)
	}
}

func (n *Node) knock(r *rumour) {
	if n.now < r.knockAt {
		return
	}
	r.knockAt = n.now + r.wait
	r.wait = min(2*r.wait, knockMost)
	n.seal(n.heartbeat(wire.Everybody).Append(n.begin()))
	n.out.Send(r.addr, n.sealed)
}

func (n *Node) sweepRumours() {
	for id, at := range n.departed {
		if n.now-at > max(membersAgain, n.o.DeadAfter)+rumourFor {
			delete(n.departed, id)
		}
	}
	for id, r := range n.rumours {
		if n.now-r.heard > max(membersAgain+rumourFor, n.o.DeadAfter) {
			delete(n.rumours, id)
			continue
		}
		n.knock(r)
	}
}

// isHost reports whether something may be sent to addr because a peer says so.
func isHost(addr netip.AddrPort) bool {
	ip := addr.Addr()
	return addr.Port() != 0 && ip.IsValid() && !ip.IsMulticast() && !ip.IsUnspecified()
}

func contains(list []netip.AddrPort, addr netip.AddrPort) bool { return slices.Contains(list, addr) }

func sortAddrs(list []netip.AddrPort) { slices.SortFunc(list, netip.AddrPort.Compare) }

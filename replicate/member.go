package replicate

import (
	"net/netip"
	"slices"
	"time"

	"reprise/replicate/wire"
)

// Nodes exchange the members that they know when heartbeats show that these differ. So all nodes of
// a fleet become introduced to each other, even if a names b and c names a in their configurations
// and nothing else is named. They also learn of nodes that are not in contact and may still have
// sessions, even if they have started after those: a command to forget has to wait for them.

const (
	// membersAgain is the interval at which a peer is sent the same members again that it has no
	// contact with.
	membersAgain = 30 * time.Second
	// maxRumours bounds the nodes heard of and not introduced, and those that have ended.
	maxRumours = 1024
	// knockMost is the longest time between two heartbeats to such a node.
	knockMost = 30 * time.Second
	// membersPerDatagram keeps a list within the smallest datagram.
	membersPerDatagram = 24
	// longestLife is the longest life of any session (RFC 8446, Section 4.6.1).
	longestLife = 7 * 24 * time.Hour
)

// A rumour is a node with which a peer is or was in contact, and this one is not.
type rumour struct {
	addr     netip.AddrPort
	instance Instance      // zero if it names more than one node
	until    time.Duration // until then it may have sessions, if no node is in contact with it
	knockAt  time.Duration
	wait     time.Duration
}

// departed is a node that has ended.
type departed struct {
	addr  netip.AddrPort
	until time.Duration // until then others may take it for silent
}

func (n *Node) depart(id ShortID, d departed) {
	if len(n.departed) >= maxRumours {
		clear(n.departed)
	}
	n.departed[id] = d
}

// sendMembers sends p the present and former members, since its digest differs: soon, if they have
// changed since the last time.
func (n *Node) sendMembers(p *peer, theirs uint32) {
	wait := n.o.Heartbeat / 2
	if p.toldSelf == n.digest && p.toldOther == theirs {
		wait = membersAgain
	}
	if p.membersAt != 0 && n.now-p.membersAt < wait {
		return
	}
	p.membersAt, p.toldSelf, p.toldOther = n.now, n.digest, theirs
	var list wire.MemberList
	for _, m := range n.members {
		if m.peer != nil && m.peer != p {
			list = list.Append(n.member(m.peer, wire.MemberHeard))
		}
	}
	list = n.appendSilent(list, p)
	count := 0
	for _, id := range keysOf(n.departed, compareShort) {
		d := n.departed[id]
		if count++; count > membersPerDatagram { // the others follow later
			break
		}
		list = list.Append(wire.Member{
			ID: id, Addr: d.addr, State: wire.MemberEnded,
			Left: d.until - n.now,
		})
	}
	n.sendMemberList(p, list)
}

// appendSilent appends the nodes that are not in contact with this one and may have sessions.
func (n *Node) appendSilent(list wire.MemberList, to *peer) wire.MemberList {
	for _, p := range n.known {
		if !p.up && !p.superseded && p != to {
			list = list.Append(n.member(p, wire.MemberSilent))
		}
	}
	for _, id := range keysOf(n.rumours, compareShort) {
		r := n.rumours[id]
		if n.byShort[id] == nil && id != to.id.Short() {
			list = list.Append(wire.Member{
				ID: id, Addr: r.addr, State: wire.MemberSilent,
				Left: r.until - n.now, Instance: r.instance,
			})
		}
	}
	return list
}

func (n *Node) member(p *peer, state wire.MemberState) wire.Member {
	m := wire.Member{
		ID: p.id.Short(), Addr: p.addr, State: state, Left: p.seen + n.keepFor(p.lifetime) - n.now,
		Instance: p.instance,
	}
	if n.copied[p.instance] {
		m.Instance = Instance{}
	}
	return m
}

func (n *Node) sendMemberList(p *peer, list wire.MemberList) {
	for part := range slices.Chunk(list, membersPerDatagram*wire.MemberLen) {
		n.sendTo(p, wire.Members{To: p.id.Short(), List: part}.Append(n.begin()))
	}
}

// handleMembers records present and former members, and contacts those that are unknown. Their
// addresses are a peer's claim: they get a heartbeat, which a real node answers with a retry.
func (n *Node) handleMembers(m wire.Members) {
	changed := false
	for member := range m.List.All() {
		p := n.byShort[member.ID]
		if member.ID == n.id || p != nil && (p.up || p.superseded) {
			continue
		}
		// However often it is passed on, the end does not move.
		until := n.now + min(member.Left, longestLife) - n.transit
		switch {
		case until <= n.now, p != nil && member.State == wire.MemberSilent:
		case member.State == wire.MemberEnded:
			changed = true
			n.depart(member.ID, departed{member.Addr, until})
			delete(n.rumours, member.ID)
			if p != nil {
				n.notice(Notice{Kind: NoticeLeft, Addr: p.addr, Name: n.label(p)})
				n.removePeer(p)
			}
		default:
			changed = n.hearOf(member, until) || changed
		}
	}
	if changed {
		n.redigest()
	}
}

// hearOf records a node that is not in contact with this one, and reports whether it is new.
func (n *Node) hearOf(m wire.Member, until time.Duration) (isNew bool) {
	if _, gone := n.departed[m.ID]; gone || !isHost(m.Addr) {
		return false
	}
	if m.State != wire.MemberHeard && n.livesAgain(m) {
		return false
	}
	r := n.rumours[m.ID]
	if r == nil {
		if m.State == wire.MemberHeard && m.Instance != (Instance{}) {
			n.dropRumoursOf(m.Instance)
		}
		if len(n.rumours) >= maxRumours {
			return false
		}
		isNew = true
		r = &rumour{wait: n.o.Heartbeat}
		n.rumours[m.ID] = r
	}
	r.addr, r.instance, r.until = m.Addr, m.Instance, max(r.until, until)
	for _, f := range n.forgets {
		if _, waiting := f.waiting[m.ID]; !waiting && !f.obeyed[m.ID] {
			f.waiting[m.ID] = n.rumourLabel(r)
		}
	}
	n.knock(r)
	return isNew
}

// livesAgain reports whether a later life of a silent node is known: its earlier memory is gone.
func (n *Node) livesAgain(m wire.Member) bool {
	if m.Instance == (Instance{}) || n.copied[m.Instance] {
		return false
	}
	if m.Instance == n.o.Instance {
		return true
	}
	for _, p := range n.known {
		if p.instance == m.Instance && p.up && !p.superseded && p.id.Short() != m.ID {
			return true
		}
	}
	return false
}

// dropRumoursOf removes earlier lives of an installation that is in contact.
func (n *Node) dropRumoursOf(i Instance) {
	for id, r := range n.rumours {
		if r.instance == i && i != (Instance{}) {
			delete(n.rumours, id)
		}
	}
}

// rumourLabel names such a node in logs: as configured, or by its address.
func (n *Node) rumourLabel(r *rumour) string {
	if c := n.contacts[r.addr]; c != nil {
		return c.label()
	}
	return r.addr.String()
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
	for id, d := range n.departed {
		if n.now >= d.until {
			delete(n.departed, id)
		}
	}
	for _, id := range keysOf(n.rumours, compareShort) {
		r := n.rumours[id]
		if n.now >= r.until {
			delete(n.rumours, id)
			n.redigest()
			continue
		}
		n.knock(r)
	}
}

// isHost reports whether a datagram may be sent to addr on a peer's claim.
func isHost(addr netip.AddrPort) bool {
	ip := addr.Addr()
	return addr.Port() != 0 && ip.IsValid() && !ip.IsMulticast() && !ip.IsUnspecified()
}

func contains(list []netip.AddrPort, addr netip.AddrPort) bool {
	return slices.Contains(list,
		addr)
}

func sortAddrs(list []netip.AddrPort) { slices.SortFunc(list, netip.AddrPort.Compare) }

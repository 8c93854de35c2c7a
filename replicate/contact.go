package replicate

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
	"reprise/replicate/wire"
)

// A ContactState is the state of a configured address.
type ContactState uint8

// The states; later ones are more informative.
const (
	NeverHeard     ContactState = iota
	SpeaksForeign               // another version of the protocol
	HasOtherSecret              // another cluster secret
	Introducing                 // it has the secret, and has yet to prove that it lives
	Alive
	Lost // it was alive, but is no longer in contact
)

func (s ContactState) String() string {
	return [...]string{
		"never heard", "foreign version", "foreign secret", "introducing", "alive",
		"lost",
	}[s]
}

// A contact is an address from the configuration: a peer's, a repeater's or a group's. Its state is
// reported even if no datagram from there could ever be opened.
type contact struct {
	addr    netip.AddrPort
	isGroup bool

	name  atomic.Pointer[string] // as configured or announced
	state metric.Gauge
	// Of the last peer introduced there.
	foreignContext, clockApart metric.Gauge // 0 or 1; nanoseconds
	told                       complaints
	heardAt                    time.Duration
	toldAt                     time.Duration // when this node reported it
}

func (c *contact) label() string {
	if name := c.name.Load(); name != nil {
		return *name
	}
	return c.addr.String()
}

// SetPeers replaces the configured addresses. The state of those that stay is kept. names are the
// configured names of addresses, if any.
func (n *Node) SetPeers(now time.Duration, peers []netip.AddrPort,
	names map[netip.AddrPort]string,
) {
	n.now = now
	contacts := make(map[netip.AddrPort]*contact, len(peers))
	for _, addr := range peers {
		c := n.contacts[addr]
		if c == nil {
			c = &contact{addr: addr, isGroup: addr.Addr().IsMulticast(), toldAt: now}
		}
		if name, ok := names[addr]; ok {
			c.name.Store(&name)
		}
		contacts[addr] = c
	}
	n.contacts = contacts
	list := make([]*contact, 0, len(contacts))
	for _, c := range contacts {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *contact) int { return a.addr.Compare(b.addr) })
	n.contacted.Store(&list)
	n.retarget()
	n.heartbeatAt, n.starting = now, 0
}

func (c *contact) is(s ContactState) bool { return ContactState(c.state.Load()) == s }

// noteForeign records what an unauthenticated datagram shows about its source: in the state of a
// configured address, and in a notice for any other.
func (n *Node) noteForeign(from netip.AddrPort, why wire.Reason, datagram []byte) {
	state, kind := NeverHeard, NoticeKind(0)
	var theirs, ours byte
	switch why {
	case wire.ForeignVersion:
		state, kind = SpeaksForeign, NoticeVersion
		theirs, ours = datagram[0], wire.Version
	case wire.ForeignSecret, wire.Forged:
		state, kind = HasOtherSecret, NoticeSecret
		theirs, ours = datagram[2], n.secrets[0].ID()
	case dropNotIntroduced:
		state = Introducing
	default:
		return
	}
	// One forged datagram must not hide that the peer is there.
	c, p := n.contacts[from], n.placed[from]
	if c != nil && (n.now-c.heardAt > n.o.DeadAfter || !c.is(Alive)) {
		c.state.Set(int64(state))
	}
	m := Notice{Kind: kind, Addr: from, TheirByte: theirs, OurByte: ours}
	switch {
	case kind == 0:
	case c != nil:
		if !c.is(Alive) && c.told.isNew(kind, true) {
			m.Name = c.label()
			n.notice(m)
		}
	case p != nil:
		if !p.up && p.told.isNew(kind, true) {
			m.Name = n.label(p)
			n.notice(m)
		}
	default:
		n.noteStranger(m)
	}
}

// unknownEvery is the interval of notices about datagrams from unknown addresses. An attacker can
// forge any number of addresses, and must neither fill the log nor keep complaints about real peers
// out of it.
const unknownEvery = time.Minute

func (n *Node) noteStranger(m Notice) {
	n.unknown++
	if n.now < n.unknownAt {
		return
	}
	m.Unknown = n.unknown
	n.unknown, n.unknownAt = 0, n.now+unknownEvery
	n.notice(m)
}

// contactIntroduced records that p has proved to be at a configured address.
func (n *Node) contactIntroduced(p *peer, from netip.AddrPort) {
	c := n.contacts[from]
	if c == nil {
		return
	}
	c.heardAt = n.now
	c.state.Set(int64(Alive))
	c.told = complaints{}
}

func (n *Node) sweepContacts() {
	for _, c := range n.contacts {
		if c.is(Alive) && n.now-c.heardAt > n.o.DeadAfter {
			c.state.Set(int64(Lost))
		}
	}
}

// A NoticeKind is the subject of a [Notice].
type NoticeKind uint8

// The kinds.
const (
	NoticeVersion  NoticeKind = iota + 1 // an address speaks another version
	NoticeSecret                         // an address has another secret
	NoticeContext                        // a peer serves other session contexts
	NoticeClock                          // a peer's clock differs
	NoticeLifetime                       // sessions live for another time at a peer
	NoticeCopies                         // two peers share one instance
	NoticeUp                             // a peer was introduced, or is in contact again
	NoticeDown                           // a peer is no longer in contact
	NoticeLeft                           // a peer has ended
)

// A Notice is something an operator should know about a peer, or a possible peer.
type Notice struct {
	Kind NoticeKind
	Addr netip.AddrPort
	Name string // "" for an unknown address
	// datagrams from unknown addresses since the last such notice, of which this is the last
	Unknown      uint64
	Theirs, Ours string // what differs, of contexts and clocks
	// The same for versions and secrets, by their ids: as numbers, since there may be many per
	// second.
	TheirByte, OurByte byte
}

func (n *Node) notice(m Notice) {
	if n.Notice != nil {
		n.Notice(m)
	}
}

package replicate

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
	"reprise/replicate/wire"
)

// A ContactState is what is known of a configured address.
type ContactState uint8

// The states, of which the later ones tell more.
const (
	NeverHeard     ContactState = iota
	SpeaksForeign               // another version of the protocol
	HasOtherSecret              // another cluster secret
	Introducing                 // it has the secret, and has yet to prove that it lives
	Alive
	Lost // it was alive, and is not heard any more
)

func (s ContactState) String() string {
	return [...]string{
		"never heard", "foreign version", "foreign secret", "introducing", "alive",
		"lost",
	}[s]
}

// A contact is an address that this node was told to talk to: a peer's, a
// repeater's or a group's. What is known of it can be told even if nothing that
// came from there could ever be opened.
type contact struct {
	addr    netip.AddrPort
	isGroup bool

	name  atomic.Pointer[string] // as configured or announced
	state metric.Gauge
	// Of the peer that was introduced there last.
	foreignContext, clockApart metric.Gauge // 0 or 1; nanoseconds
	told                       complaints
	heardAt                    time.Duration
	toldAt                     time.Duration // when this node was told of it
}

func (c *contact) label() string {
	if name := c.name.Load(); name != nil {
		return *name
	}
	return c.addr.String()
}

// SetPeers exchanges the addresses that are talked to. What is known of those that
// stay is kept. names are those of addresses, as configured, if they have some.
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

// noteForeign notes what a datagram that is not believed tells of where it came
// from: of a configured address, and by a notice of any.
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

// strangersEvery is how often it is told that there are datagrams of strangers. There
// may be as many addresses as somebody invents, who is not to fill the log with them,
// nor to keep complaints about real peers out of it.
const strangersEvery = time.Minute

func (n *Node) noteStranger(m Notice) {
	n.strangers++
	if n.now < n.strangersAt {
		return
	}
	m.Strangers = n.strangers
	n.strangers, n.strangersAt = 0, n.now+strangersEvery
	n.notice(m)
}

// contactIntroduced notes that p has proved to be at a configured address.
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

// A NoticeKind says what a [Notice] is about.
type NoticeKind uint8

// The kinds.
const (
	NoticeVersion  NoticeKind = iota + 1 // an address speaks another version
	NoticeSecret                         // an address has another secret
	NoticeContext                        // a peer serves other session contexts
	NoticeClock                          // a peer's clock differs
	NoticeLifetime                       // sessions live for another time at a peer
	NoticeCopies                         // two peers have one instance
	NoticeUp                             // a peer was introduced, or is heard again
	NoticeDown                           // a peer is not heard any more
	NoticeLeft                           // a peer has ended
)

// A Notice is what an operator should know of a peer, or of what may be one.
type Notice struct {
	Kind NoticeKind
	Addr netip.AddrPort
	Name string // "" if it is a stranger
	// then: how many datagrams since the last such notice, this the last of them
	Strangers    uint64
	Theirs, Ours string // what differs, of contexts and clocks
	// The same of versions and of secrets, by their ids: as numbers, since there
	// may be many a second.
	TheirByte, OurByte byte
}

func (n *Node) notice(m Notice) {
	if n.Notice != nil {
		n.Notice(m)
	}
}

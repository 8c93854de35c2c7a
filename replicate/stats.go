package replicate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/internal/metric"
	"reprise/replicate/wire"
)

// Stats is what a node has sent, heard and dropped.
type Stats struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Mode     string         `json:"mode"`
	Join     string         `json:"join"` // alone, under way or done
	Homes    int64          `json:"homes" metric:"gauge" help:"1 while each session is sent to two nodes instead of all."`
	Contacts []ContactStats `json:"contacts"`
	Peers    []PeerStats    `json:"peers"`

	ConfiguredPeers int `json:"configured_peers" metric:"gauge" help:"Addresses that this node was told to find peers at."`
	AlivePeers      int `json:"alive_peers" metric:"gauge" help:"Peers that are heard and have the same cluster secret, at configured addresses or others."`

	RingDropped  uint64 `json:"ring_dropped" metric:"counter" help:"Updates not sent because the ring between loops and poller was full."`
	RingTooLarge uint64 `json:"ring_too_large" metric:"counter" help:"Sessions not sent because they are larger than 16 KiB."`

	SentDatagrams     uint64            `json:"sent_datagrams" metric:"counter" help:"Datagrams sealed; one for all peers counts once."`
	ReceivedDatagrams uint64            `json:"received_datagrams" metric:"counter" help:"Datagrams received."`
	ReceivedBytes     uint64            `json:"received_bytes" metric:"counter" help:"Bytes of received datagrams."`
	SentBytes         uint64            `json:"sent_bytes" metric:"counter" help:"Bytes of sealed datagrams; one for all peers counts once."`
	Dropped           map[string]uint64 `json:"dropped" metric:"counter" label:"reason" help:"Received datagrams that were not believed, by reason."`

	SessionsOut uint64 `json:"sessions_out" metric:"counter" help:"Sessions told to the peers."`
	SessionsIn  uint64 `json:"sessions_in" metric:"counter" help:"Sessions told by peers."`
	DeletesOut  uint64 `json:"deletes_out" metric:"counter" help:"Deletes told to the peers."`
	DeletesIn   uint64 `json:"deletes_in" metric:"counter" help:"Deletes told by peers."`

	Lookups Lookups `json:"lookups"`

	Retries    uint64 `json:"retries" metric:"counter" help:"Senders of datagrams that could not be opened asked to introduce themselves."`
	Hellos     uint64 `json:"hellos" metric:"counter" help:"Introductions begun."`
	Introduced uint64 `json:"introduced" metric:"counter" help:"Introductions by which a peer came to be believed."`

	RepairsAsked  uint64 `json:"repairs_asked" metric:"counter" help:"Requests for batches that did not arrive."`
	RepairsSent   uint64 `json:"repairs_sent" metric:"counter" help:"Batches sent again because a peer asked."`
	SnapshotParts uint64 `json:"snapshot_parts" metric:"counter" help:"Snapshot datagrams received while joining."`
	SnapshotGiven uint64 `json:"snapshot_given" metric:"counter" help:"Snapshot datagrams given to joining nodes."`

	Sockets SocketStats `json:"sockets"`
}

// Lookups counts questions for sessions that this node did not have, and answers
// to those of others.
type Lookups struct {
	Asked      uint64 `json:"asked" metric:"counter" help:"Sessions asked for at other nodes."`
	AskedOther uint64 `json:"asked_other" metric:"counter" help:"Questions put to a second node because the owner said nothing."`
	Found      uint64 `json:"found" metric:"counter" help:"Questions answered with a session."`
	Absent     uint64 `json:"absent" metric:"counter" help:"Questions answered with no session."`
	Unanswered uint64 `json:"unanswered" metric:"counter" help:"Questions not answered in time."`
	Refused    uint64 `json:"refused" metric:"counter" help:"Questions not asked because too many were under way."`

	Answered       uint64 `json:"answered" metric:"counter" help:"Sessions given to nodes that asked."`
	AnsweredAbsent uint64 `json:"answered_absent" metric:"counter" help:"Nodes told that the session they asked for is not here."`

	HeldForPeers uint64 `json:"held_for_peers" metric:"counter" help:"Sessions for one use kept for a handshake at a peer."`
	HoldsLapsed  uint64 `json:"holds_lapsed" metric:"counter" help:"Of these, deleted because they were neither spent nor released in time."`
	Unheard      uint64 `json:"releases_unheard" metric:"counter" help:"Sessions for one use given back to their owner that did not acknowledge it in time, so that they count as spent."`

	Time metric.HistogramSnapshot `json:"time" metric:"histogram" help:"Time from question to answer."`
}

// ContactStats is what is known of a configured address, be it that nothing which
// came from there could be opened.
type ContactStats struct {
	Name           string  `json:"name" label:"contact"` // as configured, else the address
	Address        string  `json:"address"`
	State          string  `json:"state"` // never heard, foreign version, foreign secret, introducing, alive, lost
	Alive          int     `json:"alive" metric:"gauge" help:"1 while a peer is heard at the address."`
	ForeignVersion int     `json:"foreign_version" metric:"gauge" help:"1 if what came last from the address is of another version of the protocol."`
	ForeignSecret  int     `json:"foreign_secret" metric:"gauge" help:"1 if what came last from the address is of a fleet with another cluster secret, or garbage."`
	ForeignContext int64   `json:"foreign_context" metric:"gauge" help:"1 if the peer at the address serves other session contexts, so that sessions cannot be shared."`
	ClockApart     float64 `json:"clock_apart_seconds" metric:"gauge" help:"How far the wall clock of the peer at the address was ahead when it was introduced."`
}

// PeerStats is another node as this one sees it.
type PeerStats struct {
	Name       string `json:"name" label:"peer"` // as announced, else its address
	ID         string `json:"id"`
	Address    string `json:"address"`
	Introduced int64  `json:"introduced" metric:"gauge" help:"1 once the peer has proved that it lives."`
	Alive      int    `json:"alive" metric:"gauge" help:"1 while the peer is heard."`

	SentDatagrams     uint64 `json:"sent_datagrams" metric:"counter" help:"Datagrams sent to this peer alone."`
	ReceivedDatagrams uint64 `json:"received_datagrams" metric:"counter" help:"Datagrams received from the peer."`
	ReceivedBytes     uint64 `json:"received_bytes" metric:"counter" help:"Bytes received from the peer."`
	Lost              uint64 `json:"lost_batches" metric:"counter" help:"Batches of the peer given up."`
	Repaired          uint64 `json:"repaired_batches" metric:"counter" help:"Batches of the peer that came late or again after a gap."`
	Repeated          uint64 `json:"repeated_batches" metric:"counter" help:"Batches of the peer that came twice."`

	RTT float64                  `json:"rtt_seconds" metric:"gauge" help:"Smoothed round-trip time."`
	Lag metric.HistogramSnapshot `json:"lag" metric:"histogram" help:"From the making of a session at the peer to its being here, at most: by clocks compared through answers."`
}

// SocketStats is what the kernel says of the sockets.
type SocketStats struct {
	ReceiveBuffer int    `json:"receive_buffer_bytes" metric:"gauge" help:"Receive buffer that the kernel has granted, the smallest of all sockets."`
	SendBuffer    int    `json:"send_buffer_bytes" metric:"gauge" help:"Send buffer that the kernel has granted, the smallest of all sockets."`
	ReceiveCalls  uint64 `json:"receive_calls" metric:"counter" help:"System calls to receive, each for up to 64 datagrams."`
	ReceiveErrors uint64 `json:"receive_errors" metric:"counter" help:"Failed system calls to receive."`
	SendCalls     uint64 `json:"send_calls" metric:"counter" help:"System calls to send, each for up to 64 datagrams."`
	SendFull      uint64 `json:"send_full" metric:"counter" help:"Datagrams dropped because the send buffer was full."`
	Panics        uint64 `json:"panics" metric:"counter" help:"Datagrams dropped because of a bug; the log has the stack."`
	SendErrors    uint64 `json:"send_errors" metric:"counter" help:"Datagrams that could not be sent, for want of a route and the like."`
}

// Joined reports whether the node has what its peers could give it: it has fetched their
// sessions, or has a peer and a mode in which none are fetched. Any goroutine may call it.
func (p *Poller) Joined() bool {
	if JoinState(p.node.counts.joinState.Load()) == JoinDone {
		return true
	}
	return p.node.o.Mode == Pull && len(*p.node.up.Load()) > 0
}

// Stats may be called from any goroutine.
func (p *Poller) Stats() Stats {
	s := p.node.stats(p.Now())
	s.RingTooLarge = p.ring.TooLarge()
	kept := p.kept.Load() // before the others: each was counted as dropped first
	s.RingDropped = p.ring.Dropped() - kept
	c := &p.sockets.Count
	s.Sockets = SocketStats{
		ReceiveBuffer: p.sockets.ReceiveBuffer, SendBuffer: p.sockets.SendBuffer,
		ReceiveCalls: c.ReceiveCalls.Load(), ReceiveErrors: c.ReceiveErrors.Load(),
		SendCalls: c.SendCalls.Load(), SendFull: c.SendFull.Load(), SendErrors: c.SendErrors.Load(), Panics: p.panics.Load(),
	}
	return s
}

func (n *Node) stats(now time.Duration) Stats {
	c := &n.counts
	s := Stats{
		ID: n.o.ID.String(), Name: n.o.Name, Mode: n.o.Mode.String(), Join: JoinState(c.joinState.Load()).String(),
		Homes: c.homes.Load(), Contacts: []ContactStats{}, Peers: []PeerStats{},
		SentDatagrams: c.sentDatagrams.Load(), SentBytes: c.sentBytes.Load(),
		ReceivedDatagrams: c.receivedDatagrams.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Dropped:     make(map[string]uint64, drops),
		SessionsOut: c.sessionsOut.Load(), SessionsIn: c.sessionsIn.Load(),
		DeletesOut: c.deletesOut.Load(), DeletesIn: c.deletesIn.Load(),
		Lookups: Lookups{
			Asked: c.asked.Load(), AskedOther: c.askedOther.Load(), Found: c.found.Load(), Absent: c.absent.Load(),
			Unanswered: c.unanswered.Load(), Refused: c.refused.Load(),
			Answered: c.answered.Load(), AnsweredAbsent: c.answeredAbsent.Load(),
			HeldForPeers: c.heldForPeers.Load(), HoldsLapsed: c.holdsLapsed.Load(), Unheard: c.releasesUnheard.Load(), Time: c.lookup.Snapshot(),
		},
		Retries: c.retries.Load(), Hellos: c.hellos.Load(), Introduced: c.introduced.Load(),
		RepairsAsked: c.repairAsked.Load(), RepairsSent: c.repairSent.Load(),
		SnapshotParts: c.snapshotIn.Load(), SnapshotGiven: c.snapshotSent.Load(),
	}
	for why := wire.TooShort; why < drops; why++ {
		s.Dropped[strings.ReplaceAll(why.String(), " ", "_")] = c.dropped[why].Load()
	}
	if list := n.contacted.Load(); list != nil {
		for _, c := range *list {
			s.Contacts = append(s.Contacts, c.stats())
		}
		s.ConfiguredPeers = len(*list)
	}
	if list := n.listed.Load(); list != nil {
		for _, p := range *list {
			row := p.stats(now, n.o.DeadAfter)
			s.AlivePeers += row.Alive & int(row.Introduced)
			s.Peers = append(s.Peers, row)
		}
	}
	return s
}

func (c *contact) stats() ContactStats {
	state := ContactState(c.state.Load())
	is := func(s ContactState) int { return int(boolean(state == s)) }
	return ContactStats{
		Name: c.label(), Address: c.addr.String(), State: state.String(),
		Alive: is(Alive), ForeignVersion: is(SpeaksForeign), ForeignSecret: is(HasOtherSecret),
		ForeignContext: c.foreignContext.Load(), ClockApart: time.Duration(c.clockApart.Load()).Seconds(),
	}
}

func (p *peer) stats(now, deadAfter time.Duration) PeerStats {
	c := &p.counts
	s := PeerStats{
		ID: p.id.Short().String(), Introduced: c.introduced.Load(),
		SentDatagrams: c.sentDatagrams.Load(), ReceivedDatagrams: c.receivedDatagrams.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Lost: c.lost.Load(), Repaired: c.repaired.Load(), Repeated: c.repeated.Load(),
		RTT: time.Duration(c.rtt.Load()).Seconds(), Lag: c.lag.Snapshot(),
	}
	if label := c.label.Load(); label != nil {
		s.Name = *label
	}
	if addr := c.addr.Load(); addr != nil {
		s.Address = addr.String()
	}
	if now-time.Duration(c.seen.Load()) < deadAfter {
		s.Alive = 1
	}
	return s
}

// list publishes a peer for stats, in a copy sorted by names. Each has its own: a second
// node of one name that is heard is "name#2". Those that are not heard give their names
// and addresses up, so that a node that comes back as somebody else is its own heir.
func (n *Node) list(p *peer) {
	n.unlist(p)
	name := n.label(p)
	var list []*peer
	if old := n.listed.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = slices.DeleteFunc(list, func(q *peer) bool { return !q.up && (n.label(q) == name || q.addr == p.addr) })
	byName := func(p *peer, name string) int { return strings.Compare(*p.counts.label.Load(), name) }
	label := name
	at, taken := slices.BinarySearchFunc(list, label, byName)
	for i := 2; taken; i++ {
		label = name + "#" + strconv.Itoa(i)
		at, taken = slices.BinarySearchFunc(list, label, byName)
	}
	p.counts.label.Store(&label)
	list = slices.Insert(list, at, p)
	n.listed.Store(&list)
}

func (n *Node) unlist(p *peer) {
	if old := n.listed.Load(); old != nil {
		list := slices.DeleteFunc(slices.Clone(*old), func(other *peer) bool { return other == p })
		n.listed.Store(&list)
	}
}

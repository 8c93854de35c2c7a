package replicate

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"reprise/internal/metric"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// Stats is what a node has sent, received and dropped.
type Stats struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Mode     string         `json:"mode"`
	Join     string         `json:"join"` // alone, under way or done
	Contacts []ContactStats `json:"contacts"`
	Peers    []PeerStats    `json:"peers"`

	ConfiguredPeers int `json:"configured_peers" metric:"gauge" help:"Addresses that this node was told to find peers at."`
	AlivePeers      int `json:"alive_peers" metric:"gauge" help:"Peers that are heard and have the same cluster secret, at configured addresses or others."`

	RingDropped  uint64 `json:"ring_dropped" metric:"counter" help:"Updates not sent because the ring between loops and poller was full."`
	RingTooLarge uint64 `json:"ring_too_large" metric:"counter" help:"Sessions not sent because they are larger than 16 KiB."`
	*counts
	Sockets SocketStats `json:"sockets"`
}

// counts are written by the node's goroutine; any goroutine may read them.
type counts struct {
	Homes metric.Gauge `json:"homes" help:"1 while each session is sent to two nodes instead of all."`

	SentDatagrams     metric.Counter              `json:"sent_datagrams" help:"Datagrams sealed; one for all peers counts once."`
	ReceivedDatagrams metric.Counter              `json:"received_datagrams" help:"Datagrams received."`
	ReceivedBytes     metric.Counter              `json:"received_bytes" help:"Bytes of received datagrams."`
	SentBytes         metric.Counter              `json:"sent_bytes" help:"Bytes of sealed datagrams; one for all peers counts once."`
	Dropped           metric.Counters[dropReason] `json:"dropped" label:"reason" help:"Received datagrams that were not believed, by reason."`

	SessionsOut metric.Counter `json:"sessions_out" help:"Sessions told to the peers."`
	SessionsIn  metric.Counter `json:"sessions_in" help:"Sessions told by peers."`
	DeletesOut  metric.Counter `json:"deletes_out" help:"Deletes told to the peers."`
	DeletesIn   metric.Counter `json:"deletes_in" help:"Deletes told by peers."`

	Lookups lookupCounts `json:"lookups"`

	Retries    metric.Counter `json:"retries" help:"Senders of datagrams that could not be opened asked to introduce themselves."`
	Hellos     metric.Counter `json:"hellos" help:"Introductions begun."`
	Introduced metric.Counter `json:"introduced" help:"Introductions by which a peer came to be believed."`

	RepairsAsked  metric.Counter `json:"repairs_asked" help:"Requests for batches that did not arrive."`
	RepairsSent   metric.Counter `json:"repairs_sent" help:"Batches sent again because a peer asked."`
	SnapshotParts metric.Counter `json:"snapshot_parts" help:"Snapshot datagrams received while joining."`
	SnapshotGiven metric.Counter `json:"snapshot_given" help:"Snapshot datagrams given to joining nodes."`

	joinState metric.Gauge
}

// lookupCounts are of questions for sessions that this node did not have, and of answers to those
// of others.
type lookupCounts struct {
	Asked      metric.Counter `json:"asked" help:"Sessions asked for at other nodes."`
	AskedOther metric.Counter `json:"asked_other" help:"Questions put to a second node because the owner said nothing."`
	Found      metric.Counter `json:"found" help:"Questions answered with a session."`
	Absent     metric.Counter `json:"absent" help:"Questions answered with no session."`
	Unanswered metric.Counter `json:"unanswered" help:"Questions not answered in time."`
	Refused    metric.Counter `json:"refused" help:"Questions not asked because too many were under way."`

	Answered       metric.Counter `json:"answered" help:"Sessions given to nodes that asked."`
	AnsweredAbsent metric.Counter `json:"answered_absent" help:"Nodes told that the session they asked for is not here."`

	HeldForPeers metric.Counter `json:"held_for_peers" help:"Sessions for one use kept for a handshake at a peer."`
	HoldsLapsed  metric.Counter `json:"holds_lapsed" help:"Of these, deleted because they were neither spent nor released in time."`
	Unheard      metric.Counter `json:"releases_unheard" help:"Sessions for one use given back to their owner that did not acknowledge it in time, so that they count as spent."`

	Time metric.Histogram `json:"time" help:"Time from question to answer."`
}

// A dropReason is the reason why a datagram was not accepted.
type dropReason wire.Reason

// Names implements metric.Key.
func (dropReason) Names() []string { return dropNames }

var dropNames = func() []string {
	names := make([]string, drops)
	for why := wire.TooShort; why < drops; why++ {
		names[why] = strings.ReplaceAll(why.String(), " ", "_")
	}
	return names
}()

// ContactStats is the state of a configured address, even if no datagram from there could be
// opened.
type ContactStats struct {
	Name    string `json:"name" label:"contact"` // as configured, else the address
	Address string `json:"address"`
	// never heard, foreign version, foreign secret, introducing, alive, lost
	State          string  `json:"state"`
	Alive          int     `json:"alive" metric:"gauge" help:"1 while a peer is heard at the address."`
	ForeignVersion int     `json:"foreign_version" metric:"gauge" help:"1 if what came last from the address is of another version of the protocol."`
	ForeignSecret  int     `json:"foreign_secret" metric:"gauge" help:"1 if what came last from the address is of a fleet with another cluster secret, or garbage."`
	ForeignContext int64   `json:"foreign_context" metric:"gauge" help:"1 if the peer at the address serves other session contexts, so that sessions cannot be shared."`
	ClockApart     float64 `json:"clock_apart_seconds" metric:"gauge" help:"How far the wall clock of the peer at the address was ahead when it was introduced."`
}

// PeerStats is another node as this one sees it.
type PeerStats struct {
	Name    string `json:"name" label:"peer"` // as announced, else its address
	ID      string `json:"id"`
	Address string `json:"address"`
	Alive   int    `json:"alive" metric:"gauge" help:"1 while the peer is heard."`
	*peerCounts
	RTT float64 `json:"rtt_seconds" metric:"gauge" help:"Smoothed round-trip time."`
}

// peerCounts are written by the node's goroutine; any goroutine may read them.
type peerCounts struct {
	Introduced metric.Gauge `json:"introduced" help:"1 once the peer has proved that it lives."`

	SentDatagrams     metric.Counter   `json:"sent_datagrams" help:"Datagrams sent to this peer alone."`
	SentBytes         metric.Counter   `json:"sent_bytes" help:"Bytes sent to this peer alone."`
	ReceivedDatagrams metric.Counter   `json:"received_datagrams" help:"Datagrams received from the peer."`
	ReceivedBytes     metric.Counter   `json:"received_bytes" help:"Bytes received from the peer."`
	Lost              metric.Counter   `json:"lost_batches" help:"Batches of the peer given up."`
	Repaired          metric.Counter   `json:"repaired_batches" help:"Batches of the peer that came late or again after a gap."`
	Repeated          metric.Counter   `json:"repeated_batches" help:"Batches of the peer that came twice."`
	Lag               metric.Histogram `json:"lag" help:"From the making of a session at the peer to its being here, at most: by clocks compared through answers."`

	rtt            metric.Gauge // nanoseconds
	seen           metric.Gauge // nanoseconds on the node's clock
	foreignContext metric.Gauge // 0 or 1
	clockApart     metric.Gauge // nanoseconds
	addr           atomic.Pointer[netip.AddrPort]
	label          atomic.Pointer[string]
}

// SocketStats has the sockets' settings in the kernel.
type SocketStats struct {
	ReceiveBuffer int `json:"receive_buffer_bytes" metric:"gauge" help:"Receive buffer that the kernel has granted, the smallest of all sockets."`
	SendBuffer    int `json:"send_buffer_bytes" metric:"gauge" help:"Send buffer that the kernel has granted, the smallest of all sockets."`
	*udp.Counts
	Panics *metric.Counter `json:"panics" help:"Datagrams dropped because of a bug; the log has the stack."`
}

// Joined reports whether the node has what its peers could send it: it has fetched their sessions,
// or has a peer and a mode in which none are fetched. Any goroutine may call it.
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
	s.Sockets = SocketStats{
		p.sockets.ReceiveBuffer, p.sockets.SendBuffer, &p.sockets.Count,
		&p.panics,
	}
	return s
}

func (n *Node) stats(now time.Duration) Stats {
	s := Stats{
		ID: n.o.ID.String(), Name: n.o.Name, Mode: n.o.Mode.String(),
		Join:     JoinState(n.counts.joinState.Load()).String(),
		Contacts: []ContactStats{}, Peers: []PeerStats{}, counts: &n.counts,
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
			s.AlivePeers += row.Alive & int(row.Introduced.Load())
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
		ForeignContext: c.foreignContext.Load(),
		ClockApart:     time.Duration(c.clockApart.Load()).Seconds(),
	}
}

func (p *peer) stats(now, deadAfter time.Duration) PeerStats {
	c := &p.counts
	s := PeerStats{
		ID: p.id.Short().String(), peerCounts: c,
		RTT: time.Duration(c.rtt.Load()).Seconds(),
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

// list publishes a peer for stats, in a copy sorted by names. Each has its own name: a second node
// of one name in contact is "name#2". Silent ones give up their names and addresses, so that a node
// that comes back with a new id takes over its own.
func (n *Node) list(p *peer) {
	n.unlist(p)
	name := n.label(p)
	var list []*peer
	if old := n.listed.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = slices.DeleteFunc(list, func(q *peer) bool {
		return !q.up &&
			(n.label(q) == name || q.addr == p.addr)
	})
	byName := func(p *peer, name string) int {
		return strings.Compare(*p.counts.label.Load(),
			name)
	}
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

package replicate

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"time"

	"reprise/internal/metric"
)

// Stats is what a node has sent, heard and dropped.
type Stats struct {
	ID    string      `json:"id"`
	Mode  string      `json:"mode"`
	Join  string      `json:"join"` // alone, under way or done
	Peers []PeerStats `json:"peers"`

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

	Time metric.HistogramSnapshot `json:"time" metric:"histogram" help:"Time from question to answer."`
}

// PeerStats is another node as this one sees it.
type PeerStats struct {
	ID         string `json:"id" label:"peer"`
	Address    string `json:"address"`
	Introduced int64  `json:"introduced" metric:"gauge" help:"1 once the peer has proved that it lives."`
	Alive      int    `json:"alive" metric:"gauge" help:"1 while the peer is heard."`

	SentDatagrams     uint64 `json:"sent_datagrams" metric:"counter" help:"Datagrams sent to this peer alone."`
	ReceivedDatagrams uint64 `json:"received_datagrams" metric:"counter" help:"Datagrams received from the peer."`
	ReceivedBytes     uint64 `json:"received_bytes" metric:"counter" help:"Bytes received from the peer."`
	Lost              int64  `json:"lost_batches" metric:"gauge" help:"Batches of the peer given up."`
	Repaired          uint64 `json:"repaired_batches" metric:"counter" help:"Batches of the peer that came late or again after a gap."`
	Repeated          int64  `json:"repeated_batches" metric:"gauge" help:"Batches of the peer that came twice."`

	RTTMicroseconds int64                    `json:"rtt_us" metric:"gauge" help:"Smoothed round-trip time, microseconds."`
	Lag             metric.HistogramSnapshot `json:"lag" metric:"histogram" help:"From the making of a session at the peer to its being here, by clocks compared through heartbeats."`
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

// Stats may be called from any goroutine.
func (p *Poller) Stats() Stats {
	s := p.node.stats(p.Now())
	s.RingDropped, s.RingTooLarge = p.ring.Dropped(), p.ring.TooLarge()
	c := &p.sockets.count
	s.Sockets = SocketStats{
		ReceiveBuffer: p.sockets.receiveBuffer, SendBuffer: p.sockets.sendBuffer,
		ReceiveCalls: c.receiveCalls.Load(), ReceiveErrors: c.receiveErrors.Load(),
		SendCalls: c.sendCalls.Load(), SendFull: c.sendFull.Load(), SendErrors: c.sendErrors.Load(), Panics: c.panics.Load(),
	}
	return s
}

func (n *Node) stats(now time.Duration) Stats {
	c := &n.counts
	s := Stats{
		ID: n.o.ID.String(), Mode: n.o.Mode.String(), Join: JoinState(c.joinState.Load()).String(), Peers: []PeerStats{},
		SentDatagrams: c.sentDatagrams.Load(), SentBytes: c.sentBytes.Load(),
		ReceivedDatagrams: c.receivedDatagrams.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Dropped:     make(map[string]uint64, drops),
		SessionsOut: c.sessionsOut.Load(), SessionsIn: c.sessionsIn.Load(),
		DeletesOut: c.deletesOut.Load(), DeletesIn: c.deletesIn.Load(),
		Lookups: Lookups{
			Asked: c.asked.Load(), AskedOther: c.askedOther.Load(), Found: c.found.Load(), Absent: c.absent.Load(),
			Unanswered: c.unanswered.Load(), Refused: c.refused.Load(),
			Answered: c.answered.Load(), AnsweredAbsent: c.answeredAbsent.Load(), Time: c.lookup.Snapshot(),
		},
		RepairsAsked: c.repairAsked.Load(), RepairsSent: c.repairSent.Load(),
		SnapshotParts: c.snapshotIn.Load(), SnapshotGiven: c.snapshotSent.Load(),
	}
	for why := TooShort; why < drops; why++ {
		s.Dropped[strings.ReplaceAll(why.String(), " ", "_")] = c.dropped[why].Load()
	}
	if list := n.listed.Load(); list != nil {
		for _, p := range *list {
			s.Peers = append(s.Peers, p.stats(now, n.o.DeadAfter))
		}
	}
	return s
}

func (p *peer) stats(now, deadAfter time.Duration) PeerStats {
	c := &p.counts
	s := PeerStats{
		ID: p.id.Short().String(), Introduced: c.introduced.Load(),
		SentDatagrams: c.sentDatagrams.Load(), ReceivedDatagrams: c.receivedDatagrams.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Lost: c.lost.Load(), Repaired: c.repaired.Load(), Repeated: c.repeated.Load(),
		RTTMicroseconds: c.rtt.Load() / int64(time.Microsecond), Lag: c.lag.Snapshot(),
	}
	if addr := c.addr.Load(); addr != nil {
		s.Address = addr.String()
	}
	if now-time.Duration(c.seen.Load()) < deadAfter {
		s.Alive = 1
	}
	return s
}

// list publishes that p is a peer or not, for stats: in a copy, sorted by id.
func (n *Node) list(p *peer, isPeer bool) {
	var list []*peer
	if old := n.listed.Load(); old != nil {
		list = slices.Clone(*old)
	}
	at, found := slices.BinarySearchFunc(list, p, func(a, b *peer) int { return bytes.Compare(a.id[:], b.id[:]) })
	switch {
	case isPeer && !found:
		list = slices.Insert(list, at, p)
	case !isPeer && found:
		list = slices.Delete(list, at, at+1)
	}
	n.listed.Store(&list)
}

func (p *peer) moveTo(addr netip.AddrPort) {
	if p.addr != addr {
		p.addr = addr
		moved := addr // or each call would allocate
		p.counts.addr.Store(&moved)
	}
}

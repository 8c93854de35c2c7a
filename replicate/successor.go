package replicate

import (
	"net/netip"
	"time"

	"reprise/replicate/wire"
)

// A process that succeeds a node continues as that node: under its id, so that sessions that name
// it as their owner are asked for at the right place, and peers take it neither for silent nor for
// a new life without sessions. It gets no key. It seals under a random one of its own, with
// counters that continue, and peers are introduced to it anew when they find that they cannot open
// its datagrams. So no nonce is used twice, whichever of the two processes lives on, and recordings
// from before cannot be opened with what the successor knows.

// State is what a node's successor needs to know.
type State struct {
	ID       ID
	Counter  uint64 // of the next datagram
	Batch    uint64 // of the stream to all
	Home     uint64 // where streams of home batches may begin
	Question uint64 // the newest
	Members  []byte // those known now or recently, in the form sent to peers
}

// state returns the node's state; the node must send nothing from then on.
func (n *Node) state() State {
	s := State{
		ID: n.o.ID, Counter: n.sender.Next(), Batch: n.all.seq, Home: n.mode.homeFirst,
		Question: n.questions.last,
	}
	var list wire.MemberList
	for _, p := range n.peers {
		s.Home = max(s.Home, p.home.seq+1)
		if p.up && !p.superseded {
			list = list.Append(n.member(p, wire.MemberHeard))
		}
	}
	list = n.appendSilent(list, &peer{})
	for id, d := range n.departed {
		list = list.Append(wire.Member{
			ID: id, Addr: d.addr, State: wire.MemberEnded,
			Left: d.until - n.now,
		})
	}
	s.Members = list
	return s
}

// succeed makes n, which has not begun, continue where another process ended that long ago. It
// contacts the known members at once.
func (n *Node) succeed(now, passed time.Duration, s *State) {
	n.now = now
	n.sender.Continue(s.Counter)
	n.all.first, n.all.seq = s.Batch+1, s.Batch
	n.mode.homeFirst, n.questions.last = s.Home, s.Question
	if len(s.Members)%wire.MemberLen != 0 {
		return
	}
	var list wire.MemberList
	for m := range wire.MemberList(s.Members).All() {
		if m.Left -= passed; m.Left > 0 {
			list = list.Append(m)
		}
	}
	n.handleMembers(wire.Members{To: n.id, List: list})
}

// Suspend stops the goroutine once it has sent its pending datagrams, and returns what a successor
// needs. Nothing is received or sent until Resume or Retire. It follows Start.
func (p *Poller) Suspend() State {
	p.reactor.Stop()
	p.running.Wait()
	for range len(p.ring.slots)/drainLen + 1 {
		p.drain(p.Now())
	}
	p.sockets.Flush()
	return p.node.state()
}

// Resume continues after Suspend: there is no successor, and none has sent anything.
func (p *Poller) Resume() {
	p.reactor.Restart()
	p.draining, p.drainAt, p.tickAt = true, 0, 0
	p.Start()
}

// Retire closes what Suspend has stopped. Peers get no message: the node lives on in its successor.
// Later updates are lost. Close does nothing afterwards.
func (p *Poller) Retire() error {
	p.retired = true
	close(p.closed)
	return p.free()
}

// Succeed makes p, before Start, continue as a node whose process has ended, or will before Start.
// passed bounds how long no process has sent for that node.
func (p *Poller) Succeed(s State, passed time.Duration) { p.node.succeed(p.Now(), passed, &s) }

// Sockets returns the node's sockets for a successor.
func (p *Poller) Sockets() (list []Socket) {
	for _, s := range p.sockets.List {
		list = append(list, Socket{Address: s.Asked, FD: s.FD})
	}
	return list
}

// A Socket is a socket of a node, by the address for which it was opened.
type Socket struct {
	Address netip.AddrPort
	FD      int
}

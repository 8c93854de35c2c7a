package replicate

import (
	"net/netip"
	"time"

	"reprise/replicate/wire"
)

// A process that succeeds a node goes on as that node: under its id, so that sessions that
// name it as their owner are asked for where they are, and peers neither take it for
// silent nor for a life that has begun with nothing. It gets no key. It seals under a
// random one of its own, with counters that go on, and peers introduce themselves to it
// anew when they find that they cannot open what it says. So no nonce is used twice,
// whichever of the two processes lives on, and what was recorded before cannot be opened
// by what the successor knows.

// State is what a node's successor needs to know.
type State struct {
	ID       ID
	Counter  uint64 // of the next datagram
	Batch    uint64 // the newest of the stream to all
	Home     uint64 // where streams of home batches may begin
	Question uint64 // the newest
	Members  []byte // those that are known, or were not long ago, as they are told to peers
}

// state returns the node's, which must say nothing from then on.
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

// succeed makes n, which has not begun, go on where another process has ended. passed is
// how long ago that was. It talks to those that were known at once.
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

// Suspend stops the goroutine when it has sent what waits, and returns what a successor
// needs. Nothing is heard or said until Resume or Retire. It follows Start.
func (p *Poller) Suspend() State {
	p.reactor.Stop()
	p.running.Wait()
	for range len(p.ring.slots)/drainLen + 1 {
		p.drain(p.Now())
	}
	p.sockets.Flush()
	return p.node.state()
}

// Resume goes on after Suspend: there is no successor, and none has said anything.
func (p *Poller) Resume() {
	p.reactor.Restart()
	p.draining, p.drainAt, p.tickAt = true, 0, 0
	p.Start()
}

// Retire closes what Suspend has stopped. Peers are told nothing: the node lives on in
// its successor. Updates that still come are lost. Close does nothing afterwards.
func (p *Poller) Retire() error {
	p.retired = true
	close(p.closed)
	return p.free()
}

// Succeed makes p, before Start, go on as a node whose process has ended, or will before
// Start. passed is for how long at most nobody has spoken for that node.
func (p *Poller) Succeed(s State, passed time.Duration) { p.node.succeed(p.Now(), passed, &s) }

// Sockets returns the sockets of the node, as a successor inherits them.
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

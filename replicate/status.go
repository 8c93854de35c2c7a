package replicate

import (
	"slices"
	"sync/atomic"
	"time"

	"reprise/replicate/wire"
)

const (
	// statusEvery is how often a peer may be asked how it is, and is answered.
	statusEvery = 250 * time.Millisecond
	// statusPatience is how long after a question answers are taken.
	statusPatience = 5 * time.Second
)

// A Report is what a peer said of itself when this node last asked, and what is known of it
// here.
type Report struct {
	ID      string // short, as statistics have it
	Name    string
	Address string
	Alive   bool
	Text    []byte        // nil if it has said nothing yet; of whoever has the fleet's secret
	Age     time.Duration // of the text
}

// statuses is when the node last asked.
type statuses struct{ askedAt time.Duration }

// said is what a peer said of itself.
type said struct {
	text []byte
	at   time.Duration
}

// peerStatus is a peer's part in this.
type peerStatus struct {
	said     atomic.Pointer[said] // for readers elsewhere
	answerAt time.Duration        // when it may be answered again
}

// AskStatus asks all peers how they are, unless that was done a moment ago. [Node.Reports]
// has what they say.
func (n *Node) AskStatus(now time.Duration) {
	n.now = now
	if s := &n.statuses; s.askedAt == 0 || now-s.askedAt >= statusEvery {
		s.askedAt = now
		n.seal(wire.StatusRequest{}.Append(n.begin()))
		n.out.SendAll(n.told, n.sealed)
	}
}

// handleStatusRequest tells a peer how this node is.
func (n *Node) handleStatusRequest(p *peer) {
	if n.Status == nil || n.now < p.status.answerAt {
		return
	}
	p.status.answerAt = n.now + statusEvery*3/4 // clocks and ways differ a little
	n.sendTo(p, wire.Status{To: p.id.Short(), Text: n.Status()}.Append(n.begin()))
}

// handleStatus keeps what a peer says, if anybody here has asked.
func (n *Node) handleStatus(p *peer, m wire.Status) {
	if asked := n.statuses.askedAt; asked != 0 && n.now-asked <= statusPatience && len(m.Text) > 0 {
		p.status.said.Store(&said{slices.Clone(m.Text), n.now})
	}
}

// Reports returns what is known of each peer that the statistics list. Any goroutine may
// call it.
func (n *Node) Reports(now time.Duration) (list []Report) {
	peers := n.listed.Load()
	if peers == nil {
		return nil
	}
	for _, p := range *peers {
		s := p.stats(now, n.o.DeadAfter)
		r := Report{ID: s.ID, Name: s.Name, Address: s.Address, Alive: s.Alive == 1}
		if said := p.status.said.Load(); said != nil {
			r.Text, r.Age = said.text, now-said.at
		}
		list = append(list, r)
	}
	return list
}

// AskStatus asks all peers how they are: [Poller.Reports] has what they say. Any goroutine
// may call it.
func (p *Poller) AskStatus() { p.do(func() { p.node.AskStatus(p.Now()) }) }

// Reports returns what is known of each peer. Any goroutine may call it.
func (p *Poller) Reports() []Report { return p.node.Reports(p.Now()) }

// SetStatus sets what says how this node is: at most 1,024 bytes. It is called on the
// poller's goroutine, some times in a second at most for each peer, so it must be quick. It
// is set before Start.
func (p *Poller) SetStatus(status func() []byte) { p.node.Status = status }

package replicate

import (
	"slices"
	"sync/atomic"
	"time"

	"reprise/replicate/wire"
)

const (
	// statusEvery is how often a peer may be asked for its status, and is answered.
	statusEvery = 250 * time.Millisecond
	// statusPatience is how long after a question answers are accepted.
	statusPatience = 5 * time.Second
)

// A Report is a peer's answer to this node's last question for its status, and what this node knows
// of it.
type Report struct {
	ID      string // short, as statistics have it
	Name    string
	Address string
	Alive   bool
	Text    []byte        // nil before an answer; proves only that its sender has the secret
	Age     time.Duration // of the text
}

// statuses has the time of the last question.
type statuses struct{ askedAt time.Duration }

// statusText is a peer's answer.
type statusText struct {
	text []byte
	at   time.Duration
}

// peerStatus is a peer's part in this.
type peerStatus struct {
	answer   atomic.Pointer[statusText] // for readers elsewhere
	answerAt time.Duration              // when it may be answered again
}

// AskStatus asks all peers for their status, unless that was done a moment ago. [Node.Reports] has
// the answers.
func (n *Node) AskStatus(now time.Duration) {
	n.now = now
	if s := &n.statuses; s.askedAt == 0 || now-s.askedAt >= statusEvery {
		s.askedAt = now
		n.seal(wire.StatusRequest{}.Append(n.begin()))
		n.out.SendAll(n.told, n.sealed)
	}
}

// handleStatusRequest sends a peer this node's status.
func (n *Node) handleStatusRequest(p *peer) {
	if n.Status == nil || n.now < p.status.answerAt {
		return
	}
	p.status.answerAt = n.now + statusEvery*3/4 // clocks and transit times differ a little
	n.sendTo(p, wire.Status{To: p.id.Short(), Text: n.Status()}.Append(n.begin()))
}

// handleStatus keeps a peer's status, if this node has asked.
func (n *Node) handleStatus(p *peer, m wire.Status) {
	if asked := n.statuses.askedAt; asked != 0 && n.now-asked <= statusPatience && len(m.Text) > 0 {
		p.status.answer.Store(&statusText{slices.Clone(m.Text), n.now})
	}
}

// Reports returns what is known of each peer in the statistics. Any goroutine may call it.
func (n *Node) Reports(now time.Duration) (list []Report) {
	peers := n.listed.Load()
	if peers == nil {
		return nil
	}
	for _, p := range *peers {
		s := p.stats(now, n.o.DeadAfter)
		r := Report{ID: s.ID, Name: s.Name, Address: s.Address, Alive: s.Alive == 1}
		if answer := p.status.answer.Load(); answer != nil {
			r.Text, r.Age = answer.text, now-answer.at
		}
		list = append(list, r)
	}
	return list
}

// AskStatus asks all peers for their status: [Poller.Reports] has the answers. Any goroutine may
// call it.
func (p *Poller) AskStatus() { p.do(func() { p.node.AskStatus(p.Now()) }) }

// Reports returns what is known of each peer. Any goroutine may call it.
func (p *Poller) Reports() []Report { return p.node.Reports(p.Now()) }

// SetStatus sets the function that returns this node's status: at most 1,024 bytes. It is called on
// the poller's goroutine, at most a few times per second for each peer, so it must be quick. It is
// set before Start.
func (p *Poller) SetStatus(status func() []byte) { p.node.Status = status }

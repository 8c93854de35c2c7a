package replicate

import (
	"cmp"
	"time"

	"reprise/replicate/wire"
)

const (
	// askAgain is the shortest time between two rounds of one question.
	askAgain = time.Millisecond
)

// asking is a question under way. Its first round goes to one node, the owner of the session if
// that is in contact. Each later one goes to that node again and to another in turn: there is no
// time to find out whether a datagram was lost, or a node is slow or has died. The first node that
// has the session ends the question.
type asking struct {
	*Question
	targets [3]target // in the order in which they are asked
	targetN int
	rounds  int
	asked   time.Duration
	againAt time.Duration // the next round
}

// A target is a node that may have the session.
type target struct {
	*peer
	tries  int
	asked  time.Duration // time of the last question
	absent bool          // it has answered that it does not have it
}

func (a *asking) add(p *peer) {
	if p == nil || a.targetN == len(a.targets) || a.target(p) != nil {
		return
	}
	a.targets[a.targetN].peer = p
	a.targetN++
}

func (a *asking) target(p *peer) *target {
	for i := range a.targets[:a.targetN] {
		if a.targets[i].peer == p {
			return &a.targets[i]
		}
	}
	return nil
}

type questions struct {
	last uint64 // number of the newest
	open map[uint64]*asking
	held map[uint64]time.Duration // questions answered with a hold, and when that ends
	// dueAt is when the first of the open questions may have to be repeated or given up.
	dueAt time.Duration
	order []uint64 // scratch
}

func (q *questions) init() {
	q.open = make(map[uint64]*asking)
	q.held = make(map[uint64]time.Duration)
}

// Ask asks the session's owner, and others if that one is dead, does not answer at once, or does
// not have it: its homes, or the closest node where there are none. Only the owner is asked for a
// single-use session.
func (n *Node) Ask(now time.Duration, q *Question) {
	n.now = now
	if len(n.questions.open) >= n.o.MaxQuestions {
		n.counts.Lookups.Refused.Inc()
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	a := &asking{Question: q, asked: now}
	n.choose(a)
	if a.targetN == 0 {
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	n.counts.Lookups.Asked.Inc()
	n.questions.last++
	n.questions.open[n.questions.last] = a
	n.questions.dueAt = min(n.questions.dueAt, now+n.o.LookupTimeout)
	n.askRound(n.questions.last, a)
}

// choose selects the nodes to ask.
func (n *Node) choose(a *asking) {
	owner := n.byShort[a.Owner]
	if owner != nil && n.alive(owner) {
		a.add(owner)
	}
	if a.Hold {
		return
	}
	if n.mayHaveHomes() {
		first, second := n.homesOf(a.Key)
		a.add(first)
		a.add(second)
	}
	if n.sends() != Homes {
		a.add(n.closest(owner))
	}
}

// mayHaveHomes reports whether sessions may be at their homes only: in mode auto those that were
// sent while the fleet was larger still are.
func (n *Node) mayHaveHomes() bool { return n.o.Mode == Homes || n.o.Mode == Auto }

// askRound repeats the question.
func (n *Node) askRound(number uint64, a *asking) {
	var open [len(a.targets)]*target // targets that may have it
	openN := 0
	for i := range a.targets[:a.targetN] {
		if t := &a.targets[i]; !t.absent {
			open[openN] = t
			openN++
		}
	}
	if openN == 0 {
		return
	}
	first := open[0]
	n.sendAsk(number, a, first)
	if a.rounds > 0 && openN > 1 {
		n.counts.Lookups.AskedOther.Inc()
		n.sendAsk(number, a, open[1+(a.rounds-1)%(openN-1)])
	}
	// The wait adapts to the round trip, since the answer is probably just late; but it takes at
	// most a quarter of the total time. Later rounds are spaced further apart, so that a long time
	// has few of them.
	wait := (n.now - a.asked) / 8
	if a.rounds == 0 {
		wait = min(first.rtt+first.rtt/2, n.o.LookupTimeout/4)
	}
	a.againAt = n.now + max(wait, askAgain)
	a.rounds++
	n.questions.dueAt = min(n.questions.dueAt, a.againAt)
}

func (n *Node) sendAsk(number uint64, a *asking, t *target) {
	t.tries++
	t.asked = n.now
	m := wire.Ask{To: t.id.Short(), Question: number, Key: a.Key}
	if a.Hold {
		m.Flags = wire.FlagHold
	}
	n.sendTo(t.peer, m.Append(n.begin()))
}

// handleAsk answers a peer's question.
func (n *Node) handleAsk(p *peer, m wire.Ask) {
	answer := wire.Answer{To: p.id.Short(), Question: m.Question}
	var value []byte
	if m.Flags&wire.FlagHold != 0 {
		value = n.holdFor(p, m, &answer)
	} else {
		v, age, left, ok := n.memory.Find(n.value[:0], m.Key)
		if value = v; ok {
			answer.Verdict = Found
			answer.Record = wire.Update{
				Kind: UpdateSession, Key: m.Key, Age: age, Left: left,
				Value: value,
			}
		}
	}
	if answer.Verdict == Found {
		n.counts.Lookups.Answered.Inc()
	} else {
		n.counts.Lookups.AnsweredAbsent.Inc()
	}
	n.sendTo(p, answer.Append(n.begin()))
	clear(value)
}

func (n *Node) handleAnswer(p *peer, m wire.Answer) {
	if m.Flags&wire.FlagReleased != 0 {
		n.handleReleased(p, m)
		return
	}
	a := n.questions.open[m.Question]
	held := m.Flags&wire.FlagHold != 0
	age, left := m.Record.Age+n.transit, m.Record.Left-n.transit
	found := a != nil && m.Verdict == Found && m.Record.Kind == UpdateSession &&
		m.Record.Key == a.Key && left > 0
	if !found {
		// too late: the handshake no longer waits
		if _, again := n.questions.held[m.Question]; held && !again {
			n.giveBack(p, m.Question, m.Record.Key)
		}
		if a != nil {
			n.handleAbsent(p, m, a)
		}
		return
	}
	delete(n.questions.open, m.Question)
	n.counts.Lookups.Time.Observe(n.now - a.asked)
	n.sampleAnswer(a.target(p))
	n.counts.Lookups.Found.Inc()
	reply := Reply{Value: m.Record.Value, Age: age, Left: left, Verdict: Found}
	if held {
		reply.Hold = m.Question
		n.questions.held[m.Question] = n.now + n.o.HoldFor
	} else {
		n.memory.Put(m.Record.Key, m.Record.Value, age, left, true)
	}
	a.Answer(reply)
}

// handleAbsent continues when a target does not give the session.
func (n *Node) handleAbsent(p *peer, m wire.Answer, a *asking) {
	t := a.target(p)
	if t == nil || t.tries == 0 {
		return // it was not asked
	}
	n.sampleAnswer(t)
	t.absent = true
	final := m.Verdict != Unknown || p.id.Short() == a.Owner && !n.mayHaveHomes()
	waiting, left := false, false
	for i := range a.targets[:a.targetN] {
		if other := &a.targets[i]; !other.absent {
			left = true
			waiting = waiting || other.tries > 0 && n.now-other.asked < askAgain
		}
	}
	switch {
	case final || !left:
		delete(n.questions.open, m.Question)
		n.counts.Lookups.Time.Observe(n.now - a.asked)
		n.counts.Lookups.Absent.Inc()
		a.Answer(Reply{Verdict: m.Verdict})
	case !waiting:
		n.askRound(m.Question, a)
	}
}

// sampleAnswer takes a round-trip time. Heartbeats are few, and the first one measures a node busy
// with starting: questions would be repeated too rarely for long. If the target was asked more than
// once, it is unknown which question this answers (RFC 6298, Section 3).
func (n *Node) sampleAnswer(t *target) {
	if t != nil && t.tries == 1 {
		t.sampleRTT(n.now - t.asked)
	}
}

// tickQuestions repeats questions, or gives them up.
func (n *Node) tickQuestions() time.Duration {
	if len(n.questions.open) > 0 && n.now < n.questions.dueAt {
		return n.questions.dueAt
	}
	next := n.now + time.Second
	n.questions.order = appendKeys(n.questions.order[:0], n.questions.open, cmp.Compare)
	for _, number := range n.questions.order {
		a := n.questions.open[number]
		if n.now-a.asked >= n.o.LookupTimeout {
			delete(n.questions.open, number)
			n.counts.Lookups.Unanswered.Inc()
			if a.Hold { // its answer may be lost, and the session held
				n.giveBack(a.targets[0].peer, number, a.Key)
			}
			a.Answer(Reply{Verdict: Unanswered})
			continue
		}
		if n.now >= a.againAt {
			n.askRound(number, a)
		}
		next = min(next, a.againAt, a.asked+n.o.LookupTimeout)
	}
	n.questions.dueAt = next
	return next
}

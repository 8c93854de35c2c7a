package replicate

import "time"

// asking is a question under way.
type asking struct {
	*Question
	owner   *peer // who made the session, nil if not known
	target  *peer // who is being asked
	second  bool  // somebody else than the owner has been asked
	asked   time.Duration
	againAt time.Duration
	tries   int
}

type questions struct {
	last uint64 // number of the newest
	open map[uint64]*asking
}

func (q *questions) init() { q.open = make(map[uint64]*asking) }

// askAgain is the shortest time between two datagrams for one question.
const askAgain = time.Millisecond

// Ask asks the session's owner, or one other peer if that one is dead or says
// nothing for half of the look-up time.
func (n *Node) Ask(now time.Duration, q *Question) {
	n.now = now
	if len(n.questions.open) >= n.o.MaxQuestions {
		n.counts.refused.Inc()
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	a := &asking{Question: q, asked: now, owner: n.byShort[q.Owner]}
	if a.owner != nil && n.alive(a.owner) {
		a.target = a.owner
	} else if a.target, a.second = n.closest(a.owner), true; a.target == nil {
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	n.counts.asked.Inc()
	n.questions.last++
	n.questions.open[n.questions.last] = a
	n.sendAsk(n.questions.last, a)
}

func (n *Node) sendAsk(number uint64, a *asking) {
	a.tries++
	a.againAt = n.now + max(askAgain, a.target.rtt+a.target.rtt/2)
	n.sendTo(a.target, Ask{To: a.target.id.Short(), Question: number, Key: a.Key}.Append(n.msgs[:0]))
}

// handleAsk answers a peer's question.
func (n *Node) handleAsk(p *peer, m Ask) {
	answer := Answer{To: p.id.Short(), Question: m.Question}
	value, age, left, ok := n.memory.Find(n.value[:0], m.Key)
	if ok {
		answer.Record = Update{Kind: UpdateSession, Key: m.Key, Age: age, Left: left, Value: value}
		n.counts.answered.Inc()
	} else {
		n.counts.answeredAbsent.Inc()
	}
	n.sendTo(p, answer.Append(n.msgs[:0]))
	clear(value)
}

func (n *Node) handleAnswer(p *peer, m Answer) {
	a := n.questions.open[m.Question]
	if a == nil {
		return // late
	}
	found := m.Record.Kind == UpdateSession && m.Record.Key == a.Key
	if !found && a.target.id != p.id {
		return // somebody else is being asked meanwhile
	}
	if !found && p != a.owner && a.owner != nil && n.alive(a.owner) {
		a.target = a.owner // whose answer may have been lost
		n.sendAsk(m.Question, a)
		return
	}
	delete(n.questions.open, m.Question)
	n.counts.lookup.Observe(n.now - a.asked)
	if a.tries == 1 { // else nobody knows which one this answers (RFC 6298, Section 3)
		// Heartbeats are few, and the first one measures how busy a node is
		// that starts: questions would be repeated too rarely for long.
		p.sampleRTT(n.now - a.asked)
	}
	if !found {
		n.counts.absent.Inc()
		a.Answer(Reply{})
		return
	}
	n.counts.found.Inc()
	n.memory.Put(m.Record.Key, m.Record.Value, m.Record.Age, m.Record.Left, true)
	a.Answer(Reply{Value: m.Record.Value, Age: m.Record.Age, Left: m.Record.Left, Verdict: Found})
}

// tickQuestions asks again, asks somebody else, or gives up.
func (n *Node) tickQuestions() time.Duration {
	next := n.now + time.Second
	for number, a := range n.questions.open {
		if n.now-a.asked >= n.o.LookupTimeout {
			delete(n.questions.open, number)
			n.counts.unanswered.Inc()
			a.Answer(Reply{Verdict: Unanswered})
			continue
		}
		if !a.second && n.now-a.asked >= n.o.LookupTimeout/2 {
			a.second = true
			if other := n.closest(a.target); other != nil {
				a.target = other
				a.againAt = n.now
				n.counts.askedOther.Inc()
			}
		}
		if n.now >= a.againAt {
			n.sendAsk(number, a)
		}
		next = min(next, a.againAt, a.asked+n.o.LookupTimeout)
		if !a.second {
			next = min(next, a.asked+n.o.LookupTimeout/2)
		}
	}
	return next
}

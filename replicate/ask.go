package replicate

import (
	"time"

	"reprise/replicate/wire"
)

const (
	// askAgain is the shortest time between two datagrams for one question.
	askAgain = time.Millisecond
	// maxHolds bounds the sessions that are held for peers.
	maxHolds = 4096
)

// asking is a question under way: the owner of the session is asked first, then
// others, each for a part of the look-up time or until it says that it does not have
// it. What one of them answers late is taken.
type asking struct {
	*Question
	targets [3]*peer
	targetN int
	silent  [3]bool // has not answered, though asked
	at      int     // index of the one being asked
	asked   time.Duration
	slot    time.Duration // for each
	moveAt  time.Duration // to the next one
	againAt time.Duration
	tries   int
}

func (a *asking) target() *peer { return a.targets[a.at] }

func (a *asking) add(p *peer) {
	if p == nil || a.targetN == len(a.targets) {
		return
	}
	for _, other := range a.targets[:a.targetN] {
		if other == p {
			return
		}
	}
	a.targets[a.targetN] = p
	a.targetN++
}

type questions struct {
	last uint64 // number of the newest
	open map[uint64]*asking
	held map[uint64]time.Duration // those answered with a hold, and until when that lasts
}

func (q *questions) init() {
	q.open = make(map[uint64]*asking)
	q.held = make(map[uint64]time.Duration)
}

// Ask asks the session's owner, and others if that one is dead, says nothing, or
// does not have it: its homes, or the closest node where there are none. A session
// for one use is asked for only of its owner.
func (n *Node) Ask(now time.Duration, q *Question) {
	n.now = now
	if len(n.questions.open) >= n.o.MaxQuestions {
		n.counts.refused.Inc()
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	a := &asking{Question: q, asked: now}
	n.choose(a)
	if a.targetN == 0 {
		q.Answer(Reply{Verdict: Unanswered})
		return
	}
	a.slot = n.o.LookupTimeout / time.Duration(a.targetN)
	a.moveAt = now + a.slot
	n.counts.asked.Inc()
	n.questions.last++
	n.questions.open[n.questions.last] = a
	n.sendAsk(n.questions.last, a)
}

// choose finds out who is to be asked.
func (n *Node) choose(a *asking) {
	owner := n.byShort[a.Owner]
	if owner != nil && n.alive(owner) {
		a.add(owner)
	}
	if a.Hold {
		return
	}
	if n.sends() == Homes {
		first, second := n.homesOf(a.Key)
		a.add(first)
		a.add(second)
		return
	}
	a.add(n.closest(owner))
}

func (n *Node) sendAsk(number uint64, a *asking) {
	p := a.target()
	a.tries++
	a.silent[a.at] = true
	a.againAt = n.now + max(askAgain, p.rtt+p.rtt/2)
	m := wire.Ask{To: p.id.Short(), Question: number, Key: a.Key}
	if a.Hold {
		m.Flags = wire.FlagHold
	}
	n.sendTo(p, m.Append(n.begin()))
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
			answer.Record = wire.Update{Kind: UpdateSession, Key: m.Key, Age: age, Left: left, Value: value}
		}
	}
	if answer.Verdict == Found {
		n.counts.answered.Inc()
	} else {
		n.counts.answeredAbsent.Inc()
	}
	n.sendTo(p, answer.Append(n.begin()))
	clear(value)
}

func (n *Node) handleAnswer(p *peer, m wire.Answer) {
	a := n.questions.open[m.Question]
	held := m.Flags&wire.FlagHold != 0
	age, left := m.Record.Age+n.transit, m.Record.Left-n.transit
	found := a != nil && m.Verdict == Found && m.Record.Kind == UpdateSession && m.Record.Key == a.Key && left > 0
	if !found {
		if _, again := n.questions.held[m.Question]; held && !again { // too late: nobody waits for it any more
			n.sendTo(p, wire.Release{To: p.id.Short(), Question: m.Question, Key: m.Record.Key}.Append(n.begin()))
		}
		if a != nil {
			n.handleAbsent(p, m, a)
		}
		return
	}
	delete(n.questions.open, m.Question)
	n.counts.lookup.Observe(n.now - a.asked)
	n.sampleAnswer(p, a)
	n.counts.found.Inc()
	reply := Reply{Value: m.Record.Value, Age: age, Left: left, Verdict: Found}
	if held {
		reply.Hold = m.Question
		n.questions.held[m.Question] = n.now + n.o.HoldFor
	} else {
		n.memory.Put(m.Record.Key, m.Record.Value, age, left, true)
	}
	a.Answer(reply)
}

// handleAbsent goes on when one of those asked does not give the session.
func (n *Node) handleAbsent(p *peer, m wire.Answer, a *asking) {
	isTarget := false
	for i, t := range a.targets[:a.targetN] {
		if t == p {
			a.silent[i] = false
			isTarget = i == a.at
		}
	}
	final := m.Verdict != Unknown || p.id.Short() == a.Owner && n.sends() != Homes
	if !isTarget && !final {
		return // another one is being asked meanwhile
	}
	n.sampleAnswer(p, a)
	if !final {
		if a.at+1 < a.targetN {
			n.moveOn(m.Question, a, a.at+1)
			return
		}
		for i := range a.targets[:a.targetN] { // whose answer may have been lost
			if a.silent[i] && n.alive(a.targets[i]) {
				n.moveOn(m.Question, a, i)
				return
			}
		}
	}
	delete(n.questions.open, m.Question)
	n.counts.lookup.Observe(n.now - a.asked)
	n.counts.absent.Inc()
	a.Answer(Reply{Verdict: m.Verdict})
}

func (n *Node) moveOn(number uint64, a *asking, to int) {
	a.at = to
	a.moveAt = n.now + a.slot
	n.counts.askedOther.Inc()
	n.sendAsk(number, a)
}

// sampleAnswer takes a round-trip time. Heartbeats are few, and the first one
// measures how busy a node is that starts: questions would be repeated too rarely
// for long. If it was sent more than once, nothing is known of which one this answers
// (RFC 6298, Section 3).
func (n *Node) sampleAnswer(p *peer, a *asking) {
	if a.tries == 1 {
		p.sampleRTT(n.now - a.asked)
	}
}

// tickQuestions asks again, asks another one, or gives up.
func (n *Node) tickQuestions() time.Duration {
	next := n.now + time.Second
	for number, a := range n.questions.open {
		if n.now-a.asked >= n.o.LookupTimeout {
			delete(n.questions.open, number)
			n.counts.unanswered.Inc()
			if a.Hold { // its answer may be lost, and the session held
				p := a.target()
				n.sendTo(p, wire.Release{To: p.id.Short(), Question: number, Key: a.Key}.Append(n.begin()))
			}
			a.Answer(Reply{Verdict: Unanswered})
			continue
		}
		switch {
		case n.now >= a.moveAt && a.at+1 < a.targetN:
			n.moveOn(number, a, a.at+1)
		case n.now >= a.againAt:
			n.sendAsk(number, a)
		}
		next = min(next, a.againAt, a.asked+n.o.LookupTimeout)
		if a.at+1 < a.targetN {
			next = min(next, a.moveAt)
		}
	}
	return next
}

// A hold is a session that is kept for a peer's handshake. Until it is released it
// is given to no other; when that comes too late, it counts as spent.
type hold struct {
	key   Key
	token uint64
	until time.Duration
	ends  time.Duration // the session's life
}

type holdKey struct {
	peer     ShortID
	question uint64
}

// holdFor answers a question for a session for one use.
func (n *Node) holdFor(p *peer, m wire.Ask, answer *wire.Answer) (value []byte) {
	key := holdKey{p.id.Short(), m.Question}
	h := n.holds[key]
	if h != nil && h.key != m.Key { // one number is one question: the first hold stays
		answer.Verdict = Unknown
		return nil
	}
	if h != nil { // asked again
		n.memory.Release(h.key, h.token)
	} else if len(n.holds) >= maxHolds {
		answer.Verdict = Held
		return nil
	}
	value, age, left, token, verdict := n.memory.Hold(n.value[:0], m.Key)
	answer.Verdict = verdict
	if verdict != Found {
		delete(n.holds, key)
		return value
	}
	if h == nil {
		h = &hold{key: m.Key, until: n.now + n.o.HoldFor}
		n.holds[key] = h
		n.counts.heldForPeers.Inc()
	}
	h.token, h.ends = token, n.now+left
	answer.Flags = wire.FlagHold
	answer.Record = wire.Update{Kind: UpdateSession, Key: m.Key, Age: age, Left: left, Value: value}
	return value
}

// release gives a session back that a peer holds for this node. The question may have
// been repeated, and a late copy of it be answered with another hold: that has to be
// released too.
func (n *Node) release(u *Update) {
	delete(n.questions.held, u.Hold)
	if p := n.byShort[u.Owner]; p != nil && p.introduced {
		n.sendTo(p, wire.Release{To: u.Owner, Question: u.Hold, Key: u.Key}.Append(n.begin()))
	}
}

func (n *Node) handleRelease(p *peer, m wire.Release) {
	key := holdKey{p.id.Short(), m.Question}
	if h := n.holds[key]; h != nil {
		n.memory.Release(h.key, h.token)
		delete(n.holds, key)
	}
}

// sweepHolds deletes what was not released in time: its handshake may have
// succeeded.
func (n *Node) sweepHolds() {
	for key, h := range n.holds {
		if n.now >= h.until {
			delete(n.holds, key)
			n.counts.holdsLapsed.Inc()
			n.memory.Delete(h.key, h.ends-n.now)
		}
	}
	for number, until := range n.questions.held {
		if n.now >= until {
			delete(n.questions.held, number)
		}
	}
}

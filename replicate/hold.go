package replicate

import (
	"time"

	"reprise/replicate/wire"
)

// The owner of a single-use session holds it for the node that asks for it. That node spends it,
// which is a delete to all, or releases it; if it has not released it by the end of HoldFor, the
// session counts as spent. So a release must not be lost: a client that cannot prove possession
// must not use a session up. It is repeated until it is acknowledged.

const (
	// maxHolds bounds the sessions that are held for peers.
	maxHolds = 4096
	// maxReleases bounds the releases that have yet to be acknowledged.
	maxReleases = 4096
	// A release is repeated after two round trips, at least releaseAgain, and twice
	// as long each time, up to releaseMost.
	releaseAgain = 2 * time.Millisecond
	releaseMost  = 250 * time.Millisecond
)

// A hold reserves a session for a peer's handshake. Until it is released, no other gets the
// session; without a release in time it counts as spent.
type hold struct {
	key   Key
	token uint64
	until time.Duration
	ends  time.Duration // end of the session's life
}

type holdKey struct {
	peer     ShortID
	question uint64
}

// holds are those given to peers here, and those of this node at peers that it releases.
type holds struct {
	given map[holdKey]*hold
	byKey map[Key]holdKey // of given

	releases  map[holdKey]*release
	releaseAt time.Duration // when the first of them is due
}

// A release is one that the owner, a peer, has not acknowledged.
type release struct {
	key     Key
	until   time.Duration // the hold has lapsed by then
	againAt time.Duration
	wait    time.Duration
}

func (h *holds) init() {
	h.given = make(map[holdKey]*hold)
	h.byKey = make(map[Key]holdKey)
	h.releases = make(map[holdKey]*release)
}

// holdFor answers a question for a single-use session.
func (n *Node) holdFor(p *peer, m wire.Ask, answer *wire.Answer) (value []byte) {
	key := holdKey{p.id.Short(), m.Question}
	h := n.holds.given[key]
	var again uint64
	switch {
	case h != nil && h.key != m.Key: // one number is one question: the first hold stays
		answer.Verdict = Unknown
		return nil
	case h != nil: // asked again: the answer may be lost, or under way
		again = h.token
	case p.released != nil && !p.released.IsNew(m.Question): // it was late
		answer.Verdict = Held
		return nil
	case len(n.holds.given) >= maxHolds:
		answer.Verdict = Held
		return nil
	}
	value, age, left, token, verdict := n.memory.Hold(n.value[:0], m.Key, again)
	answer.Verdict = verdict
	if verdict != Found {
		return value // an existing hold stays: the first answer may have arrived
	}
	if h == nil {
		h = &hold{key: m.Key, token: token, until: n.now + n.o.HoldFor}
		n.holds.given[key], n.holds.byKey[m.Key] = h, key
		n.counts.Lookups.HeldForPeers.Inc()
	}
	h.ends = n.now + left
	answer.Flags = wire.FlagHold
	answer.Record = wire.Update{Kind: UpdateSession, Key: m.Key, Age: age, Left: left, Value: value}
	return value
}

func (n *Node) endHold(key holdKey, h *hold) {
	delete(n.holds.given, key)
	if n.holds.byKey[h.key] == key {
		delete(n.holds.byKey, h.key)
	}
}

// spentHold removes the hold of a spent session.
func (n *Node) spentHold(session Key) {
	if key, ok := n.holds.byKey[session]; ok {
		n.endHold(key, n.holds.given[key])
	}
}

// handleRelease ends a hold and acknowledges that. It also ends the question's number: a late copy
// of the question holds nothing, since no node would release that.
func (n *Node) handleRelease(p *peer, m wire.Release) {
	key := holdKey{p.id.Short(), m.Question}
	if h := n.holds.given[key]; h != nil {
		n.memory.Release(h.key, h.token)
		n.endHold(key, h)
	}
	if p.released == nil {
		p.released = new(wire.Window)
	}
	p.released.Check(m.Question)
	n.sendTo(p, wire.Answer{
		To: p.id.Short(), Question: m.Question, Flags: wire.FlagReleased, Verdict: Unknown,
	}.Append(n.begin()))
}

// sweepHolds deletes sessions not released in time: their handshakes may have succeeded.
func (n *Node) sweepHolds() {
	for _, key := range keysOf(n.holds.given, compareHolds) {
		h := n.holds.given[key]
		if n.now >= h.until {
			n.endHold(key, h)
			n.counts.Lookups.HoldsLapsed.Inc()
			n.memory.Delete(h.key, h.ends-n.now)
		}
	}
	for number, until := range n.questions.held {
		if n.now >= until {
			delete(n.questions.held, number)
		}
	}
}

// release releases a session that a peer holds for this node.
func (n *Node) release(u *Update) {
	if p := n.byShort[u.Owner]; p != nil {
		n.giveBack(p, u.Hold, u.Key)
	}
}

// giveBack releases what p holds, or may hold, for a question.
func (n *Node) giveBack(p *peer, question uint64, session Key) {
	delete(n.questions.held, question)
	key := holdKey{p.id.Short(), question}
	r := n.holds.releases[key]
	if r == nil {
		r = &release{key: session, until: n.now + n.o.HoldFor, wait: max(releaseAgain, 2*p.rtt)}
		if len(n.holds.releases) < maxReleases {
			n.holds.releases[key] = r
		} else {
			n.counts.Lookups.Unheard.Inc()
		}
	}
	n.sendRelease(p, key, r)
	n.holds.releaseAt = min(n.holds.releaseAt, r.againAt)
}

func (n *Node) sendRelease(p *peer, key holdKey, r *release) {
	r.againAt = n.now + r.wait
	r.wait = min(2*r.wait, releaseMost)
	if p.introduced {
		n.sendTo(p, wire.Release{
			To: key.peer, Question: key.question,
			Key: r.key,
		}.Append(n.begin()))
	}
}

// handleReleased handles the acknowledgement of a release.
func (n *Node) handleReleased(p *peer, m wire.Answer) {
	delete(n.holds.releases, holdKey{p.id.Short(), m.Question})
}

// tickReleases repeats unacknowledged releases.
func (n *Node) tickReleases() time.Duration {
	if len(n.holds.releases) > 0 && n.now < n.holds.releaseAt {
		return n.holds.releaseAt
	}
	next := n.now + time.Second
	for _, key := range keysOf(n.holds.releases, compareHolds) {
		p, r := n.byShort[key.peer], n.holds.releases[key]
		switch {
		case p == nil: // it has ended, and its holds with it
			delete(n.holds.releases, key)
			continue
		case n.now >= r.until:
			delete(n.holds.releases, key)
			n.counts.Lookups.Unheard.Inc()
			continue
		case n.now >= r.againAt:
			n.sendRelease(p, key, r)
		}
		next = min(next, r.againAt)
	}
	n.holds.releaseAt = next
	return next
}

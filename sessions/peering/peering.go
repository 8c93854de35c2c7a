// Package peering joins a session memory and the protocol by which nodes share sessions, neither of
// which imports the other. It only translates; package sessions decides.
package peering

import (
	"time"

	"reprise/replicate"
	"reprise/sessions"
	"reprise/tlsconn"
)

// memory adapts a session memory to the protocol.
type memory struct{ m *sessions.Memory }

// Memory returns m in the form that the protocol needs.
func Memory(m *sessions.Memory) replicate.Memory { return memory{m} }

func (a memory) Put(key replicate.Key, value []byte, age, left time.Duration, pulled bool) {
	a.m.Put(key, value, age, left, pulled)
}

func (a memory) Find(dst []byte,
	key replicate.Key,
) (value []byte, age, left time.Duration, ok bool) {
	return a.m.Lookup(dst, key)
}

func (a memory) Hold(dst []byte, key replicate.Key,
	again uint64,
) (value []byte, age, left time.Duration, hold uint64, v replicate.Verdict) {
	value, age, left, hold, verdict := a.m.HoldFor(dst, key, again)
	return value, age, left, hold, verdictsOut[verdict]
}

func (a memory) Release(key replicate.Key, hold uint64) { a.m.ReleaseFor(key, hold) }

func (a memory) Delete(key replicate.Key, left time.Duration) { a.m.Delete(key, left) }

func (a memory) Scan(cursor uint64, visit func(key replicate.Key, value []byte, age,
	left time.Duration),
) uint64 {
	return a.m.Scan(cursor, func(key [16]byte, value []byte, age,
		left time.Duration,
	) {
		visit(key, value, age, left)
	})
}

func (a memory) Rules(dst []replicate.Rule) []replicate.Rule {
	for _, r := range a.m.Rules(nil) {
		dst = append(dst, replicate.Rule{
			ID: replicate.RuleID(r.ID), What: replicate.ForgetScope(r.What), Hash: r.Hash,
			Age: r.Age, Left: r.Left,
		})
	}
	return dst
}

func (a memory) AddRule(r replicate.Rule, done func(dropped int)) (isNew bool) {
	return a.m.AddRule(sessions.Rule{
		ID: sessions.RuleID(r.ID), What: sessions.Scope(r.What), Hash: r.Hash, Age: r.Age,
		Left: r.Left,
	}, done)
}

func (a memory) RulesDigest() uint64 { return a.m.RulesDigest() }

var verdictsOut = [...]replicate.Verdict{
	tlsconn.Found: replicate.Found, tlsconn.Unknown: replicate.Unknown,
	tlsconn.Expired: replicate.Expired,
	tlsconn.Held:    replicate.Held, tlsconn.Spent: replicate.Spent,
}

// verdictIn converts a verdict of the protocol. One of a later version means Unknown.
func verdictIn(v replicate.Verdict) tlsconn.Verdict {
	switch v {
	case replicate.Found:
		return tlsconn.Found
	case replicate.Held:
		return tlsconn.Held
	case replicate.Spent:
		return tlsconn.Spent
	case replicate.Expired:
		return tlsconn.Expired
	}
	return tlsconn.Unknown
}

// peers adapts a poller to the memory.
type peers struct {
	p     *replicate.Poller
	pulls bool
}

// New returns the peers that p reaches. pulls says whether they are asked for sessions that are not
// here.
func New(p *replicate.Poller, pulls bool) sessions.Fleet { return peers{p, pulls} }

func (f peers) Made(key [16]byte, value []byte, age, left time.Duration) {
	f.p.Publish(replicate.Update{
		Kind: replicate.UpdateSession, Key: key, Value: value, Age: age,
		Left: left,
	})
}

func (f peers) Deleted(key [16]byte, left time.Duration) {
	f.p.Publish(replicate.Update{Kind: replicate.UpdateDelete, Key: key, Left: left})
}

func (f peers) Ask(q *sessions.Question) bool {
	return f.p.TryAsk(&replicate.Question{
		Key: q.Key, Owner: replicate.ShortID(q.Owner), Hold: q.Hold,
		Answer: func(r replicate.Reply) { q.Answer(Answer(r)) },
	})
}

// Answer converts a reply for the memory.
func Answer(r replicate.Reply) sessions.Answer {
	return sessions.Answer{
		Value: r.Value, Age: r.Age, Left: r.Left, Hold: r.Hold,
		Verdict: verdictIn(r.Verdict),
	}
}

func (f peers) Pulls() bool { return f.pulls }

func (f peers) Arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	arbiter, _ := f.p.Arbiter(key, replicate.ShortID(owner))
	return tlsconn.NodeID(arbiter)
}

func (f peers) Reachable(owner tlsconn.NodeID) bool {
	return f.p.Reachable(replicate.ShortID(owner))
}

func (f peers) Release(key [16]byte, owner tlsconn.NodeID, hold uint64) {
	f.p.Release(key, replicate.ShortID(owner), hold)
}

package sessions

import (
	"slices"
	"time"

	"reprise/tlsconn"
)

// Store is a memory of sessions beyond the fleet. Its methods are called on loops and must not
// block.
type Store interface {
	Set(key [16]byte, value []byte, age, left time.Duration) bool
	// Get looks a session up. Unless it returns false, it calls answer once, on any goroutine;
	// answer owns value.
	Get(key [16]byte, answer func(value []byte, age, left time.Duration, ok bool)) bool
	Delete(key [16]byte) bool
	// Sync writes the rules in force to the store and reads those of other nodes. done, if not nil,
	// is called once, when that has succeeded or failed.
	Sync(done func(error))
}

// Ask implements tlsconn.Sessions: it asks peers first, then the stores.
func (m *Memory) Ask(l *tlsconn.Lookup) bool {
	if m.frozen() != nil {
		return false
	}
	askPeers := m.fleet != nil && (m.fleet.Pulls() || l.Hold)
	stores, asked := m.stores, l.Owner
	if l.Hold {
		if asked = m.arbiter(l.Key, l.Owner); asked != m.self {
			stores = nil // the arbiter alone decides
		}
	}
	if !askPeers && len(stores) == 0 {
		return false
	}
	if m.lookups.Add(1) > m.maxLookups {
		m.lookups.Add(-1)
		m.counts.Refused.Inc()
		return false
	}
	if askPeers && m.fleet.Ask(&Question{
		Key: l.Key, Owner: asked, Hold: l.Hold && asked != m.self,
		Answer: func(r Answer) { m.answeredByPeer(l, asked, r) },
	}) {
		return true
	}
	if len(stores) > 0 {
		m.askStores(l, stores)
		return true
	}
	m.lookups.Add(-1)
	return false
}

// arbiter returns the node that decides which handshake may use a single-use session.
func (m *Memory) arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	if m.fleet == nil || owner == m.self {
		return m.self
	}
	return m.fleet.Arbiter(key, owner)
}

// answeredByPeer handles the answer to a question put to the node asked or, if asked is this node,
// to any node of the fleet that may have the session.
func (m *Memory) answeredByPeer(l *tlsconn.Lookup, asked tlsconn.NodeID, r Answer) {
	now := m.clock.now()
	switch {
	case r.Verdict == tlsconn.Found && r.Hold != 0:
		born, expires, v := m.admitTold(r.Value, r.Age, r.Left, now)
		if v != tlsconn.Found {
			m.fleet.Release(l.Key, asked, r.Hold)
			m.answer(l, tlsconn.Session{}, v)
			return
		}
		m.answer(l, tlsconn.Session{
			State: slices.Clone(r.Value), Born: m.clock.time(born), Expires: m.clock.time(expires),
			Source: tlsconn.SourcePulled, Hold: m.keepRemote(remoteHold{
				arbiter: asked,
				number:  r.Hold, until: expires,
			}),
		}, tlsconn.Found)
	case r.Verdict == tlsconn.Found && l.Hold && asked != m.self:
		m.answer(l, tlsconn.Session{}, tlsconn.Unknown) // a session that was to be held
	case r.Verdict == tlsconn.Found:
		m.answerFound(l, slices.Clone(r.Value), r.Age, r.Left, tlsconn.SourcePulled, now)
	case r.Verdict == tlsconn.Held, r.Verdict == tlsconn.Spent:
		m.answer(l, tlsconn.Session{}, r.Verdict) // no other source is better informed
	default:
		if l.Hold && m.arbiter(l.Key, l.Owner) != m.self {
			m.answer(l, tlsconn.Session{}, r.Verdict)
			return
		}
		m.answerUnheld(l)
	}
}

// answerUnheld continues the search if no peer has the session, or none can be asked. If this node
// decides about a single-use session, it may have a copy.
func (m *Memory) answerUnheld(l *tlsconn.Lookup) {
	if l.Hold {
		if s, v := m.findHeld(nil, l.Key, m.clock.now()); v != tlsconn.Unknown {
			m.answer(l, s, v)
			return
		}
	}
	m.askStores(l, m.stores)
}

// askStores asks one store after another.
func (m *Memory) askStores(l *tlsconn.Lookup, stores []Store) {
	for i, st := range stores {
		if st.Get(l.Key, func(value []byte, age, left time.Duration, ok bool) {
			if !ok {
				m.askStores(l, stores[i+1:])
				return
			}
			m.answerFound(l, value, age, left, tlsconn.SourceStore, m.clock.now())
		}) {
			return
		}
	}
	m.answer(l, tlsconn.Session{}, tlsconn.Unknown)
}

// answerFound gives a session from elsewhere to the handshake that wants it, if the session passes
// the gate and, where it is to be held, no other handshake of this node holds it. It takes
// ownership of value.
func (m *Memory) answerFound(l *tlsconn.Lookup, value []byte, age, left time.Duration,
	source tlsconn.Source, now instant,
) {
	born, expires, v := m.keep(l.Key, value, age, left, source, now)
	switch {
	case m.frozen() != nil:
		clear(value)
		m.answer(l, tlsconn.Session{}, tlsconn.Unknown)
	case l.Hold:
		// Whether this copy or an earlier one was kept, the first handshake to hold it here has it.
		clear(value)
		s, v := m.findHeld(nil, l.Key, now)
		s.Source = source
		m.answer(l, s, v)
	case v != tlsconn.Found:
		clear(value)
		m.answer(l, tlsconn.Session{}, v)
	default:
		m.answer(l, tlsconn.Session{
			State: value, Born: m.clock.time(born),
			Expires: m.clock.time(expires), Source: source,
		}, tlsconn.Found)
	}
}

// answer ends a look-up.
func (m *Memory) answer(l *tlsconn.Lookup, s tlsconn.Session, v tlsconn.Verdict) {
	m.lookups.Add(-1)
	if l.Answer(s, v) {
		return
	}
	clear(s.State) // the handshake no longer waits
	if s.Hold != 0 {
		m.Release(l.Key, l.Owner, s.Hold)
	}
}

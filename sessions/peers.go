package sessions

import (
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// Fleet is the set of other nodes, as the memory needs it. Its methods are called on loops and must
// not block.
type Fleet interface {
	// Made tells peers of a session, Deleted that one was spent or deleted. value must be copied.
	Made(key [16]byte, value []byte, age, left time.Duration)
	Deleted(key [16]byte, left time.Duration)
	// Ask asks for a session. It returns false if no node can be asked; q.Answer is then never
	// called.
	Ask(q *Question) bool
	// Pulls reports whether sessions that are not here may be elsewhere.
	Pulls() bool
	// Arbiter returns the node that decides which handshake may use a single-use session: its owner
	// while that is in contact, otherwise one of those in contact including this node; all of these
	// give the same result.
	Arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID
	// Reachable reports whether a peer is in contact.
	Reachable(node tlsconn.NodeID) bool
	// Release ends a hold given by an arbiter. A hold that is not released is spent: Deleted tells
	// the arbiter too.
	Release(key [16]byte, arbiter tlsconn.NodeID, hold uint64)
}

// A Question asks for a session that a handshake wants and this node does not have.
type Question struct {
	Key   [16]byte
	Owner tlsconn.NodeID // or the arbiter, if it is to be held
	// Hold is for a single-use session: only that node is asked, and holds the session for this
	// one.
	Hold bool
	// Answer is called once, on any goroutine; value is valid during the call.
	Answer func(a Answer)
}

// An Answer is the result of a [Question].
type Answer struct {
	Value     []byte
	Age, Left time.Duration
	Verdict   tlsconn.Verdict // Found, or why there is no session
	// the arbiter's number for its hold, 0 if it holds nothing for this node
	Hold uint64
}

// Put keeps a session from a peer, pulled by a question of this node or pushed. It reports whether
// it has passed the gate.
func (m *Memory) Put(key [16]byte, value []byte, age, left time.Duration, pulled bool) bool {
	source := tlsconn.SourcePushed
	if pulled {
		source = tlsconn.SourcePulled
	}
	_, _, v := m.keep(key, value, age, left, source, m.clock.now())
	return v == tlsconn.Found
}

// keep passes a session from elsewhere through the gate into the cache. A session without room
// there may be used all the same.
func (m *Memory) keep(key [16]byte, value []byte, age, left time.Duration, source tlsconn.Source,
	now instant,
) (born, expires instant, v tlsconn.Verdict) {
	born, expires, v = m.admitTold(value, age, left, now)
	if v != tlsconn.Found {
		return born, expires, v
	}
	switch m.cache.Put(key[:], value, cache.Entry{Tag: uint8(source), Born: born, Expires: expires},
		now) {
	case cache.AlreadySpent:
		v = tlsconn.Spent
	case cache.AlreadyExpired:
		v = tlsconn.Expired
	}
	return born, expires, v
}

// admitTold is admit for a session whose age and remaining life another node states.
func (m *Memory) admitTold(value []byte, age, left time.Duration,
	now instant,
) (born, expires instant, v tlsconn.Verdict) {
	return m.admit(value, now-int64(min(max(age, 0), longestLife)),
		now+int64(min(max(left, 0), longestLife)), now)
}

// Lookup appends the value of a session to dst, for a peer that asks or to send it again. A session
// that a handshake has reserved is not given away.
func (m *Memory) Lookup(dst []byte, key [16]byte) (value []byte, age, left time.Duration, ok bool) {
	now := m.clock.now()
	value, e, outcome := m.cache.Peek(dst, key[:], now)
	v, age, left := m.giveTold(key, value, dst, e, now, outcome)
	if v != tlsconn.Found {
		return dst, 0, 0, false
	}
	return value, age, left, true
}

// HoldFor is Lookup that reserves a session of this node for a handshake of a peer, until
// ReleaseFor, Delete or its end: if the peer dies, that one session is lost, which is better than
// using it twice. again is 0, or a hold that was given to that peer, whose answer may have been
// lost: then the same hold is given again, and the session is held throughout.
func (m *Memory) HoldFor(dst []byte, key [16]byte,
	again uint64,
) (value []byte, age, left time.Duration, hold uint64, v tlsconn.Verdict) {
	now := m.clock.now()
	if hold = again; hold == 0 {
		hold = m.lastRemote.Add(2)
	}
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	switch l, lent := m.lent[key]; {
	case lent && l.number != hold:
		return dst, 0, 0, 0, tlsconn.Held
	case !lent && again != 0: // the session was spent meanwhile, or has ended
		return dst, 0, 0, 0, tlsconn.Spent
	}
	value, e, outcome := m.cache.Hold(dst, key[:], now, cache.Hold{ID: hold, Until: forever})
	v, age, left = m.giveTold(key, value, dst, e, now, outcome)
	if v != tlsconn.Found {
		return dst, 0, 0, 0, v
	}
	m.lent[key] = lentHold{hold, now + int64(left)}
	return value, age, left, hold, v
}

// giveTold passes a session from the cache to a peer.
func (m *Memory) giveTold(key [16]byte, value, dst []byte, e cache.Entry, now instant,
	o cache.Outcome,
) (v tlsconn.Verdict, age, left time.Duration) {
	if o != cache.Hit {
		return verdicts[o], 0, 0
	}
	born, expires, v := m.admit(value[len(dst):], e.Born, e.Expires, now)
	if v != tlsconn.Found {
		m.refuse(key, value[len(dst):], now)
		return v, 0, 0
	}
	return v, time.Duration(now - born), time.Duration(expires - now)
}

// ReleaseFor ends a hold given by HoldFor, and no other kind.
func (m *Memory) ReleaseFor(key [16]byte, hold uint64) {
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	if m.lent[key].number == hold {
		delete(m.lent, key)
		m.cache.Release(key[:], hold)
	}
}

// Delete forgets a session that was spent elsewhere, even one that has yet to arrive.
func (m *Memory) Delete(key [16]byte, left time.Duration) {
	now := m.clock.now()
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	m.cache.Delete(key[:], now, now+int64(min(max(left, 0), m.lifetime)))
	delete(m.lent, key) // its tombstone exists now
}

// Scan visits some sessions and returns the cursor to continue with; 0 is the beginning and the
// end. Values are valid during visit, and any cursor is safe.
func (m *Memory) Scan(cursor uint64, visit func(key [16]byte, value []byte, age,
	left time.Duration),
) (next uint64) {
	now := m.clock.now()
	return uint64(m.cache.Scan(cache.Cursor(cursor), now, func(key, value []byte, e cache.Entry) {
		if len(key) != len([16]byte{}) {
			return
		}
		if born, expires, v := m.admit(value, e.Born, e.Expires, now); v == tlsconn.Found {
			visit([16]byte(key), value, time.Duration(now-born), time.Duration(expires-now))
		}
	}))
}

package sessions

import (
	"crypto/rand"
	"encoding/binary"
	"maps"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// Options are the parts of a memory. Cache and Lifetime are required.
type Options struct {
	// with keys of 16 bytes; the caller closes it once the memory is no longer used
	Cache *cache.Cache
	// Lifetime is how long a session may be resumed after its full handshake.
	Lifetime time.Duration
	// Hold is how long a handshake of this node may hold a single-use session if it never reports
	// an outcome.
	Hold time.Duration
	// Self is this node as its handles name it.
	Self tlsconn.NodeID
	// MaxLookups bounds the handshakes that wait for a session from elsewhere.
	MaxLookups int
	// Now is the clock: if nil, one that counts while the machine sleeps. Only its differences
	// matter.
	Now func() time.Time
	// Go runs walks through the whole cache; nil starts a goroutine for each.
	Go func(func())
}

// Memory is the session memory of one node: tlsconn.Sessions for the loops, and for peers the
// sessions that they put, ask for, hold, spend and forget. Make one with [New].
type Memory struct {
	cache        *cache.Cache
	lifetime     time.Duration
	hold         time.Duration
	self         tlsconn.NodeID
	clock        *clock
	inBackground func(func())

	// Set by Connect, before anything is served.
	fleet  Fleet
	stores []Store

	maxLookups int64
	lookups    atomic.Int64  // under way
	lastHold   atomic.Int64  // of a handshake here; even
	lastRemote atomic.Uint64 // at another node; odd

	mu    sync.Mutex // guards changes of rules
	rules atomic.Pointer[rulebook]

	// guards remote and lent, and the holds that they record
	holdMu sync.Mutex
	remote map[uint64]remoteHold // holds of this node's handshakes at others
	lent   map[[16]byte]lentHold // holds here for handshakes of others

	heir atomic.Pointer[Heir] // set after Freeze; nil while this memory is in charge

	counts counts
}

// New returns a memory without other nodes and stores.
func New(o Options) *Memory {
	if o.Now == nil {
		o.Now = sinceStart
	}
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	m := &Memory{
		cache: o.Cache, lifetime: min(o.Lifetime, longestLife), hold: o.Hold, self: o.Self,
		clock: newClock(o.Now), inBackground: o.Go, maxLookups: int64(o.MaxLookups),
		remote: make(map[uint64]remoteHold), lent: make(map[[16]byte]lentHold),
	}
	// A random start distinguishes this life of the node from the one before, whose holds peers may
	// still name.
	var b [8]byte
	_, _ = rand.Read(b[:])
	m.lastRemote.Store(binary.BigEndian.Uint64(b[:]) | forPeer)
	return m
}

// Connect sets the other nodes, nil if there are none, and the stores in the order in which they
// are asked. It is called once, before the memory is used.
func (m *Memory) Connect(fleet Fleet, stores ...Store) {
	m.mu.Lock() // stores report rules as soon as they are open
	defer m.mu.Unlock()
	m.fleet, m.stores = fleet, stores
}

// Now is the time by which sessions are born and end. It counts while the machine sleeps, and
// differs from the wall clock.
func (m *Memory) Now() time.Time { return m.clock.time(m.clock.now()) }

// Lifetime is how long a session may be resumed after its full handshake.
func (m *Memory) Lifetime() time.Duration { return m.lifetime }

// newHold returns a hold for a handshake of this node. Its number is the instant at which it
// lapses.
func (m *Memory) newHold(now instant) cache.Hold {
	for {
		last := m.lastHold.Load()
		id := max(last+2, (now+int64(m.hold))&^forPeer)
		if m.lastHold.CompareAndSwap(last, id) {
			return cache.Hold{ID: uint64(id), Until: id}
		}
	}
}

// forPeer marks the number of a hold that one node gives to another.
const forPeer = 1

// A remoteHold is a hold that another node has given to a handshake of this one.
type remoteHold struct {
	arbiter tlsconn.NodeID
	number  uint64  // the arbiter's number for it
	until   instant // the session ends
}

// A lentHold is a hold given to a peer. It is kept beside the cache, which may have to evict the
// session meanwhile, and get a copy of it again.
type lentHold struct {
	number uint64
	until  instant // the session ends
}

// keepRemote records a hold and returns the number that a handshake of this node uses for it.
func (m *Memory) keepRemote(h remoteHold) uint64 {
	id := m.lastRemote.Add(2)
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	m.remote[id] = h
	return id
}

// takeRemote removes the record of a hold: it is spent or released once.
func (m *Memory) takeRemote(id uint64) (h remoteHold, ok bool) {
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	h, ok = m.remote[id]
	delete(m.remote, id)
	return h, ok
}

// dropHolds removes the records of holds whose sessions have ended.
func (m *Memory) dropHolds(now instant) {
	m.holdMu.Lock()
	defer m.holdMu.Unlock()
	maps.DeleteFunc(m.remote, func(_ uint64, h remoteHold) bool { return h.until <= now })
	maps.DeleteFunc(m.lent, func(_ [16]byte, h lentHold) bool { return h.until <= now })
}

var verdicts = [...]tlsconn.Verdict{
	cache.Hit: tlsconn.Found, cache.Unknown: tlsconn.Unknown, cache.Expired: tlsconn.Expired,
	cache.Held: tlsconn.Held, cache.Spent: tlsconn.Spent,
}

// Find implements tlsconn.Sessions.
func (m *Memory) Find(dst []byte, key tlsconn.Key, owner tlsconn.NodeID,
	hold bool,
) (tlsconn.Session, tlsconn.Verdict) {
	if m.frozen() != nil {
		return tlsconn.Session{State: dst}, tlsconn.Unknown
	}
	now := m.clock.now()
	if !hold {
		state, entry, outcome := m.cache.AppendGet(dst, key[:], now)
		return m.give(key, state, dst, entry, 0, now, outcome)
	}
	if m.arbiter(key, owner) != m.self {
		// A copy here does not show whether another node has used the session.
		return tlsconn.Session{State: dst}, tlsconn.Unknown
	}
	return m.findHeld(dst, key, now)
}

// findHeld reserves a session in this node's cache for one of its handshakes.
func (m *Memory) findHeld(dst []byte, key tlsconn.Key,
	now instant,
) (tlsconn.Session, tlsconn.Verdict) {
	h := m.newHold(now)
	m.holdMu.Lock()
	if m.frozen() != nil {
		m.holdMu.Unlock()
		return tlsconn.Session{State: dst}, tlsconn.Unknown
	}
	if _, lent := m.lent[key]; lent {
		m.holdMu.Unlock()
		return tlsconn.Session{State: dst}, tlsconn.Held
	}
	state, entry, outcome := m.cache.Hold(dst, key[:], now, h)
	m.holdMu.Unlock()
	return m.give(key, state, dst, entry, h.ID, now, outcome)
}

// give passes a session from the cache to a handshake. dst is state without the bytes that the
// cache has appended.
func (m *Memory) give(key tlsconn.Key, state, dst []byte, e cache.Entry, hold uint64, now instant,
	o cache.Outcome,
) (tlsconn.Session, tlsconn.Verdict) {
	if o != cache.Hit {
		return tlsconn.Session{State: dst}, verdicts[o]
	}
	born, expires, verdict := m.admit(state[len(dst):], e.Born, e.Expires, now)
	if verdict != tlsconn.Found {
		m.refuse(key, state[len(dst):], now)
		return tlsconn.Session{State: dst}, verdict
	}
	return tlsconn.Session{
		State: state, Born: m.clock.time(born), Expires: m.clock.time(expires),
		Source: tlsconn.Source(e.Tag), Hold: hold,
	}, tlsconn.Found
}

// refuse wipes a session that the gate has refused, in the cache too.
func (m *Memory) refuse(key [16]byte, state []byte, now instant) {
	clear(state)
	m.cache.Delete(key[:], now, now)
}

// Save implements tlsconn.Sessions.
func (m *Memory) Save(key tlsconn.Key, s tlsconn.Session) {
	now := m.clock.now()
	// The session it renews may have been forgotten or have ended while the handshake was under
	// way.
	born, expires, verdict := m.admit(s.State, m.clock.instant(s.Born), m.clock.instant(s.Expires),
		now)
	if verdict != tlsconn.Found {
		return
	}
	// The cache counts a session that does not fit; its client gets a full handshake next time.
	m.cache.Put(key[:], s.State, cache.Entry{
		Tag: uint8(tlsconn.SourceLocal), Born: born,
		Expires: expires,
	}, now)
	age, left := time.Duration(now-born), time.Duration(expires-now)
	if h := m.frozen(); h != nil {
		h.Made(key, s.State, age, left)
	} else if m.fleet != nil {
		m.fleet.Made(key, s.State, age, left)
	}
	for _, st := range m.stores {
		st.Set(key, s.State, age, left)
	}
}

// Release implements tlsconn.Sessions.
func (m *Memory) Release(key tlsconn.Key, _ tlsconn.NodeID, hold uint64) {
	switch {
	case hold == 0:
	case hold&forPeer != 0:
		h, ok := m.takeRemote(hold)
		if heir := m.frozen(); ok && heir != nil {
			heir.Release(key, h.arbiter, h.number)
		} else if ok {
			m.fleet.Release(key, h.arbiter, h.number)
		}
	default:
		m.cache.Release(key[:], hold)
	}
}

// Spend implements tlsconn.Sessions.
func (m *Memory) Spend(key tlsconn.Key, _ tlsconn.NodeID, hold uint64, left time.Duration) bool {
	now := m.clock.now()
	until := now + int64(min(left, m.lifetime))
	if hold&forPeer != 0 {
		// Of a session that its arbiter holds for this node, no other handshake gets it unless it
		// is released: holding it spent it. But if the arbiter has gone since, another node may
		// have taken its place without knowing.
		if h, ok := m.takeRemote(hold); !ok || !m.fleet.Reachable(h.arbiter) {
			m.counts.LostRaces.Inc()
			return false
		}
		m.cache.Delete(key[:], now, until)
	} else if !m.commit(key, hold, now, until) {
		m.counts.LostRaces.Inc()
		return false
	}
	if h := m.frozen(); h != nil {
		h.Deleted(key, left)
	} else if m.fleet != nil {
		m.fleet.Deleted(key, left)
	}
	for _, st := range m.stores {
		st.Delete(key)
	}
	return true
}

// commit spends a session in this node's cache. A session that the cache had to evict meanwhile is
// spent too, unless the hold has lapsed: until then no other handshake can have had it.
func (m *Memory) commit(key [16]byte, hold uint64, now, until instant) bool {
	if m.frozen() != nil && now >= int64(hold) {
		return false // the successor may have given it to another handshake
	}
	outcome := m.cache.Spend(key[:], hold, now, until)
	return outcome == cache.Hit || outcome == cache.Unknown && now < int64(hold)
}

// Sweep wipes expired sessions and drops rules that have ended. It is called every few seconds, by
// one goroutine, and yields between small steps. It returns how long the machine did not run since
// the last call without the source counting it: the time that the wall clock shows as missing.
func (m *Memory) Sweep() (lost time.Duration) {
	if lost = m.clock.watch(); lost > 0 {
		m.age(lost)
	}
	now := m.clock.now()
	const step = 1024
	for m.cache.Sweep(now, step) == step {
		runtime.Gosched()
	}
	for cursor := cache.Cursor(0); ; {
		purged, next := m.cache.Purge(cursor, now)
		m.counts.Purged.Add(uint64(purged))
		if cursor = next; cursor == 0 {
			break
		}
		runtime.Gosched()
	}
	m.dropRules(now)
	m.dropHolds(now)
	return lost
}

// age makes everything except rules older by the time for which the machine did not run: if the
// clock was merely wrong before, the ages that peers send are right, and a rule that seemed older
// would admit forgotten sessions.
func (m *Memory) age(lost time.Duration) {
	m.counts.Slept.Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	if book := m.rules.Load(); book != nil {
		list := make([]*rule, 0, len(book.list))
		for _, r := range book.list {
			later := *r
			later.given += int64(lost)
			later.until += int64(lost)
			list = append(list, &later)
		}
		m.rules.Store(newRulebook(list))
	}
	m.clock.skip(lost)
}

// forever is the end of a peer's hold, which lasts as long as the session.
const forever instant = math.MaxInt64

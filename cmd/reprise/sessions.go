package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"reprise/cache"
	"reprise/replicate"
	"reprise/replicate/store"
	"reprise/tlsconn"
)

// started is the origin of the cache's clock, which must never go back.
var started = time.Now()

// monotonic is t on the cache's clock, in nanoseconds.
func monotonic(t time.Time) int64 { return int64(t.Sub(started)) }

// sessions is the session memory of this node: the cache, and behind it the other
// nodes and the stores beyond the fleet. It is tlsconn's Sessions for the loops
// and, as peerMemory, replicate's Memory for the poller. It is safe for concurrent
// use.
type sessions struct {
	cache    *cache.Cache
	lifetime time.Duration // of a session, from its full handshake
	hold     time.Duration // a reservation outlives the handshake it is for

	// Set before anything is served.
	poller     *replicate.Poller // nil without peers
	pulls      bool              // peers are asked on a miss
	stores     []*store.Store
	maxLookups int64

	lookups atomic.Int64 // under way
	refused atomic.Uint64

	mu    sync.Mutex // guards changes of rules
	rules atomic.Pointer[[]forgetRule]
}

// A forgetRule refuses sessions that were made before it was given.
type forgetRule struct {
	what replicate.ForgetScope
	hash uint64
	at   int64
}

// maxRules bounds the rules in force; the oldest gives way.
const maxRules = 64

func newSessions(c *cache.Cache, lifetime, handshakeTimeout time.Duration) *sessions {
	return &sessions{cache: c, lifetime: lifetime, hold: handshakeTimeout + time.Second}
}

var verdicts = [...]tlsconn.Verdict{
	cache.Hit: tlsconn.Found, cache.Unknown: tlsconn.Unknown, cache.Expired: tlsconn.Expired,
	cache.Held: tlsconn.Held, cache.Spent: tlsconn.Spent,
}

// Find implements tlsconn.Sessions.
func (s *sessions) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID, hold bool) (tlsconn.Session, tlsconn.Verdict) {
	now := monotonic(time.Now())
	var (
		session tlsconn.Session
		entry   cache.Entry
		outcome cache.Outcome
	)
	if hold {
		until := now + int64(s.hold)
		session.Hold = uint64(until)
		session.State, entry, outcome = s.cache.Hold(dst, key[:], now, until)
	} else {
		session.State, entry, outcome = s.cache.AppendGet(dst, key[:], now)
	}
	session.Expires = started.Add(time.Duration(entry.Expires))
	session.Born = session.Expires.Add(-s.lifetime)
	session.Source = tlsconn.Source(entry.Tag)
	return session, verdicts[outcome]
}

// Ask implements tlsconn.Sessions: the peers are asked first, then the stores.
func (s *sessions) Ask(l *tlsconn.Lookup) bool {
	if !s.pulls && len(s.stores) == 0 {
		return false
	}
	if s.lookups.Add(1) > s.maxLookups {
		s.lookups.Add(-1)
		s.refused.Add(1)
		return false
	}
	if s.pulls && s.poller.TryAsk(&replicate.Question{
		Key: replicate.Key(l.Key), Owner: replicate.ShortID(l.Owner),
		Answer: func(r replicate.Reply) {
			if r.Verdict == replicate.Found && !s.forgotten(r.Value, r.Left) {
				s.answer(l, slices.Clone(r.Value), r.Left, tlsconn.SourcePulled)
			} else {
				s.askStores(l, s.stores)
			}
		},
	}) {
		return true
	}
	if len(s.stores) > 0 {
		s.askStores(l, s.stores)
		return true
	}
	s.lookups.Add(-1)
	return false
}

// askStores asks one store after the other.
func (s *sessions) askStores(l *tlsconn.Lookup, stores []*store.Store) {
	for i, st := range stores {
		if st.Get(l.Key, func(value []byte, lifetime time.Duration, ok bool) {
			if !ok {
				s.askStores(l, stores[i+1:])
				return
			}
			if s.keep(replicate.Key(l.Key), value, lifetime, tlsconn.SourceStore) {
				s.answer(l, value, lifetime, tlsconn.SourceStore)
			} else {
				s.answer(l, nil, 0, 0)
			}
		}) {
			return
		}
	}
	s.answer(l, nil, 0, 0)
}

func (s *sessions) answer(l *tlsconn.Lookup, state []byte, lifetime time.Duration, source tlsconn.Source) {
	s.lookups.Add(-1)
	if state == nil {
		l.Answer(tlsconn.Session{}, tlsconn.Unknown)
		return
	}
	expires := time.Now().Add(min(lifetime, s.lifetime))
	l.Answer(tlsconn.Session{State: state, Born: expires.Add(-s.lifetime), Expires: expires, Source: source}, tlsconn.Found)
}

// Save implements tlsconn.Sessions.
func (s *sessions) Save(key tlsconn.Key, session tlsconn.Session) {
	lifetime := time.Until(session.Expires)
	if s.forgotten(session.State, lifetime) {
		return // renewed from a session that was forgotten meanwhile
	}
	now := monotonic(time.Now())
	// A session that does not fit is counted by the cache; its client gets a
	// full handshake next time.
	s.cache.Put(key[:], session.State, uint8(tlsconn.SourceLocal), now, now+int64(lifetime))
	if s.poller != nil {
		s.poller.Publish(replicate.Update{
			Kind: replicate.UpdateSession, Key: replicate.Key(key), Age: time.Since(session.Born), Left: lifetime, Value: session.State,
		})
	}
	for _, st := range s.stores {
		st.Set(key, session.State, lifetime)
	}
}

// Release implements tlsconn.Sessions.
func (s *sessions) Release(key tlsconn.Key, _ tlsconn.NodeID, hold uint64) {
	s.cache.Release(key[:], int64(hold))
}

// Spend implements tlsconn.Sessions.
func (s *sessions) Spend(key tlsconn.Key, _ tlsconn.NodeID, _ uint64, lifetime time.Duration) bool {
	now := monotonic(time.Now())
	if s.cache.Delete(key[:], now, now+int64(lifetime)) == cache.Spent {
		return false
	}
	if s.poller != nil {
		s.poller.Publish(replicate.Update{Kind: replicate.UpdateDelete, Key: replicate.Key(key), Left: lifetime})
	}
	for _, st := range s.stores {
		st.Delete(key)
	}
	return true
}

// Put implements replicate.Memory.
func (s *sessions) Put(key replicate.Key, value []byte, _, lifetime time.Duration, pulled bool) {
	source := tlsconn.SourcePushed
	if pulled {
		source = tlsconn.SourcePulled
	}
	s.keep(key, value, lifetime, source)
}

// keep stores a session that came from elsewhere, unless it has been forgotten.
func (s *sessions) keep(key replicate.Key, value []byte, lifetime time.Duration, source tlsconn.Source) bool {
	if s.forgotten(value, lifetime) {
		return false
	}
	now := monotonic(time.Now())
	s.cache.Put(key[:], value, uint8(source), now, now+int64(min(lifetime, s.lifetime)))
	return true
}

// forgotten reports whether a session was made before somebody said that such
// ones are to be forgotten: a copy of it may be under way for long.
func (s *sessions) forgotten(value []byte, lifetime time.Duration) bool {
	rules := s.rules.Load()
	if rules == nil {
		return false
	}
	made := monotonic(time.Now()) - int64(max(s.lifetime-lifetime, 0))
	return slices.ContainsFunc(*rules, func(r forgetRule) bool {
		return made <= r.at && tlsconn.StateMatches(value, r.nameHash(), r.contextHash())
	})
}

// peerMemory is the sessions as the peers see them: replicate's Memory.
type peerMemory struct{ *sessions }

// Find implements replicate.Memory. What a handshake here has reserved is given
// to nobody else.
func (m peerMemory) Find(dst []byte, key replicate.Key) (_ []byte, age, left time.Duration, ok bool) {
	now := monotonic(time.Now())
	value, entry, outcome := m.cache.Peek(dst, key[:], now)
	left = time.Duration(entry.Expires - now)
	return value, max(m.lifetime-left, 0), left, outcome == cache.Hit
}

// Hold implements replicate.Memory.
func (m peerMemory) Hold(dst []byte, key replicate.Key) (_ []byte, age, left time.Duration, hold uint64, v replicate.Verdict) {
	now := monotonic(time.Now())
	until := now + int64(m.hold)
	value, entry, outcome := m.cache.Hold(dst, key[:], now, until)
	left = time.Duration(entry.Expires - now)
	return value, max(m.lifetime-left, 0), left, uint64(until), peerVerdicts[outcome]
}

var peerVerdicts = [...]replicate.Verdict{
	cache.Hit: replicate.Found, cache.Unknown: replicate.Unknown, cache.Expired: replicate.Expired,
	cache.Held: replicate.Held, cache.Spent: replicate.Spent,
}

// Release implements replicate.Memory.
func (m peerMemory) Release(key replicate.Key, hold uint64) { m.cache.Release(key[:], int64(hold)) }

// Rules implements replicate.Memory. They are not handed on yet.
func (m peerMemory) Rules(dst []replicate.Rule) []replicate.Rule { return dst }

// RulesDigest implements replicate.Memory.
func (m peerMemory) RulesDigest() uint64 { return 0 }

// Delete implements replicate.Memory.
func (s *sessions) Delete(key replicate.Key, lifetime time.Duration) {
	now := monotonic(time.Now())
	s.cache.Delete(key[:], now, now+int64(min(lifetime, s.lifetime)))
}

// Scan implements replicate.Memory.
func (s *sessions) Scan(cursor uint64, visit func(key replicate.Key, value []byte, age, left time.Duration)) uint64 {
	now := monotonic(time.Now())
	return uint64(s.cache.Scan(cache.Cursor(cursor), now, func(key, value []byte, e cache.Entry) {
		if len(key) == len(replicate.Key{}) {
			left := time.Duration(e.Expires - now)
			visit(replicate.Key(key), value, max(s.lifetime-left, 0), left)
		}
	}))
}

// nameHash and contextHash are what the rule asks for, nil if anything will do.
func (r *forgetRule) nameHash() *uint64 {
	if r.what == replicate.ForgetName {
		return &r.hash
	}
	return nil
}

func (r *forgetRule) contextHash() *uint64 {
	if r.what == replicate.ForgetContext {
		return &r.hash
	}
	return nil
}

// AddRule implements replicate.Memory. It walks the cache on a goroutine of its
// own, a segment at a time.
func (s *sessions) AddRule(rule replicate.Rule, done func(dropped int)) bool {
	if rule.What > replicate.ForgetContext {
		done(0) // of a later version
		return false
	}
	r := forgetRule{rule.What, rule.Hash, monotonic(time.Now()) - int64(rule.Age)}
	s.addRule(r)
	go func() {
		dropped := 0
		for cursor := cache.Cursor(0); ; {
			n, next := s.cache.DeleteFunc(cursor, func(_, value []byte, _ uint8) bool {
				return tlsconn.StateMatches(value, r.nameHash(), r.contextHash())
			})
			dropped += n
			if cursor = next; cursor == 0 {
				break
			}
			runtime.Gosched()
		}
		done(dropped)
	}()
	return true
}

// addRule puts a rule in force, and drops those that no session is old enough for.
func (s *sessions) addRule(r forgetRule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := []forgetRule{r}
	if old := s.rules.Load(); old != nil {
		for _, o := range *old {
			if r.at-o.at < int64(s.lifetime) && len(rules) < maxRules {
				rules = append(rules, o)
			}
		}
	}
	s.rules.Store(&rules)
}

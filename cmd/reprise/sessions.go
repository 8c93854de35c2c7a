package main

import (
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// started is the origin of the cache's clock, which must never go back.
var started = time.Now()

// monotonic is t on the cache's clock, in nanoseconds.
func monotonic(t time.Time) int64 { return int64(t.Sub(started)) }

// A sessionCache keeps TLS sessions in a cache: tlsconn's Sessions on one side,
// package cache on the other. It is safe for concurrent use.
type sessionCache struct {
	cache    *cache.Cache
	lifetime time.Duration // tombstones need not outlive any session
	hold     time.Duration // a reservation outlives the handshake it is for
}

func newSessionCache(c *cache.Cache, lifetime, handshakeTimeout time.Duration) *sessionCache {
	return &sessionCache{cache: c, lifetime: lifetime, hold: handshakeTimeout + time.Second}
}

var verdicts = map[cache.Outcome]tlsconn.Verdict{
	cache.Hit: tlsconn.Found, cache.Unknown: tlsconn.Unknown, cache.Expired: tlsconn.Expired,
	cache.Held: tlsconn.Held, cache.Spent: tlsconn.Spent,
}

// Find implements tlsconn.Sessions.
func (s *sessionCache) Find(dst []byte, key tlsconn.Key, hold bool) (tlsconn.Session, tlsconn.Verdict) {
	now := monotonic(time.Now())
	var (
		session tlsconn.Session
		entry   cache.Entry
		outcome cache.Outcome
	)
	if hold {
		session.Hold = now + int64(s.hold)
		session.State, entry, outcome = s.cache.Hold(dst, key[:], now, session.Hold)
	} else {
		session.State, entry, outcome = s.cache.AppendGet(dst, key[:], now)
	}
	session.Lifetime = time.Duration(entry.Expires - now)
	session.Source = tlsconn.Source(entry.Tag)
	return session, verdicts[outcome]
}

// Ask implements tlsconn.Sessions: there is nobody to ask yet.
func (s *sessionCache) Ask(*tlsconn.Lookup) bool { return false }

// Save implements tlsconn.Sessions.
func (s *sessionCache) Save(key tlsconn.Key, session tlsconn.Session) {
	now := monotonic(time.Now())
	// A session that does not fit is counted by the cache; its client gets a
	// full handshake next time.
	s.cache.Put(key[:], session.State, uint8(session.Source), now, now+int64(session.Lifetime))
}

// Release implements tlsconn.Sessions.
func (s *sessionCache) Release(key tlsconn.Key, hold int64) { s.cache.Release(key[:], hold) }

// Spend implements tlsconn.Sessions.
func (s *sessionCache) Spend(key tlsconn.Key, lifetime time.Duration) {
	now := monotonic(time.Now())
	s.cache.Delete(key[:], now, now+int64(min(lifetime, s.lifetime)))
}

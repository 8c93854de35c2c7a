package tlsconn

import (
	"slices"
	"time"
)

// A store is a Sessions in memory, on a clock that the test moves, which counts
// what it is asked.
type store struct {
	clock    *clock
	sessions map[Key]stored
	spent    map[Key]bool
	ask      func(*Lookup) bool // nil: nobody to ask

	finds, asks, saves, releases, spends int
}

type stored struct {
	session Session
	expires time.Time
	held    bool
}

func newStore(c *clock) *store {
	return &store{clock: c, sessions: map[Key]stored{}, spent: map[Key]bool{}}
}

func (s *store) Find(dst []byte, key Key, hold bool) (Session, Verdict) {
	s.finds++
	found, ok := s.sessions[key]
	switch {
	case s.spent[key]:
		return Session{}, Spent
	case !ok:
		return Session{}, Unknown
	case !s.clock.Now().Before(found.expires):
		return Session{}, Expired
	case found.held:
		return Session{}, Held
	}
	if hold {
		found.held = true
		s.sessions[key] = found
	}
	session := found.session
	session.State = append(dst, session.State...)
	session.Lifetime = found.expires.Sub(s.clock.Now())
	return session, Found
}

func (s *store) Ask(l *Lookup) bool {
	s.asks++
	return s.ask != nil && s.ask(l)
}

func (s *store) Save(key Key, session Session) {
	s.saves++
	session.State = slices.Clone(session.State)
	s.sessions[key] = stored{session: session, expires: s.clock.Now().Add(session.Lifetime)}
}

func (s *store) Release(key Key, _ int64) {
	s.releases++
	found := s.sessions[key]
	found.held = false
	s.sessions[key] = found
}

func (s *store) Spend(key Key, _ time.Duration) {
	s.spends++
	delete(s.sessions, key)
	s.spent[key] = true
}

// only returns the one session there is and its key.
func (s *store) only() (Key, stored) {
	for key, found := range s.sessions {
		if len(s.sessions) == 1 {
			return key, found
		}
	}
	panic("not exactly one session")
}

// heldLen returns how many sessions are reserved.
func (s *store) heldLen() (n int) {
	for _, found := range s.sessions {
		if found.held {
			n++
		}
	}
	return n
}

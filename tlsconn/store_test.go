package tlsconn_test

import (
	"slices"
	"time"

	"reprise/tlsconn"
)

// A store is a Sessions in memory, on a clock that the test moves, which counts its calls.
type store struct {
	clock    *clock
	sessions map[tlsconn.Key]stored
	spent    map[tlsconn.Key]bool
	ask      func(*tlsconn.Lookup) bool // nil: no node to ask

	holds                                uint64 // made so far
	finds, asks, saves, releases, spends int
}

type stored struct {
	session tlsconn.Session
	hold    uint64 // the reservation, 0 if there is none
}

func newStore(c *clock) *store {
	return &store{clock: c, sessions: map[tlsconn.Key]stored{}, spent: map[tlsconn.Key]bool{}}
}

func (s *store) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID, hold bool) (tlsconn.Session,
	tlsconn.Verdict,
) {
	s.finds++
	found, ok := s.sessions[key]
	switch {
	case s.spent[key]:
		return tlsconn.Session{}, tlsconn.Spent
	case !ok:
		return tlsconn.Session{}, tlsconn.Unknown
	case !s.clock.Now().Before(found.session.Expires):
		return tlsconn.Session{}, tlsconn.Expired
	case found.hold != 0:
		return tlsconn.Session{}, tlsconn.Held
	}
	if hold {
		s.holds++
		found.hold = s.holds
		s.sessions[key] = found
	}
	session := found.session
	session.Hold = found.hold
	session.State = append(dst, session.State...)
	return session, tlsconn.Found
}

func (s *store) Ask(l *tlsconn.Lookup) bool {
	s.asks++
	return s.ask != nil && s.ask(l)
}

func (s *store) Save(key tlsconn.Key, session tlsconn.Session) {
	s.saves++
	session.State = slices.Clone(session.State)
	s.sessions[key] = stored{session: session}
}

func (s *store) Release(key tlsconn.Key, _ tlsconn.NodeID, hold uint64) {
	s.releases++
	if found, ok := s.sessions[key]; ok && found.hold == hold {
		found.hold = 0
		s.sessions[key] = found
	}
}

func (s *store) Spend(key tlsconn.Key, _ tlsconn.NodeID, hold uint64, _ time.Duration) bool {
	s.spends++
	lost := s.sessions[key].hold != hold || s.spent[key]
	delete(s.sessions, key)
	if lost {
		return false
	}
	s.spent[key] = true
	return true
}

// only returns the one session there is and its key.
func (s *store) only() (tlsconn.Key, stored) {
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
		if found.hold != 0 {
			n++
		}
	}
	return n
}

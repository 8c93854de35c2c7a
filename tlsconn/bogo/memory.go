package main

import (
	"slices"
	"time"

	"reprise/tlsconn"
)

// A memory keeps the sessions of one test, which are never for single use. With late it answers no
// look-up at once, but as another node would, from another goroutine.
type memory struct {
	now      func() time.Time
	late     bool
	sessions map[tlsconn.Key]tlsconn.Session
	saves    int
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, sessions: map[tlsconn.Key]tlsconn.Session{}}
}

// get returns the value under key, for one caller.
func (m *memory) get(dst []byte, key tlsconn.Key) (tlsconn.Session, tlsconn.Verdict) {
	session, ok := m.sessions[key]
	switch {
	case !ok:
		return tlsconn.Session{}, tlsconn.Unknown
	case !m.now().Before(session.Expires):
		return tlsconn.Session{}, tlsconn.Expired
	}
	session.State = append(dst, session.State...)
	return session, tlsconn.Found
}

// Find implements tlsconn.Sessions.
func (m *memory) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID,
	_ bool,
) (tlsconn.Session, tlsconn.Verdict) {
	if m.late {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	return m.get(dst, key)
}

// Ask implements tlsconn.Sessions.
func (m *memory) Ask(l *tlsconn.Lookup) bool {
	if !m.late {
		return false
	}
	session, verdict := m.get(nil, l.Key)
	go l.Answer(session, verdict)
	return true
}

// Save implements tlsconn.Sessions.
func (m *memory) Save(key tlsconn.Key, session tlsconn.Session) {
	m.saves++
	session.State = slices.Clone(session.State)
	m.sessions[key] = session
}

// Release implements tlsconn.Sessions.
func (m *memory) Release(tlsconn.Key, tlsconn.NodeID, uint64) {}

// Spend implements tlsconn.Sessions.
func (m *memory) Spend(tlsconn.Key, tlsconn.NodeID, uint64, time.Duration) bool { return true }

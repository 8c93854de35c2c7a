package tlsclient

import (
	"crypto/tls"
	"sync"
)

// maxSessions bounds the sessions kept of a backend: enough for a few connections that end at once
// to come back.
const maxSessions = 8

// sessions are those of one backend, the newest last. crypto/tls gets and puts them.
type sessions struct {
	mu   sync.Mutex // held for some instructions
	list []*tls.ClientSessionState
}

// Get implements tls.ClientSessionCache. A session is used once (RFC 8446, Appendix C.4), except
// the last one, which stays: in TLS 1.2 there may never be another.
func (s *sessions) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	if n == 0 {
		return nil, false
	}
	newest := s.list[n-1]
	if n > 1 {
		s.list[n-1] = nil
		s.list = s.list[:n-1]
	}
	return newest, true
}

// Put implements tls.ClientSessionCache. crypto/tls puts nil for a session that failed; the others
// are about as old, and no better.
func (s *sessions) Put(_ string, session *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case session == nil:
		clear(s.list)
		s.list = s.list[:0]
	case len(s.list) == maxSessions:
		copy(s.list, s.list[1:])
		s.list[maxSessions-1] = session
	default:
		s.list = append(s.list, session)
	}
}

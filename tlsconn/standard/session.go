package standard

import (
	"bytes"
	"crypto/tls"

	"reprise/tlsconn"
)

// A session state of crypto/tls is, after the prefix that all states have, the
// tlsconn.Scope it was made under, and then what SessionState.Bytes returns.

// attempt is the state of the session that a client offered.
type attempt struct {
	outcome tlsconn.Outcome
	handle  []byte // the handle of the session given to crypto/tls
	key     tlsconn.Key
	owner   tlsconn.NodeID // the node that made it
	session tlsconn.Session
	given   bool // crypto/tls got a session
	held    bool // and it is reserved for us
}

// issued is the session that the client may resume next time, until its Finished proves that the
// client exists.
type issued struct {
	key   tlsconn.Key
	state []byte // nil if there is nothing to save
}

// unwrap is crypto/tls's UnwrapSession: it finds the session behind a handle. It returns an error,
// which ends the handshake, only if the caller ends it. In TLS 1.3 it is called for up to five
// handles of one ClientHello.
func (s *Server) unwrap(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	if len(identity) == 0 { // TLS 1.2: the ticket extension without a ticket
		return nil, nil
	}
	co := s.current.co
	s.dropAttempt(co) // crypto/tls declined the handle before this one
	if !s.chains.admits(state.ServerName) {
		return nil, nil // such a client is refused when a certificate is chosen
	}
	co.attempt.outcome = s.find(co, identity)
	if co.aborted {
		return nil, tlsconn.ErrAborted // a full handshake would still cost a signature
	}
	if !co.attempt.outcome.Resumed() {
		return nil, nil
	}
	session, miss := s.open(co.attempt.session.State, state.ServerName)
	if session == nil {
		co.attempt.outcome = miss
		return nil, nil
	}
	co.attempt.handle, co.attempt.given = identity, true
	return session, nil
}

// open reads a stored state for a connection that asks for serverName; nil if it does not belong to
// that.
func (s *Server) open(state []byte, serverName string) (*tls.SessionState, tlsconn.Outcome) {
	body, miss, ok := tlsconn.OpenState(state, tlsconn.CodecStandard)
	if !ok {
		return nil, miss
	}
	made, encoded, ok := tlsconn.ParseScope(body)
	if !ok {
		return nil, tlsconn.MissCorrupt
	}
	if miss, differs := made.Differs(&s.names(serverName).scope); differs {
		return nil, miss
	}
	if s.names(serverName).host.revoked.Ended(s.config.Now()) {
		return nil, tlsconn.MissDeclined
	}
	// A copy, since what crypto/tls parses points into it as long as the connection may be asked
	// for keying material.
	session, err := tls.ParseSessionState(bytes.Clone(encoded))
	if err != nil {
		return nil, tlsconn.MissCorrupt
	}
	return session, 0
}

// find loads the session that a handle names into co.attempt.
func (s *Server) find(co *coroutine, identity []byte) tlsconn.Outcome {
	handle, ok := s.sealer.Open(identity)
	if !ok {
		return tlsconn.MissBadHandle
	}
	a := &co.attempt
	a.key, a.owner = handle.Key, handle.Owner
	session, verdict := s.config.Sessions.Find(nil, handle.Key, handle.Owner, s.config.SingleUse)
	if verdict == tlsconn.Unknown {
		session, verdict = s.ask(co, handle)
	}
	if verdict != tlsconn.Found {
		return verdict.Miss()
	}
	a.session, a.held = session, s.config.SingleUse
	if !s.config.Life().Before(session.Expires) {
		return tlsconn.MissExpired
	}
	return tlsconn.ResumedFrom(session.Source)
}

// ask parks the handshake until another source has answered or the caller has given up.
func (s *Server) ask(co *coroutine, handle tlsconn.Handle) (tlsconn.Session, tlsconn.Verdict) {
	c := s.current
	if co.asked { // a ClientHello may name five sessions, but waits only once
		return tlsconn.Session{}, tlsconn.Unknown
	}
	l := tlsconn.NewLookup(handle.Key, handle.Owner, s.config.SingleUse, c.waker)
	if !s.config.Sessions.Ask(l) {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	co.asked, co.lookup = true, l
	defer func() { co.lookup = nil }()
	for {
		if session, verdict, ok := l.Result(); ok {
			return session, verdict
		}
		if c.park(tlsconn.AwaitSession) != nil {
			l.GiveUp() // the next Read ends the handshake
		}
	}
}

// wrap is crypto/tls's WrapSession: it returns the handle of the session the client may resume next
// time.
func (s *Server) wrap(conn tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
	co := s.current.co
	if conn.DidResume && conn.Version < tls.VersionTLS13 && !s.config.SingleUse {
		// TLS 1.2 resumes the same master secret under any ticket, so
		// the client keeps its handle and the store its one copy.
		return co.attempt.handle, nil
	}
	encoded, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	names := s.names(conn.ServerName)
	stored := make([]byte, 0, tlsconn.StatePrefixLen+tlsconn.ScopeLen+len(encoded))
	stored = tlsconn.AppendStatePrefix(stored, names.hash, names.host.scope.ContextHash(),
		tlsconn.CodecStandard)
	stored = names.scope.Append(stored)
	stored = append(stored, encoded...)
	clear(encoded)
	co.ticket = issued{key: tlsconn.NewKey(), state: stored}
	return s.sealer.Append(make([]byte, 0, tlsconn.HandleLen),
		tlsconn.Handle{Owner: s.config.Owner, Key: co.ticket.key}), nil
}

// settle does what the end of a successful handshake decides, and records the outcome of the
// offered session and the owner of the current one. False means that another handshake has used the
// session, so that this one must fail.
func (s *Server) settle(co *coroutine, conn *tls.ConnectionState, info *tlsconn.Info) bool {
	a, now := &co.attempt, s.config.Life()
	info.Owner = s.config.Owner
	born, expires := now, now.Add(s.config.Lifetime)
	if conn.DidResume {
		// crypto/tls would count a renewed session's age from now on, and so let it live for ever.
		// Its life is the rest of its parent's.
		info.Owner, born, expires = a.owner, a.session.Born, a.session.Expires
		defer clear(a.session.State)
		if s.config.SingleUse {
			// Only now: the handle is visible on the wire, and spending it on sight would let an
			// observer use the session up.
			a.held = false
			if !s.config.Sessions.Spend(a.key, a.owner, a.session.Hold, max(0, expires.Sub(now))) {
				return false
			}
		}
	} else if a.given {
		a.outcome = tlsconn.MissDeclined
	}
	info.Outcome, info.Offered = a.outcome, a.owner
	s.dropAttempt(co)
	if co.ticket.state != nil && now.Before(expires) {
		s.config.Sessions.Save(co.ticket.key,
			tlsconn.Session{State: co.ticket.state, Born: born, Expires: expires})
	}
	return true
}

// dropAttempt releases the session found last.
func (s *Server) dropAttempt(co *coroutine) {
	if a := &co.attempt; a.held {
		s.config.Sessions.Release(a.key, a.owner, a.session.Hold)
	}
	co.attempt = attempt{}
}

// dropTicket wipes the session that the client may resume.
func (co *coroutine) dropTicket() {
	clear(co.ticket.state)
	co.ticket = issued{}
}

package tlsconn

import (
	"crypto/x509"
	"slices"
	"time"
)

// An attempt is the state of the session that a client offers.
type attempt struct {
	outcome Outcome
	key     Key
	owner   NodeID // the node that made it
	born    time.Time
	expires time.Time
	source  Source
	hold    uint64 // our reservation, 0 if there is none
	state   sessionState
	cert    *x509.Certificate // the client's, nil if it has none
	used    bool              // the handshake resumes it
}

// use marks the session as resumed by the handshake.
func (a *attempt) use() {
	a.used = true
	a.outcome = ResumedFrom(a.source)
}

// find looks for the session behind a handle. False means a miss, whose name is in the attempt, or
// that the look-up has left the process and the handshake is parked. A session that does not fit
// leads to a full handshake, never to an error.
func (c *conn) find(identity []byte) bool {
	s, hs := c.server, c.hs
	a := &hs.attempt
	var session Session
	var verdict Verdict
	if hs.lookup != nil { // parked for it, and resumed
		session, verdict, _ = hs.lookup.Result()
		hs.lookup = nil
	} else {
		c.releaseAttempt(hs)
		handle, good := s.sealer.Open(identity)
		if !good {
			a.outcome = MissBadHandle
			return false
		}
		a.key, a.owner = handle.Key, handle.Owner
		session, verdict = s.config.Sessions.Find(s.state[:0], a.key, a.owner, s.config.SingleUse)
		switch verdict {
		case Found:
			s.state = session.State // it may have grown
		case Unknown:
			if lookup := c.ask(); lookup != nil {
				var answered bool
				if session, verdict, answered = lookup.Result(); !answered {
					hs.lookup, c.state = lookup, AwaitSession
					return false
				}
			}
		}
	}
	if verdict != Found {
		a.outcome = verdict.Miss()
		return false
	}
	a.born, a.expires, a.source, a.hold = session.Born, session.Expires, session.Source,
		session.Hold
	miss, good := c.admit(session.State)
	clear(session.State)
	if !good {
		c.releaseHold(a)
		a.outcome = miss
	}
	return good
}

// ask sends a look-up out of the process, nil if it cannot. A hello may name several sessions, but
// waits only once.
func (c *conn) ask() *Lookup {
	s, hs := c.server, c.hs
	if hs.asked {
		return nil
	}
	lookup := NewLookup(hs.attempt.key, hs.attempt.owner, s.config.SingleUse, c.waker)
	if !s.config.Sessions.Ask(lookup) {
		return nil
	}
	hs.asked = true
	return lookup
}

// admit decides whether a state may be resumed here and now, and reads it.
func (c *conn) admit(state []byte) (Outcome, bool) {
	s, hs := c.server, c.hs
	a := &hs.attempt
	if !s.config.Life().Before(a.expires) {
		return MissExpired, false
	}
	body, miss, good := OpenState(state, CodecOwn)
	if !good {
		return miss, false
	}
	if !a.state.parse(body) {
		return MissCorrupt, false
	}
	if miss, differs := a.state.scope.Differs(&s.scopeOf(hs.host, c.info.ServerName).scope); differs {
		return miss, false
	}
	if len(a.state.cert) > 0 {
		cert, err := x509.ParseCertificate(slices.Clone(a.state.cert))
		if err != nil {
			return MissCorrupt, false
		}
		// The chain is not verified again (RFC 8446, Section 4.6.1), but a session does not outlive
		// its certificate. Nor does it outlive the last valid revocation lists.
		if now := s.config.Now(); now.After(cert.NotAfter) || hs.host.policy.revoked.Ended(now) {
			return MissDeclined, false
		}
		a.cert, a.state.cert = cert, cert.Raw
	}
	return 0, true
}

// settle does what the end of a handshake decides: a single-use session is spent only now, since
// its handle is visible on the wire and spending it on sight would let an observer use it up.
func (c *conn) settle() cause {
	s, hs := c.server, c.hs
	a := &hs.attempt
	c.info.Outcome, c.info.Owner = a.outcome, s.config.Owner
	c.info.Offered, c.info.Asked = a.owner, hs.asked
	if !a.used {
		c.info.ByID = false
		return ok
	}
	c.info.Owner = a.owner
	if s.config.SingleUse {
		hold := a.hold
		a.hold = 0
		if !s.config.Sessions.Spend(a.key, a.owner, hold, a.expires.Sub(s.config.Life())) {
			return causeSpent
		}
	}
	c.clientCert = a.cert
	return ok
}

// decline records that the session found does not fit the handshake. A reservation ends at once: an
// observer of the handle could otherwise keep others from it.
func (c *conn) decline() {
	c.releaseHold(&c.hs.attempt)
	c.hs.attempt.outcome = MissDeclined
}

// releaseAttempt releases the session found last.
func (c *conn) releaseAttempt(hs *handshake) {
	c.releaseHold(&hs.attempt)
	hs.attempt = attempt{}
}

func (c *conn) releaseHold(a *attempt) {
	if a.hold != 0 {
		c.server.config.Sessions.Release(a.key, a.owner, a.hold)
		a.hold = 0
	}
}

// newSession returns the life of a session to be saved, and its remaining time. A renewed one has
// its parent's: counted from the renewal it would live for ever (the prolongation attack of Sy et
// al., ACSAC 2018).
func (c *conn) newSession() (life Session, left time.Duration) {
	now, a := c.server.config.Life(), &c.hs.attempt
	life.Born, life.Expires = now, now.Add(c.server.config.Lifetime)
	if a.used {
		life.Born = a.born
		if a.expires.Before(life.Expires) {
			life.Expires = a.expires
		}
	}
	return life, life.Expires.Sub(now)
}

// stateToSave returns the state of the session that the handshake has made, without its secret.
func (c *conn) stateToSave() sessionState {
	hs := c.hs
	st := sessionState{
		version: c.info.Version, suite: hs.suite, ems: hs.ems,
		scope: c.server.scopeOf(hs.host, c.info.ServerName).scope,
	}
	if c.clientCert != nil {
		st.cert = c.clientCert.Raw
	}
	return st
}

// save gives a session to the memory.
func (c *conn) save(key Key, st *sessionState, life Session) {
	s := c.server
	scoped := s.scopeOf(c.hs.host, c.info.ServerName)
	s.state = AppendStatePrefix(s.state[:0], scoped.nameHash, scoped.policy.scope.ContextHash(),
		CodecOwn)
	s.state = st.append(s.state)
	life.State = s.state
	s.config.Sessions.Save(key, life)
	clear(s.state)
}

package tlsconn

import (
	"crypto/tls"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Sessions is the memory of resumable sessions, declared here for whoever keeps
// it. All methods are called on loops, so none may block, and a store that
// fails answers with a miss: crypto/tls would abort the handshake on an error.
type Sessions interface {
	// Find looks key up in this process and appends the state to dst. With
	// hold it also reserves the session: until Release or Spend no other
	// connection is given it. Session.Hold identifies the reservation.
	Find(dst []byte, key Key, hold bool) (Session, Verdict)
	// Ask looks l up elsewhere: at its owner, at a shared store. False means
	// that there is nobody to ask or no room for another question. Otherwise
	// l.Answer must be called, once, from any goroutine; if it never is, the
	// caller gives up after its own time.
	Ask(l *Lookup) bool
	// Save keeps a session that a client is about to get. It must copy s.State.
	Save(key Key, s Session)
	// Release ends a reservation: the client did not prove that it holds the
	// session, so the session stays usable for who does.
	Release(key Key, hold int64)
	// Spend forgets a single-use session for good; lifetime is how long it
	// would still have been valid.
	Spend(key Key, lifetime time.Duration)
}

// A Session is a resumable session as it is stored.
type Session struct {
	// State holds secrets. It begins with the NameHash of the server name and
	// the ContextHash of the session context it was made under, 8 bytes each,
	// big endian, by which a store finds what it is told to forget.
	State    []byte
	Lifetime time.Duration // what remains, counted from the original full handshake
	Source   Source
	Hold     int64 // the reservation that Find made, for Release
}

const statePrefixLen = 16

// NameHash is what a session state says of the server name it was made under.
func NameHash(serverName string) uint64 { return binary.BigEndian.Uint64(hashName(serverName)) }

// ContextHash is what a session state says of its session context.
func ContextHash(context string) uint64 { return binary.BigEndian.Uint64(hashStrings(context)) }

// StateMatches reports whether a session state was made under the given hashes;
// nil stands for any.
func StateMatches(state []byte, nameHash, contextHash *uint64) bool {
	if len(state) < statePrefixLen {
		return false
	}
	return (nameHash == nil || *nameHash == binary.BigEndian.Uint64(state)) &&
		(contextHash == nil || *contextHash == binary.BigEndian.Uint64(state[8:]))
}

// Source is where this node got a session from.
type Source uint8

// The sources of a session.
const (
	SourceLocal  Source = iota // made here
	SourcePushed               // replicated by the node that made it
	SourcePulled               // asked for on a miss
	SourceStore                // from a store shared beyond the fleet
	sources
)

// Verdict is the answer of Sessions.Find.
type Verdict uint8

// The verdicts of Find.
const (
	Found   Verdict = iota
	Unknown         // not here; may be elsewhere
	Expired         // was here, too old
	Held            // single use, and another handshake has it
	Spent           // single use, and used
)

// A Lookup is a question that left the process, for a handshake parked in
// AwaitSession.
type Lookup struct {
	Key    Key
	Owner  NodeID // who made the session and should have it
	waker  Waker
	answer atomic.Pointer[Session]
}

// Answer gives the parked handshake its session, or nil if there is none. It
// may be called from any goroutine and takes ownership of s. It reports false
// if nobody waits any more.
func (l *Lookup) Answer(s *Session) bool {
	if s == nil {
		s = &noAnswer
	}
	if !l.answer.CompareAndSwap(nil, s) {
		return false
	}
	l.waker.Wake()
	return true
}

var noAnswer, lateAnswer Session

// Outcome is how the session a client offered fared; one for each completed
// handshake.
type Outcome uint8

// The outcomes. Everything that is not a resumption was a full handshake.
const (
	NewClient        Outcome = iota // offered no session
	ResumedLocal                    // ResumedLocal + Source, in the order of the sources
	ResumedPushed                   //
	ResumedPulled                   //
	ResumedStore                    //
	MissUnknown                     // nobody has it: evicted, forgotten, or its node is gone
	MissExpired                     // older than the session time-out, counted from its full handshake
	MissBadHandle                   // not a handle of this fleet: forged, damaged, foreign
	MissLate                        // the look-up took too long
	MissHeld                        // single use: another handshake has it
	MissSpent                       // single use: already used
	MissScopeContext                // made under another session context
	MissScopePolicy                 // made under another policy of versions and cipher suites
	MissScopeClient                 // made under another client certificate policy
	MissScopeName                   // made for another server name
	MissDeclined                    // found, but crypto/tls declined: version, cipher suite, EMS, client certificate
	MissCorrupt                     // what the store returned cannot be read
	outcomes
)

var outcomeNames = [outcomes]string{
	"new_client", "resumed_local", "resumed_pushed", "resumed_pulled", "resumed_store", "unknown", "expired",
	"bad_handle", "late", "held", "spent", "scope_context", "scope_policy", "scope_client_auth", "scope_name",
	"declined", "corrupt",
}

func (o Outcome) String() string { return outcomeNames[o] }

// resumedFrom returns the outcome of a resumption of a session from source.
func resumedFrom(source Source) Outcome { return ResumedLocal + Outcome(min(source, sources-1)) }

// Resumed reports whether the session was resumed.
func (o Outcome) Resumed() bool { return o >= ResumedLocal && o <= ResumedStore }

// attempt is what became of the session a client offered, so far.
type attempt struct {
	outcome Outcome
	handle  []byte // the handle of the session given to crypto/tls
	key     Key
	owner   NodeID // who made it
	session Session
	given   bool // a session was given to crypto/tls
	held    bool // and is reserved for us
}

// unwrap is crypto/tls's UnwrapSession: it finds the session behind a handle.
// It returns an error, which ends the handshake, only if the caller ends it. In
// TLS 1.3 it is called for up to five handles of one ClientHello.
func (s *Server) unwrap(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	if len(identity) == 0 { // TLS 1.2: the ticket extension without a ticket
		return nil, nil
	}
	co := s.current.co
	s.dropAttempt(co) // crypto/tls declined the handle before this one
	co.attempt.outcome = s.find(co, identity)
	if co.aborted {
		return nil, errAborted // a full handshake would still cost a signature
	}
	if !co.attempt.outcome.Resumed() {
		return nil, nil
	}
	if len(co.attempt.session.State) < statePrefixLen {
		co.attempt.outcome = MissCorrupt
		return nil, nil
	}
	session, err := tls.ParseSessionState(co.attempt.session.State[statePrefixLen:])
	if err != nil {
		co.attempt.outcome = MissCorrupt
		return nil, nil
	}
	made, ok := parseScope(session.Extra)
	if !ok {
		co.attempt.outcome = MissCorrupt
		return nil, nil
	}
	if miss, differs := made.differs(s.scopeOf(state.ServerName)); differs {
		co.attempt.outcome = miss
		return nil, nil
	}
	co.attempt.handle, co.attempt.given = identity, true
	return session, nil
}

// find gets the session a handle names into co.attempt.
func (s *Server) find(co *coroutine, identity []byte) Outcome {
	handle, ok := s.sealer.open(identity)
	if !ok {
		return MissBadHandle
	}
	// Another node's clock may be a day off, so only our own handles can be
	// called expired without looking.
	if handle.Owner == s.config.Owner && !s.config.Now().Before(handle.Expires) {
		return MissExpired
	}
	co.attempt.key, co.attempt.owner = handle.Key, handle.Owner
	session, verdict := s.config.Sessions.Find(nil, handle.Key, s.config.SingleUse)
	switch verdict {
	case Found:
		co.attempt.held = s.config.SingleUse
	case Unknown:
		asked, outcome := s.ask(co, handle)
		if outcome.Resumed() {
			session = asked
			break
		}
		return outcome
	case Expired:
		return MissExpired
	case Held:
		return MissHeld
	default:
		return MissSpent
	}
	co.attempt.session = session
	return resumedFrom(session.Source)
}

// ask parks the handshake until another place has answered or the caller has
// given up.
func (s *Server) ask(co *coroutine, handle Handle) (Session, Outcome) {
	c := s.current
	if co.asked { // a ClientHello may name five sessions, but wait only once
		return Session{}, MissUnknown
	}
	l := &Lookup{Key: handle.Key, Owner: handle.Owner, waker: c.waker}
	if !s.config.Sessions.Ask(l) {
		return Session{}, MissUnknown
	}
	co.asked = true
	co.lookup = l
	for l.answer.Load() == nil {
		if c.park(AwaitSession) != nil {
			l.answer.CompareAndSwap(nil, &lateAnswer)
			break // the next Read ends the handshake
		}
	}
	co.lookup = nil
	switch a := l.answer.Load(); a {
	case &noAnswer:
		return Session{}, MissUnknown
	case &lateAnswer:
		return Session{}, MissLate
	default:
		if a.Lifetime <= 0 {
			return Session{}, MissExpired
		}
		return *a, resumedFrom(a.Source)
	}
}

// wrap is crypto/tls's WrapSession: it returns the handle of the session the
// client may resume next time.
func (s *Server) wrap(conn tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
	co := s.current.co
	lifetime := s.config.Lifetime
	if conn.DidResume {
		if conn.Version < tls.VersionTLS13 && !s.config.SingleUse {
			// TLS 1.2 resumes the same master secret under any ticket, so
			// the client keeps its handle and the store its one copy.
			return co.attempt.handle, nil
		}
		// crypto/tls would count a renewed session's age from now on, and
		// so let it live for ever. Its life is what its parent has left.
		lifetime = min(lifetime, co.attempt.session.Lifetime)
	}
	state.Extra = append(state.Extra, s.scopeOf(conn.ServerName).append(nil))
	encoded, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	host := s.hostFor(conn.ServerName)
	stored := make([]byte, 0, statePrefixLen+len(encoded))
	stored = binary.BigEndian.AppendUint64(stored, NameHash(conn.ServerName))
	stored = append(stored, host.scope[scopeContext][:8]...)
	stored = append(stored, encoded...)
	clear(encoded)
	key := newKey()
	if lifetime > 0 {
		// Now, and not when the handshake is complete: a client may come
		// back with the handle, at another loop or node, before this loop
		// has read its Finished. A handshake that is never completed has
		// cost the signature that a completed one costs.
		s.config.Sessions.Save(key, Session{State: stored, Lifetime: lifetime})
	}
	clear(stored)
	handle := Handle{Owner: s.config.Owner, Expires: s.config.Now().Add(lifetime), Key: key}
	return s.sealer.append(make([]byte, 0, handleLen), handle), nil
}

// settle does what the end of a successful handshake decides, and returns how
// the offered session fared and who made the session that is used.
func (s *Server) settle(co *coroutine, conn *tls.ConnectionState) (Outcome, NodeID) {
	a := &co.attempt
	resumed := conn.DidResume
	if resumed && len(conn.PeerCertificates) == 0 {
		// Certificates parsed from the state point into it, and crypto/tls
		// shares them between connections.
		defer clear(a.session.State)
	}
	if a.given && !resumed {
		a.outcome = MissDeclined
	}
	if resumed && s.config.SingleUse {
		// Only now: the handle is visible on the wire, and consuming it
		// on sight would let an observer burn the session.
		s.config.Sessions.Spend(a.key, a.session.Lifetime)
		a.held = false
	}
	outcome, owner := a.outcome, s.config.Owner
	if resumed {
		owner = a.owner
	}
	s.dropAttempt(co)
	return outcome, owner
}

// dropAttempt lets go of the session found last.
func (s *Server) dropAttempt(co *coroutine) {
	if co.attempt.held {
		s.config.Sessions.Release(co.attempt.key, co.attempt.session.Hold)
	}
	co.attempt = attempt{}
}

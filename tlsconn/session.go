package tlsconn

import (
	"sync/atomic"
	"time"
)

// Sessions is the memory of resumable sessions. All methods are called on loops, so none may block,
// and a failing store answers with a miss: a handshake never fails because of it.
//
// Single use is arbitrated by the node that made a session, its owner: there a handshake of any
// node reserves the session, and spends it once the client has proved that it holds it.
type Sessions interface {
	// Find looks key up in this process and appends the state to dst. With hold it also reserves
	// the session: until Release or Spend no other connection gets it. Session.Hold identifies the
	// reservation. With hold a session of another owner is Unknown as long as that owner can be
	// asked.
	Find(dst []byte, key Key, owner NodeID, hold bool) (Session, Verdict)
	// Ask looks l up elsewhere: at its owner, at a shared store. False means that there is no place
	// to ask or no room for another question. Otherwise l.Answer must be called, once, from any
	// goroutine; if it never is, the caller gives up after its own time.
	Ask(l *Lookup) bool
	// Save keeps a session that a client has just got. It is called at the client's Finished, never
	// before. It must copy s.State.
	Save(key Key, s Session)
	// Release ends a reservation: the client did not prove that it holds the session, so the
	// session stays usable for a client that does.
	Release(key Key, owner NodeID, hold uint64)
	// Spend forgets a single-use session for good, if the reservation still exists; left is how
	// long it would still have been valid. False means that another handshake was faster or that
	// the reservation has lapsed: then the session must not be used.
	Spend(key Key, owner NodeID, hold uint64, left time.Duration) bool
}

// A Session is a resumable session as it is stored.
type Session struct {
	// State holds secrets. It begins as state.go describes.
	State []byte
	// Born is when the session's full handshake was complete, Expires when it may no longer be
	// resumed. A renewed session has its parent's, so that it cannot be kept alive for ever.
	Born, Expires time.Time
	Source        Source
	Hold          uint64 // the reservation made by Find or Ask, 0 for none
}

// Source is the origin of a session at this node.
type Source uint8

// The sources of a session.
const (
	SourceLocal  Source = iota // made here
	SourcePushed               // replicated by the node that made it
	SourcePulled               // asked for on a miss
	SourceStore                // from a store shared beyond the fleet
	sources
)

// Verdict is the answer to a look-up.
type Verdict uint8

// The verdicts.
const (
	Found   Verdict = iota
	Unknown         // not here; may be elsewhere
	Expired         // was here, too old
	Held            // single use, and another handshake has it
	Spent           // single use, and used
	Late            // the caller no longer waits; only a Lookup has it
)

// Miss returns the outcome for v, if it is not Found.
func (v Verdict) Miss() Outcome {
	switch v {
	case Expired:
		return MissExpired
	case Held:
		return MissHeld
	case Spent:
		return MissSpent
	case Late:
		return MissLate
	default:
		return MissUnknown
	}
}

// A Lookup is a question that left the process, for a handshake parked in
// AwaitSession.
type Lookup struct {
	Key   Key
	Owner NodeID // the node that made the session and should have it
	Hold  bool   // the session is to be reserved

	waker  Waker
	answer atomic.Pointer[answer]
}

type answer struct {
	session Session
	verdict Verdict
}

var lateAnswer = answer{verdict: Late}

// NewLookup returns a question for the connection that waker wakes.
func NewLookup(key Key, owner NodeID, hold bool, waker Waker) *Lookup {
	return &Lookup{Key: key, Owner: owner, Hold: hold, waker: waker}
}

// Answer gives the parked handshake its session if v is Found, or the reason why there is none. It
// may be called from any goroutine and takes ownership of s. It returns false if the caller no
// longer waits: then a reservation that was made must be released.
func (l *Lookup) Answer(s Session, v Verdict) bool {
	if !l.answer.CompareAndSwap(nil, &answer{s, v}) {
		return false
	}
	l.waker.Wake()
	return true
}

// Result returns the answer; ok is false while there is none.
func (l *Lookup) Result() (s Session, v Verdict, ok bool) {
	a := l.answer.Load()
	if a == nil {
		return Session{}, Unknown, false
	}
	return a.session, a.verdict, true
}

// GiveUp answers Late, unless there is an answer already.
func (l *Lookup) GiveUp() { l.answer.CompareAndSwap(nil, &lateAnswer) }

package exchange

import "reprise/backend/http1"

// Do is what the owner of an exchange has to do besides sending.
type Do uint8

const (
	// Continue: nothing.
	Continue Do = iota
	// Dial asks for a backend, which Linked or Refuse answers. A connection that is
	// there is done for, and another backend is to be preferred.
	Dial
	// Release gives the backend's connection back, if there is one: the response is
	// complete. It may be kept if Keep says so, if all that it was sent has left, and if
	// nothing more was heard of it. If the request or the response is not complete, it is
	// to be reset.
	Release
	// Tunnel makes both connections pass bytes as they are from now on.
	Tunnel
	// Goodbye ends a client's connection in between two requests. Only a Conn asks for
	// it.
	Goodbye
	// Cut ends the client's stream such that it cannot take what it got for whole, and
	// the backend's connection such that it cannot either.
	Cut
)

// Why is why a request was not served as it should be.
type Why uint8

const (
	Fine        Why = iota
	BadRequest      // it was malformed, or is not to be accepted; Reason says how
	Truncated       // the client ended its stream in the middle of it
	SlowClient      // it did not come in time
	NoBackend       // none could be reached
	NoPool          // none serves its name
	Misdirected     // the handshake of its connection was not for its name
	BackendGone     // the backend broke off, or ended the connection without an answer
	BadAnswer       // the response was malformed; Reason says how
	SlowBackend     // the backend did not answer in time
	Stalled         // nothing moved in the middle of the response
	Limited         // its client makes too many
	Misused         // a bug of ours
)

// An Output is what follows from an input. It is to be acted on in this order: ToBackend
// and Held, Answer, Do. Its slices are valid until the next call with the same exchange
// or Scratch, or until the input they are part of changes.
type Output struct {
	Used      int    // bytes of the input that are done with
	ToBackend []byte // octets for the backend
	Held      []byte // more of them
	// EndToBackend says to a backend that frames messages by itself that the request is
	// complete, with TrailerToBackend behind ToBackend.
	EndToBackend     bool
	TrailerToBackend []byte
	Answer
	Do     Do
	Keep   bool // the backend's connection may serve another request, as far as the exchange knows
	Why    Why
	Reason string // a few words of a closed list, for counters and logs
}

// Head is which head an Answer has.
type Head uint8

const (
	NoHead  Head = iota
	Interim      // 1xx: another head follows
	Final        // the backend's, or a 101
	Own          // not the backend's: a whole response with a short text
)

// An Answer is a part of what the client gets: a head, then a piece of the body, then the
// end of the response, each of which may be missing.
type Answer struct {
	Head     Head
	Status   int
	Response *http1.Response // of Interim and Final; nil for a 100 (Continue) of our own
	Framing  http1.Framing   // Final: Chunked and UntilClose are the same to who frames it anew
	Length   int64           // Final: what Content-Length says, -1 if nothing
	Redirect int             // Own: the port of a redirect to https
	Text     string          // Own: what is answered; "" for the name of Status
	// RetryAfter is of Own: in how many seconds the client may try again, 0 if nothing is
	// said of that.
	RetryAfter int
	Data       []byte
	End        bool
	Trailer    []byte // the field lines of the trailer section
}

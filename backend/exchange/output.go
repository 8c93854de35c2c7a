package exchange

import "reprise/backend/http1"

// Do is what the owner of an exchange has to do besides sending.
type Do uint8

const (
	// Continue: nothing.
	Continue Do = iota
	// Dial asks for a backend; the owner answers with Linked or Refuse. An existing connection is
	// unusable then, and another backend is to be preferred.
	Dial
	// Release gives the backend's connection back, if there is one: the response is complete. It
	// may be kept if Keep is set, all that was sent to it has left, and nothing more has come from
	// it. If the request or the response is incomplete, it is to be reset.
	Release
	// Tunnel makes both connections pass bytes unchanged from now on.
	Tunnel
	// CloseClient closes a client's connection between two requests. Only a Conn asks for it.
	CloseClient
	// Cut ends the client's stream such that the client cannot take what it got for complete, and
	// the backend's connection likewise.
	Cut
)

// Why is why a request was not served properly.
type Why uint8

const (
	Fine        Why = iota
	BadRequest      // malformed or not acceptable; Reason has the detail
	Truncated       // the client ended its stream in the middle of the request
	SlowClient      // the request did not come in time
	NoBackend       // none could be reached
	NoPool          // no pool serves its name
	Misdirected     // the connection's handshake does not cover the request's name
	BackendGone     // the backend broke off, or ended the connection without an answer
	BadAnswer       // the response was malformed; Reason says how
	SlowBackend     // the backend did not answer in time
	Stalled         // nothing moved in the middle of the response
	Limited         // its client makes too many requests
	Misused         // a bug of ours
)

// An Output is the result of an input. It is to be acted on in this order: ToBackend and Held,
// Answer, Do. Its slices are valid until the next call with the same exchange or Scratch, or until
// the input that they are part of changes.
type Output struct {
	Used      int    // bytes of the input that were used
	ToBackend []byte // octets for the backend
	Held      []byte // more of them
	// EndToBackend tells a backend that frames messages by itself that the request is complete,
	// with TrailerToBackend behind ToBackend.
	EndToBackend     bool
	TrailerToBackend []byte
	Answer
	Do     Do
	Keep   bool // the backend's connection may serve another request, as far as the exchange knows
	Why    Why
	Reason string // a few words of a closed list, for counters and logs
}

// Head says which kind of head an Answer has.
type Head uint8

const (
	NoHead  Head = iota
	Interim      // 1xx: another head follows
	Final        // the backend's, or a 101
	Own          // our own: a whole response with a short text
)

// An Answer is a part of the client's response: a head, then a piece of the body, then the end;
// each may be missing.
type Answer struct {
	Head     Head
	Status   int
	Response *http1.Response // of Interim and Final; nil for a 100 (Continue) of our own
	Framing  http1.Framing   // Final: Chunked and UntilClose are equivalent to a new framing
	Length   int64           // Final: the Content-Length, -1 if there is none
	Redirect int             // Own: the port of a redirect to https
	Text     string          // Own: the text; "" for the name of Status
	// RetryAfter belongs to Own: after how many seconds the client may try again, 0 if unspecified.
	RetryAfter int
	Data       []byte
	End        bool
	Trailer    []byte // the field lines of the trailer section
}

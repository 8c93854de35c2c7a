package exchange

// State is the progress of an exchange: of its request towards the backend and of its response
// towards the client in one value.
type State uint8

const (
	Idle      State = iota // no request
	Seeking                // the request's head is known, a backend is sought
	Holding                // a chunked body comes, and the backend must know its length first
	Sending                // the request's body goes to the backend
	Waiting                // the request is complete, the response's head is awaited
	Early                  // the response has begun before the request is complete
	Answering              // the response's body goes to the client
	Switching              // a 101 has gone to the client, whose request is incomplete
	Tunnelled              // both have switched to another protocol
	Over                   // nothing more happens
	states
)

// An event is what can happen to an exchange.
type event uint8

const (
	accepted       event = iota // a head was read and can be served
	refused                     // it turns out that it cannot be served
	linked                      // there is a connection to a backend
	toHold                      // there is one, but the length of the body must be known first
	piece                       // a piece of the request's body
	ended                       // the request is complete
	clientEnded                 // the client has ended its stream
	received                    // the backend sends something
	interim                     // a 1xx of the backend
	final                       // the head of the response
	switched                    // a 101 that was asked for
	answered                    // the response is complete
	unserved                    // the backend has not processed the request, and will not
	lostRepeatable              // the backend has ended the connection; the request can be repeated
	// the connection ended, the request cannot be repeated, and the response is incomplete
	lost
	late // nothing has moved for too long
	events
)

// An act is the reaction to an event.
type act uint8

const (
	misused act = iota // by the caller: this cannot happen
	nothing
	dial       // ask for a backend
	sendHead   // to the backend
	pass       // the piece to the backend
	hold       // the piece
	sendEnd    // of the body to the backend
	sendHeld   // the head with what was held
	reply      // in place of a backend
	readHead   // of the response
	readBody   // of the response
	relay      // bytes as they are
	unexpected // no request was sent, so this cannot answer it
	answer     // the client with the head of the response
	finish     // the exchange
	tunnel     // bytes pass as they are
	cut        // the response is incomplete and must look so
)

type transition struct {
	act  act
	next State
}

// transitions lists all that can happen. Events that are not listed cannot occur, except in Over,
// where they have no effect.
//
// A request with a partial response cannot be answered again: refusing it means cutting the
// response.
var transitions = [events][states]transition{
	accepted: {
		Idle: {dial, Seeking},
	},
	refused: {
		Idle: {reply, Over}, Seeking: {reply, Over}, Holding: {reply, Over}, Sending: {reply, Over},
		Waiting: {reply, Over},
		Early:   {cut, Over}, Answering: {cut, Over}, Switching: {cut, Over},
	},
	linked: {
		Seeking: {sendHead, Sending},
	},
	toHold: {
		Seeking: {nothing, Holding},
	},
	piece: {
		Holding: {hold, Holding}, Sending: {pass, Sending}, Early: {pass, Early},
		Switching: {pass, Switching},
	},
	ended: {
		Holding: {sendHeld, Waiting}, Sending: {sendEnd, Waiting}, Early: {sendEnd, Answering},
		Switching: {tunnel, Tunnelled},
	},
	clientEnded: { // an earlier complete request is still answered
		Seeking: {nothing, Seeking}, Waiting: {nothing, Waiting}, Answering: {nothing, Answering},
		Holding: {cut, Over}, Sending: {cut, Over}, Early: {cut, Over}, Switching: {cut, Over},
	},
	received: {
		Seeking: {nothing, Seeking}, Holding: {unexpected, Holding},
		Sending: {readHead, Sending}, Waiting: {readHead, Waiting},
		Early: {readBody, Early}, Answering: {readBody, Answering},
		Switching: {relay, Switching}, Tunnelled: {nothing, Tunnelled},
	},
	interim: {
		Sending: {answer, Sending}, Waiting: {answer, Waiting},
	},
	final: {
		Sending: {answer, Early}, Waiting: {answer, Answering},
	},
	switched: { // each direction by itself, the client's behind its request (RFC 9110, Section 7.8)
		Sending: {answer, Switching}, Waiting: {tunnel, Tunnelled},
	},
	answered: {
		Early: {finish, Over}, Answering: {finish, Over},
	},
	unserved: {
		Sending: {dial, Seeking}, Waiting: {dial, Seeking},
	},
	lostRepeatable: {
		Waiting: {dial, Seeking},
	},
	lost: {
		Holding: {reply, Over}, Sending: {reply, Over}, Waiting: {reply, Over},
		Early: {cut, Over}, Answering: {cut, Over}, Switching: {cut, Over},
	},
	late: {
		Seeking: {reply, Over}, Holding: {reply, Over}, Sending: {reply, Over},
		Waiting: {reply, Over},
		Early:   {cut, Over}, Answering: {cut, Over}, Switching: {cut, Over},
	},
}

// on takes the exchange to its next state.
func (x *Exchange) on(e event) act {
	if x.state == Over {
		return nothing
	}
	t := transitions[e][x.state]
	if t.act == misused {
		t.next = Over
	}
	x.state = t.next
	return t.act
}

// can reports whether an event can happen now.
func (x *Exchange) can(e event) bool { return transitions[e][x.state].act != misused }

// WantsBody reports whether a piece of the request's body can be taken now.
func (x *Exchange) WantsBody() bool { return x.can(piece) }

// Responded reports whether the head of the response has gone to the client.
func (x *Exchange) Responded() bool { return x.state >= Early && x.status != 0 }

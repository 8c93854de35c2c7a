package exchange

import (
	"reprise/backend/http1"
	"reprise/internal/queue"
)

// A Conn is a client's HTTP/1 connection: one exchange after another. It finds heads and bodies in
// what the client sends, and writes the responses. Between two requests it holds no buffer. Start
// makes the zero value ready.
type Conn struct {
	x    Exchange
	o    *Options
	c    *Client
	part part

	// from the client, not yet examined: part of a head, or what follows the request
	in     queue.Queue
	given  []byte // the same, while the owner's buffer lasts
	taken  int    // how much of its beginning has been used
	seen   int    // length known not to contain the end of a head
	served uint32 // requests so far, with the current one

	body    http1.Body    // of the request
	framing http1.Framing // of the response, to the client
	last    bool          // the connection ends with this exchange
}

// part says what the client's next bytes belong to.
type part uint8

const (
	awaitHead part = iota
	inHead
	inExchange
	atEnd
)

// Around is what a Conn has to know of its surroundings.
type Around struct {
	Room  bool // the client has room: the next request may be answered
	Ended bool // the client has ended its stream
}

// A Step is an Output with its answers written as octets. ToClient and ToBackend are valid until
// the next call with the same Conn or Scratch, or until the input that they are part of changes.
type Step struct {
	ToClient, ToBackend, Held []byte

	EndToBackend     bool // as in Output
	TrailerToBackend []byte

	Do     Do
	Keep   bool
	Why    Why
	Reason string
	Began  bool // a request has begun
	Idle   bool // there was nothing to do: more input is needed, or room
}

// Start begins to serve a client.
func (c *Conn) Start(o *Options, client *Client) { c.o, c.c = o, client }

// Exchange returns the current request.
func (c *Conn) Exchange() *Exchange { return &c.x }

// Served returns the number of requests so far, with the current one.
func (c *Conn) Served() uint32 { return c.served }

// Serving reports whether a request is being served.
func (c *Conn) Serving() bool { return c.part == inExchange }

// Between reports whether all requests are answered and no byte of a further one has come, as far
// as Next has looked.
func (c *Conn) Between() bool { return c.part == awaitHead || c.part == atEnd }

// WantsInput reports whether more of the client's bytes are of use; room says that the client takes
// its answers. One read may run ahead of the current request, so that the client's end is noticed.
// Otherwise input is refused while Next has some to work on: an owner that handles less in a turn
// than a read brings would keep ever more.
func (c *Conn) WantsInput(room bool) bool {
	return c.in.Len() == 0 || room && c.part == inHead && c.seen == c.in.Len()-c.taken
}

// Give passes the client's bytes to Next. They are not copied: Keep must be called before they
// change.
func (c *Conn) Give(p []byte) {
	if c.in.Len() > 0 {
		c.in.Push(p)
		return
	}
	c.given = p
}

// Keep copies what Next has left of the bytes given.
func (c *Conn) Keep() {
	c.settle()
	if len(c.given) > 0 {
		c.in.Push(c.given)
	}
	c.given = nil
}

// Rest returns the bytes that Next has left: what follows the request when the connection has
// become a tunnel. It is valid until the next call.
func (c *Conn) Rest() []byte {
	c.settle()
	if c.in.Len() > 0 {
		return c.in.Bytes()
	}
	return c.given
}

// settle drops the bytes used. That is put off until here because a Step may refer to them.
func (c *Conn) settle() {
	if c.in.Len() > 0 {
		c.in.Pop(c.taken)
	} else {
		c.given = c.given[c.taken:]
	}
	c.taken = 0
}

// Ready reports whether Next may have something to do; last says that no more input will come, or
// be accepted. It is much cheaper than Next.
func (c *Conn) Ready(last bool) bool {
	return c.in.Len() > 0 || c.taken < len(c.given) || c.part == atEnd || last
}

// Next processes the client's bytes. It must be called until the Step is Idle.
func (c *Conn) Next(s *Scratch, a Around) Step {
	p := c.Rest()
	switch {
	case c.part == atEnd:
		return Step{Do: CloseClient}
	case c.part < inExchange:
		return c.nextHead(s, a, p)
	case c.x.WantsBody() && !c.body.Done():
		return c.nextBody(s, a, p)
	}
	return Step{Idle: true}
}

// nextHead takes a head if it is complete.
func (c *Conn) nextHead(s *Scratch, a Around, p []byte) Step {
	switch {
	case len(p) == 0 && (a.Ended || s.Draining && c.served > 0):
		return Step{Do: CloseClient}
	case len(p) == 0, !a.Room:
		// a client that asks without reading would fill the memory with answers
		return Step{Idle: true}
	}
	c.part = inHead
	n := http1.HeadLen(p, c.seen)
	if n > 0 {
		c.begin(n)
		out := c.x.Begin(s, c.o, c.c, c.served, p[:n])
		if s.parsed == &c.x {
			r := &s.request
			c.body.Start(r.Framing, r.Length, &c.o.Limits)
			c.body.Without(c.o.RequestRules)
		}
		return c.began(s, out)
	}
	if err := c.o.Limits.Partial(p, c.seen); err != nil {
		return c.beginRefused(s, p, err.(*http1.Error))
	}
	c.seen = len(p)
	if a.Ended {
		// A reset would discard the answers to earlier requests.
		return Step{Do: CloseClient, Why: Truncated}
	}
	return Step{Idle: true}
}

// begin starts an exchange with a head of n bytes.
func (c *Conn) begin(n int) {
	c.taken, c.seen, c.part = n, 0, inExchange
	c.served++
	c.body, c.last = http1.Body{}, false
}

// beginRefused refuses an incomplete or malformed head.
func (c *Conn) beginRefused(s *Scratch, p []byte, err *http1.Error) Step {
	c.begin(len(p))
	return c.began(s, c.x.BeginRefused(s, c.o, c.c, c.served, p, err))
}

func (c *Conn) began(s *Scratch, out Output) Step {
	step := c.step(s, out)
	step.Began = true
	return step
}

// maxPieces bounds the pieces of a body in one Step, so that the owner can check its clock, which
// costs about as much as a chunk of one byte, between Steps.
const maxPieces = 256

// nextBody takes the part of the body that p has.
func (c *Conn) nextBody(s *Scratch, a Around, p []byte) Step {
	if len(p) == 0 {
		if a.Ended {
			return c.step(s, c.x.ClientEnded())
		}
		return Step{Idle: true}
	}
	var whole []byte // the only piece, which needs no framing and so no copy
	s.toBackend = s.toBackend[:0]
	for pieces := 0; c.taken < len(p) && !c.body.Done() && pieces < maxPieces; pieces++ {
		data, n, err := c.body.Next(p[c.taken:])
		if err != nil {
			return c.step(s, c.x.BadBody(err))
		}
		c.taken += n
		if n == 0 {
			break
		}
		if len(data) == 0 {
			continue
		}
		out := c.x.takePiece(data)
		switch {
		case out.Do != Continue:
			return c.step(s, out)
		case out.ToBackend == nil:
		case c.x.chunks():
			s.toBackend = http1.AppendChunk(s.toBackend, data)
		case c.x.framing == http1.Chunked:
			s.toBackend = append(s.toBackend, data...)
		default:
			whole = data
		}
	}
	if !c.body.Done() {
		if whole == nil {
			whole = s.toBackend
		}
		return Step{ToBackend: whole}
	}
	return c.endBody(s, whole)
}

// endBody ends the request after the last of its body.
func (c *Conn) endBody(s *Scratch, whole []byte) Step {
	chunks := s.toBackend
	out, chunk := c.x.complete(s)
	switch {
	case chunk:
		s.toBackend = http1.AppendLastChunk(chunks, c.body.Trailer())
		out.ToBackend = s.toBackend
	case whole != nil:
		out.ToBackend = whole
	case out.EndToBackend:
		out.ToBackend, out.TrailerToBackend = chunks, c.body.Trailer()
	}
	return c.step(s, out)
}

// Linked is Exchange.Linked.
func (c *Conn) Linked(s *Scratch, l Link) Step { return c.step(s, c.x.Linked(s, l)) }

// Refuse is Exchange.Refuse; with last, no further request can succeed on this connection.
func (c *Conn) Refuse(s *Scratch, status int, why Why, last bool) Step {
	c.last = c.last || last
	return c.step(s, c.x.Refuse(status, why))
}

// Limit is Exchange.Limit.
func (c *Conn) Limit(s *Scratch, retryAfter int) Step { return c.step(s, c.x.Limit(retryAfter)) }

// BackendEnded is Exchange.BackendEnded.
func (c *Conn) BackendEnded(s *Scratch, broken bool) Step {
	return c.step(s, c.x.BackendEnded(broken))
}

// TimeUp reports that nothing has moved for too long.
func (c *Conn) TimeUp(s *Scratch, backendTookAll bool) Step {
	switch c.part {
	case inHead:
		return c.beginRefused(s, c.Rest(), errSlowHead)
	case inExchange:
		return c.step(s, c.x.TimeUp(backendTookAll))
	}
	return Step{Do: CloseClient, Why: Stalled}
}

// Released turns to the next request. It must be called once the work of a Release is done.
func (c *Conn) Released() {
	c.settle()
	c.x.Reset()
	c.body = http1.Body{}
	if c.part = awaitHead; c.last {
		c.part = atEnd
	}
}

// Drop drops all that the connection holds.
func (c *Conn) Drop() {
	c.in.Drop()
	c.given, c.taken = nil, 0
	c.x.Reset()
	c.body = http1.Body{}
}

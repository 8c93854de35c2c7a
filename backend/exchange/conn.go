package exchange

import (
	"reprise/backend/http1"
	"reprise/internal/queue"
)

// A Conn is a client's HTTP/1 connection: one exchange after the other. It finds their
// heads and bodies in what the client sends, and writes what it gets. Between two requests
// it holds no buffer. The zero value is not ready: see Start.
type Conn struct {
	x    Exchange
	o    *Options
	c    *Client
	part part

	// from the client, not looked at yet: part of a head, or what follows the request
	in     queue.Queue
	given  []byte // the same, while the owner's buffer lasts
	taken  int    // how much of what comes first has been taken
	seen   int    // how much of it holds no end of a head
	served uint32 // requests so far

	body    http1.Body    // of the request
	framing http1.Framing // of the response, to the client
	last    bool          // the connection ends with this exchange
}

// part is what of the stream comes next.
type part uint8

const (
	awaitHead part = iota
	inHead
	inExchange
	atEnd
)

// Around is what a Conn has to know of its surroundings.
type Around struct {
	Room  bool // the client takes more: the next request may be answered
	Ended bool // the client says no more
}

// A Step is what follows from an input: an Output in octets. ToClient and ToBackend are
// valid until the next call with the same Conn or Scratch, or until the input they are
// part of changes.
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

// Exchange returns the request that is served.
func (c *Conn) Exchange() *Exchange { return &c.x }

// Served returns how many requests there were, with the one being served.
func (c *Conn) Served() uint32 { return c.served }

// Serving reports whether a request is being served.
func (c *Conn) Serving() bool { return c.part == inExchange }

// Between reports whether nothing of a request has come that is not answered, as far as
// Next has looked.
func (c *Conn) Between() bool { return c.part == awaitHead || c.part == atEnd }

// WantsInput reports whether more of the client's bytes have a use; room is that for its
// answers. One read may run ahead of the request being served, so that the client's end is
// noticed. Else nothing has while there is something that Next can go on with: its owner
// may get to less in a turn than a read brings, and what is kept would grow without bound.
func (c *Conn) WantsInput(room bool) bool {
	return c.in.Len() == 0 || room && c.part == inHead && c.seen == c.in.Len()-c.taken
}

// Give has Next look at what the client sent. It is not copied: Keep must be called
// before it changes.
func (c *Conn) Give(p []byte) {
	if c.in.Len() > 0 {
		c.in.Push(p)
		return
	}
	c.given = p
}

// Keep keeps what Next did not take of what was given.
func (c *Conn) Keep() {
	c.settle()
	if len(c.given) > 0 {
		c.in.Push(c.given)
	}
	c.given = nil
}

// Rest returns what the client has sent and Next did not take: what follows the request
// when the connection has become a tunnel. It is valid until the next call.
func (c *Conn) Rest() []byte {
	c.settle()
	if c.in.Len() > 0 {
		return c.in.Bytes()
	}
	return c.given
}

// settle drops what has been taken. That is not done at once, because what a Step is made
// of may be part of it.
func (c *Conn) settle() {
	if c.in.Len() > 0 {
		c.in.Pop(c.taken)
	} else {
		c.given = c.given[c.taken:]
	}
	c.taken = 0
}

// Ready reports whether Next may have something to do; last is whether nothing more will
// come, or shall. It is much cheaper to ask.
func (c *Conn) Ready(last bool) bool {
	return c.in.Len() > 0 || c.taken < len(c.given) || c.part == atEnd || last
}

// Next goes on with what the client has sent. It is to be called until the Step is Idle.
func (c *Conn) Next(s *Scratch, a Around) Step {
	p := c.Rest()
	switch {
	case c.part == atEnd:
		return Step{Do: Goodbye}
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
		return Step{Do: Goodbye}
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
		// A reset would take back the answers to what came before.
		return Step{Do: Goodbye, Why: Truncated}
	}
	return Step{Idle: true}
}

// begin takes a head of n bytes.
func (c *Conn) begin(n int) {
	c.taken, c.seen, c.part = n, 0, inExchange
	c.served++
	c.body, c.last = http1.Body{}, false
}

// beginRefused refuses what there is of a head.
func (c *Conn) beginRefused(s *Scratch, p []byte, err *http1.Error) Step {
	c.begin(len(p))
	return c.began(s, c.x.BeginRefused(s, c.o, c.c, c.served, p, err))
}

func (c *Conn) began(s *Scratch, out Output) Step {
	step := c.step(s, out)
	step.Began = true
	return step
}

// maxPieces bounds the pieces of a body that make up a Step, so that the owner can look at
// its clock, which costs about as much as a chunk of one byte, between Steps.
const maxPieces = 256

// nextBody takes what p has of the body.
func (c *Conn) nextBody(s *Scratch, a Around, p []byte) Step {
	if len(p) == 0 {
		if a.Ended {
			return c.step(s, c.x.ClientEnded())
		}
		return Step{Idle: true}
	}
	var whole []byte // one piece, which needs no framing and so no copy
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

// endBody ends the request behind the last of its body.
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

// Linked is that of the exchange.
func (c *Conn) Linked(s *Scratch, l Link) Step { return c.step(s, c.x.Linked(s, l)) }

// Refuse is that of the exchange; with last, no other request can succeed here.
func (c *Conn) Refuse(s *Scratch, status int, why Why, last bool) Step {
	c.last = c.last || last
	return c.step(s, c.x.Refuse(status, why))
}

// Limit is that of the exchange.
func (c *Conn) Limit(s *Scratch, retryAfter int) Step { return c.step(s, c.x.Limit(retryAfter)) }

// BackendEnded is that of the exchange.
func (c *Conn) BackendEnded(s *Scratch, broken bool) Step {
	return c.step(s, c.x.BackendEnded(broken))
}

// TimeUp says that nothing has moved for too long.
func (c *Conn) TimeUp(s *Scratch, backendTookAll bool) Step {
	switch c.part {
	case inHead:
		return c.beginRefused(s, c.Rest(), errSlowHead)
	case inExchange:
		return c.step(s, c.x.TimeUp(backendTookAll))
	}
	return Step{Do: Goodbye, Why: Stalled}
}

// Released turns to the next request. It is to be called when what a Release asks for has
// been done.
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

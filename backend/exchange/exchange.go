package exchange

import (
	"bytes"
	"strings"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/internal/queue"
)

// An Exchange is one request and its response. The zero value is idle: Begin begins one,
// Reset makes it idle again.
type Exchange struct {
	state State
	facts facts
	o     *Options
	c     *Client
	nth   uint32

	head    queue.Queue // needed again for another backend and for the access log
	held    queue.Queue // of a body whose length the backend must know first
	framing http1.Framing
	length  int64 // of the body, -1 if that is not known
	bodyLen int64 // what has come of it
	link    Link

	out     queue.Queue // part of the response's head
	outSeen int         // how much of out holds no end of a head, or headTaken
	body    http1.Body  // of the response
	status  int

	why    Why
	reason string
}

// facts are what is known of a request and of what became of it.
type facts uint16

const (
	isHTTP10 facts = 1 << iota
	isHead
	isIdempotent
	keepAlive // the client would like to go on
	upgrade
	personal // it authenticates the backend's connection, which must serve no one else
	heard    // something of a response has come
	retried  // it was sent to another backend
	unsure   // where the response ends is not certain, however it is framed
	keep     // the backend's connection may serve another request
)

// has reports whether one of these is so.
func (f facts) has(any facts) bool { return f&any != 0 }

func (f *facts) note(fact facts, is bool) {
	if is {
		*f |= fact
	}
}

// headTaken as outSeen: out holds a head that has been taken, and nothing more.
const headTaken = -1

var (
	challengePath = []byte(ChallengePath)

	errBodyLen  = &http1.Error{Status: 413, Reason: "long body"}
	errLength   = &http1.Error{Status: 400, Reason: "body and Content-Length differ"}
	errNoHost   = &http1.Error{Status: 400, Reason: "no Host"}
	errSlowHead = &http1.Error{Status: 408, Reason: "slow head"}
)

// Begin starts an exchange with the head of a request, which is copied: the nth of its
// connection.
func (x *Exchange) Begin(s *Scratch, o *Options, c *Client, nth uint32, head []byte) Output {
	x.start(o, c, nth, head)
	r := &s.request
	s.parsed = nil
	if err := r.Parse(x.head.Bytes(), &o.Limits); err != nil {
		x.facts.note(isHTTP10, r.Minor == 0 && r.Target != nil)
		return x.refuse(err)
	}
	s.parsed = x
	x.read(r)
	switch {
	case o.MaxBody > 0 && x.length > o.MaxBody:
		return x.refuse(errBodyLen)
	case o.Challenges != nil && string(r.Method) == "GET" && bytes.HasPrefix(r.Path, challengePath):
		// Any other client of theirs, an application or another tool, has its own tokens.
		if text := o.Challenges.KeyAuthorization(r.Host, r.Path[len(challengePath):]); text != "" {
			out := x.reply(200, Fine, "")
			out.Text = text
			return out
		}
	}
	redirects := o.RedirectPort > 0 && !(o.ServeChallenges &&
		bytes.HasPrefix(r.Path, challengePath))
	switch {
	case redirects && r.Host == nil:
		return x.refuse(errNoHost)
	case redirects:
		out := x.reply(301, Fine, "")
		out.Redirect = o.RedirectPort
		return out
	}
	return Output{Do: x.perform(accepted)}
}

// BeginRefused starts an exchange with what there is of a head that cannot be served, and
// answers it.
func (x *Exchange) BeginRefused(s *Scratch, o *Options, c *Client, nth uint32, head []byte,
	err *http1.Error,
) Output {
	x.start(o, c, nth, head)
	s.parsed = nil
	return x.refuse(err)
}

func (x *Exchange) start(o *Options, c *Client, nth uint32, head []byte) {
	x.o, x.c, x.nth = o, c, nth
	x.head.Push(head)
}

// read notes what of a request is needed later.
func (x *Exchange) read(r *http1.Request) {
	f := &x.facts
	f.note(isHTTP10, r.Minor == 0)
	f.note(isHead, string(r.Method) == "HEAD")
	f.note(isIdempotent, r.Idempotent())
	f.note(keepAlive, r.KeepAlive)
	f.note(upgrade, r.Upgrade != nil)
	f.note(personal, authenticatesConnection(r))
	switch x.framing = r.Framing; r.Framing {
	case http1.Chunked:
		x.length = -1
	case http1.ByLength:
		x.length = r.Length
	}
}

// authenticatesConnection reports whether a request may log the connection in, and
// not only itself, as Microsoft's schemes do: the next one on it would be served under
// that name.
func authenticatesConnection(r *http1.Request) bool {
	for i := range r.Fields {
		field := &r.Fields[i]
		if !field.Is("Authorization") {
			continue
		}
		scheme, _, _ := strings.Cut(string(field.Value), " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}

// Request returns the request as it was parsed. It is valid until the next call with s of
// another exchange, or Reset. The head must not have been dropped (Options.KeepHead).
func (x *Exchange) Request(s *Scratch) *http1.Request {
	if s.parsed != x {
		// What was accepted once is accepted again; of what was not, there is as much as
		// was then.
		s.parsed = nil
		if s.request.Parse(x.head.Bytes(), &x.o.Limits) == nil {
			s.parsed = x
		}
	}
	return &s.request
}

// Client returns what is known of the client's connection.
func (x *Exchange) Client() *Client { return x.c }

// State returns how far the exchange is.
func (x *Exchange) State() State { return x.state }

// Status returns the status of the response, 0 if there is none yet.
func (x *Exchange) Status() int { return x.status }

// Why tells why the request was not served as it should be, and in which way if that has
// many.
func (x *Exchange) Why() (Why, string) { return x.why, x.reason }

// Head returns the head of the request; it is empty if that was dropped. It is valid until
// Reset.
func (x *Exchange) Head() []byte { return x.head.Bytes() }

// Nth returns the number of the request on its connection, from 1.
func (x *Exchange) Nth() uint32 { return x.nth }

// Reused reports whether the backend's connection had served others.
func (x *Exchange) Reused() bool { return x.link.Reused }

// Heard reports whether the backend has said anything.
func (x *Exchange) Heard() bool { return x.facts.has(heard) }

// Retried reports whether the request was sent to another backend after one has broken
// off. A connection that has served others is not for it then.
func (x *Exchange) Retried() bool { return x.facts.has(retried) }

// Repeatable reports whether the request may be sent again if nothing came back.
func (x *Exchange) Repeatable() bool {
	return x.facts.has(isIdempotent) &&
		x.framing == http1.NoBody
}

// Reset drops all that the exchange holds and makes it idle. A request that the client has
// cancelled needs nothing else but that its backend's connection is reset.
func (x *Exchange) Reset() {
	x.head.Drop()
	x.held.Drop()
	x.out.Drop()
	*x = Exchange{}
}

// Linked sends the request on the connection to a backend that Dial has asked for. The
// body may follow at once: what is for the backend is better sent together with it.
func (x *Exchange) Linked(s *Scratch, l Link) Output {
	x.link = l
	isUWSGI := l.Protocol == backend.UWSGI
	if x.streamed() {
		x.facts &^= upgrade // there is none: see http1.Forward
	}
	if isUWSGI && x.framing == http1.Chunked && !x.o.ChunkedInput {
		out := Output{Do: x.perform(toHold)}
		x.go100(s, &out)
		return out
	}
	out := Output{Do: x.perform(linked)}
	if out.Do == Cut {
		return out
	}
	if isUWSGI {
		x.go100(s, &out)
	}
	if err := x.encode(s, &out); err != nil {
		return x.refuse(err)
	}
	if x.hasNoBody() {
		x.perform(ended)
		out.EndToBackend = x.streamed()
	}
	return out
}

// hasNoBody reports whether the request ends with its head.
func (x *Exchange) hasNoBody() bool { return x.framing != http1.Chunked && x.length == 0 }

// go100 tells a client that waits for it to send its body: a uwsgi backend cannot.
func (x *Exchange) go100(s *Scratch, out *Output) {
	if x.Request(s).Expect100 {
		out.Head, out.Status = Interim, 100
	}
}

// Body takes a piece of the request's body, without framing. It must not be called while
// WantsBody says no.
func (x *Exchange) Body(s *Scratch, data []byte) Output {
	out := x.takePiece(data)
	if out.ToBackend != nil && x.chunks() {
		s.toBackend = http1.AppendChunk(s.toBackend[:0], data)
		out.ToBackend = s.toBackend
	}
	return out
}

// takePiece is Body, but for the framing of what is passed on.
func (x *Exchange) takePiece(data []byte) Output {
	x.bodyLen += int64(len(data))
	switch {
	case x.o.MaxBody > 0 && x.bodyLen > x.o.MaxBody:
		return x.refuse(errBodyLen)
	case x.length >= 0 && x.bodyLen > x.length:
		return x.refuse(errLength)
	case x.state == Holding && x.held.Len()+len(data) > x.o.BodyBuffer:
		return x.refuse(errBodyLen)
	}
	out := Output{Used: len(data)}
	switch x.on(piece) {
	case pass:
		out.ToBackend = data
	case hold:
		x.held.Push(data)
	case misused:
		return x.cut(Misused)
	}
	return out
}

// End ends the request; trailer is nil or what [http1.Body.Trailer] returned.
func (x *Exchange) End(s *Scratch, trailer []byte) Output {
	out, chunk := x.complete(s)
	trailer = x.o.RequestRules.WithoutDropped(trailer)
	switch {
	case chunk:
		s.toBackend = http1.AppendLastChunk(s.toBackend[:0], trailer)
		out.ToBackend = s.toBackend
	case out.EndToBackend:
		out.TrailerToBackend = trailer
	}
	return out
}

// complete is End, but for the last chunk, which it reports to be needed.
func (x *Exchange) complete(s *Scratch) (out Output, chunk bool) {
	if x.length >= 0 && x.bodyLen < x.length {
		return x.refuse(errLength), false
	}
	switch x.on(ended) {
	case nothing:
		return Output{}, false
	case misused:
		return x.cut(Misused), false
	case tunnel:
		out.Do = Tunnel
	case sendHeld:
		x.length = x.bodyLen
		if err := x.encode(s, &out); err != nil {
			return x.refuse(err), false
		}
		out.Held = x.held.Bytes()
		return out, false
	}
	out.EndToBackend = x.streamed()
	return out, x.chunks()
}

// BadBody refuses a request in whose body is an error.
func (x *Exchange) BadBody(err error) Output { return x.refuse(err) }

// ClientEnded takes the end of what the client says. A request that is complete is still
// answered.
func (x *Exchange) ClientEnded() Output {
	if x.on(leaves) == cut {
		return x.cut(Truncated)
	}
	return Output{}
}

// Refuse answers the request in place of a backend, for a reason that only the owner
// knows.
func (x *Exchange) Refuse(status int, why Why) Output {
	return x.reply(status, why, "")
}

// Limit answers the request in place of a backend because its client makes too many: it
// may try again in so many seconds.
func (x *Exchange) Limit(retryAfter int) Output {
	out := x.reply(429, Limited, "client limit")
	if out.Head == Own {
		out.RetryAfter = retryAfter
	}
	return out
}

// TimeUp says that nothing has moved for too long. Of a request that is not complete, the
// backend may have taken all there is of it: then the client is the slow one.
func (x *Exchange) TimeUp(backendTookAll bool) Output {
	status, why := 504, SlowBackend
	if x.state == Holding || x.state == Sending && backendTookAll {
		status, why = 408, SlowClient
	}
	switch x.on(late) {
	case nothing:
		return Output{}
	case reply:
		return x.own(status, why, "")
	}
	return x.cut(Stalled)
}

// perform takes the exchange to its next state where no more than that is done.
func (x *Exchange) perform(e event) Do {
	switch x.on(e) {
	case dial:
		return Dial
	case tunnel:
		return Tunnel
	case misused:
		x.note(Misused, "")
		return Cut
	}
	return Continue
}

// refuse answers a request that is not accepted.
func (x *Exchange) refuse(err error) Output {
	status, reason := 400, ""
	if e, ok := err.(*http1.Error); ok {
		status, reason = e.Status, e.Reason
	}
	x.facts &^= keepAlive
	return x.reply(status, BadRequest, reason)
}

// reply answers in place of a backend, or cuts the response that has begun.
func (x *Exchange) reply(status int, why Why, reason string) Output {
	switch x.on(refused) {
	case nothing:
		return Output{}
	case reply:
		return x.own(status, why, reason)
	}
	out := x.cut(why)
	out.Reason, x.reason = reason, reason
	return out
}

func (x *Exchange) own(status int, why Why, reason string) Output {
	x.note(why, reason)
	x.status = status
	answer := Answer{Head: Own, Status: status, Framing: http1.ByLength, End: true}
	if x.facts.has(isHead) {
		answer.Framing = http1.NoBody
	}
	return Output{Answer: answer, Do: Release, Why: why, Reason: reason}
}

func (x *Exchange) cut(why Why) Output {
	x.state = Over
	x.note(why, "")
	return Output{Do: Cut, Why: why}
}

func (x *Exchange) note(why Why, reason string) { x.why, x.reason = why, reason }

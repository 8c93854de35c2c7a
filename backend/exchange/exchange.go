package exchange

import (
	"bytes"
	"strings"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/internal/queue"
)

// An Exchange is one request and its response. The zero value is idle: Begin starts it, Reset makes
// it idle again.
type Exchange struct {
	state State
	facts facts
	o     *Options
	c     *Client
	nth   uint32

	head    queue.Queue // for another backend and for the access log
	held    queue.Queue // a body whose length the backend must know first
	framing http1.Framing
	length  int64 // of the body, -1 if unknown
	bodyLen int64 // bytes of it received
	link    Link

	out     queue.Queue // incomplete head of the response
	outSeen int         // length of out known not to contain the end of a head, or headTaken
	body    http1.Body  // of the response
	status  int

	why    Why
	reason string
}

// facts are flags about a request and its fate.
type facts uint16

const (
	isHTTP10 facts = 1 << iota
	isHead
	isIdempotent
	keepAlive // the client asks to keep its connection
	upgrade
	personal // it authenticates the backend's connection, which must not serve another client
	heard    // some of a response has come
	retried  // it was sent to another backend
	unsure   // the end of the response is uncertain, however it is framed
	keep     // the backend's connection may serve another request
)

// has reports whether any of these flags is set.
func (f facts) has(any facts) bool { return f&any != 0 }

func (f *facts) note(fact facts, is bool) {
	if is {
		*f |= fact
	}
}

// headTaken is a value of outSeen: out holds a head that has been taken, and nothing more.
const headTaken = -1

var (
	challengePath = []byte(ChallengePath)

	errBodyLen  = &http1.Error{Status: 413, Reason: "long body"}
	errLength   = &http1.Error{Status: 400, Reason: "body and Content-Length differ"}
	errNoHost   = &http1.Error{Status: 400, Reason: "no Host"}
	errSlowHead = &http1.Error{Status: 408, Reason: "slow head"}
)

// Begin starts an exchange with the head of the connection's nth request, which is copied.
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
		// Other ACME clients of the operator, an application or a tool, have tokens of their own.
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

// BeginRefused starts an exchange with the available part of a head that cannot be served, and
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

// read notes the parts of a request that are needed later.
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

// authenticatesConnection reports whether a request may authenticate its connection rather than
// only itself, as Microsoft's schemes do: the next request on that connection would be served in
// the same user's name.
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

// Request returns the parsed request. It is valid until the next call with s of another exchange,
// or Reset. The head must not have been dropped (Options.KeepHead).
func (x *Exchange) Request(s *Scratch) *http1.Request {
	if s.parsed != x {
		// A head accepted once is accepted again; a refused one yields the same parts as before.
		s.parsed = nil
		if s.request.Parse(x.head.Bytes(), &x.o.Limits) == nil {
			s.parsed = x
		}
	}
	return &s.request
}

// Client returns what is known of the client's connection.
func (x *Exchange) Client() *Client { return x.c }

// State returns the exchange's state.
func (x *Exchange) State() State { return x.state }

// Status returns the status of the response, 0 if there is none yet.
func (x *Exchange) Status() int { return x.status }

// Why returns why the request was not served properly, and for some causes a detail.
func (x *Exchange) Why() (Why, string) { return x.why, x.reason }

// Head returns the head of the request, or nothing if it was dropped. It is valid until Reset.
func (x *Exchange) Head() []byte { return x.head.Bytes() }

// Nth returns the number of the request on its connection, from 1.
func (x *Exchange) Nth() uint32 { return x.nth }

// Reused reports whether the backend's connection had served earlier requests.
func (x *Exchange) Reused() bool { return x.link.Reused }

// Heard reports whether the backend has sent anything.
func (x *Exchange) Heard() bool { return x.facts.has(heard) }

// Retried reports whether the request was sent to another backend after one broke off. It must then
// get a new connection.
func (x *Exchange) Retried() bool { return x.facts.has(retried) }

// Repeatable reports whether the request may be sent again if no answer came.
func (x *Exchange) Repeatable() bool {
	return x.facts.has(isIdempotent) &&
		x.framing == http1.NoBody
}

// Reset drops all that the exchange holds and makes it idle. For a request that the client has
// cancelled, the owner only has to reset the backend's connection as well.
func (x *Exchange) Reset() {
	x.head.Drop()
	x.held.Drop()
	x.out.Drop()
	*x = Exchange{}
}

// Linked sends the request on the connection that Dial asked for. The body may follow at once, and
// is better sent together with this output.
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

// go100 tells a client that expects a 100 (Continue) to send its body: a uwsgi backend cannot.
func (x *Exchange) go100(s *Scratch, out *Output) {
	if x.Request(s).Expect100 {
		out.Head, out.Status = Interim, 100
	}
}

// Body takes a piece of the request's body, without framing. It must be called only while WantsBody
// reports true.
func (x *Exchange) Body(s *Scratch, data []byte) Output {
	out := x.takePiece(data)
	if out.ToBackend != nil && x.chunks() {
		s.toBackend = http1.AppendChunk(s.toBackend[:0], data)
		out.ToBackend = s.toBackend
	}
	return out
}

// takePiece is Body without framing the output.
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

// complete is End without the last chunk; chunk reports that it is needed.
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

// BadBody refuses a request whose body is malformed.
func (x *Exchange) BadBody(err error) Output { return x.refuse(err) }

// ClientEnded takes the end of the client's stream. A complete request is still answered.
func (x *Exchange) ClientEnded() Output {
	if x.on(clientEnded) == cut {
		return x.cut(Truncated)
	}
	return Output{}
}

// Refuse answers the request in place of a backend, for a reason that only the owner knows.
func (x *Exchange) Refuse(status int, why Why) Output {
	return x.reply(status, why, "")
}

// Limit answers a request of a client that makes too many; the client may try again after
// retryAfter seconds.
func (x *Exchange) Limit(retryAfter int) Output {
	out := x.reply(429, Limited, "client limit")
	if out.Head == Own {
		out.RetryAfter = retryAfter
	}
	return out
}

// TimeUp reports that nothing has moved for too long. backendTookAll says that the backend has
// taken all there is of an incomplete request: then the client is the slow one.
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

// perform makes a transition that needs no act of its own.
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

// reply answers in place of a backend, or cuts a response that has begun.
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

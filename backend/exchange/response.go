package exchange

import (
	"reprise/backend"
	"reprise/backend/http1"
)

// FromBackend takes the next bytes from the backend, at least one. It must be called again with
// those it has not used until none are left or there is something to do. Bytes left when the
// exchange is over were not asked for; behind a 101 they are for the client unchanged.
func (x *Exchange) FromBackend(s *Scratch, p []byte) Output {
	if x.outSeen == headTaken {
		x.out.Drop()
		x.outSeen = 0
	}
	switch x.on(received) {
	case readHead:
		return x.takeHead(s, p)
	case readBody:
		out := Output{}
		x.passBody(p, &out)
		return out
	case relay:
		return Output{Used: len(p), Answer: Answer{Data: p}}
	case unexpected:
		return x.badAnswer("answer before the request")
	case misused:
		return x.cut(Misused)
	}
	return Output{Used: len(p)}
}

// takeHead takes the head of a response if it is complete, with the part of the body that comes
// with it.
func (x *Exchange) takeHead(s *Scratch, p []byte) Output {
	x.facts |= heard
	head, kept := p, x.out.Len()
	if kept > 0 {
		x.out.Push(p)
		head = x.out.Bytes()
	}
	x.asHTTP1(head)
	n := http1.HeadLen(head, x.outSeen)
	if n == 0 {
		switch {
		case !maybeStatusLine(head, x.echoesHTTP2()):
			return x.badAnswer("malformed status line")
		case len(head) >= x.o.Limits.HeadLen:
			return x.badAnswer("head too long")
		case kept == 0:
			x.out.Push(p)
		}
		x.outSeen = len(head)
		return Output{Used: len(p)}
	}
	x.outSeen = 0
	if kept > 0 {
		x.outSeen = headTaken
	}
	r := &s.response
	if err := r.Parse(head[:n], x.method(), &x.o.Limits); err != nil {
		return x.badAnswer(err.(*http1.Error).Reason)
	}
	out := Output{Used: n - kept}
	x.answerHead(s, r, &out)
	if x.can(answered) {
		x.passBody(p[out.Used:], &out)
	}
	return out
}

// maybeStatusLine reports whether p can be the beginning of a response. Without this check, only a
// timer would expose a backend that speaks another protocol and stays open.
func maybeStatusLine(p []byte, orHTTP2 bool) bool {
	const start, start2 = "HTTP/1.", "HTTP/2.0"
	n := min(len(p), len(start))
	return string(p[:n]) == start[:n] || orHTTP2 && string(p[:n]) == start2[:n]
}

// echoesHTTP2 reports whether the backend may answer in the version it was told, as uWSGI does: it
// copies SERVER_PROTOCOL into its status line.
func (x *Exchange) echoesHTTP2() bool { return x.c.HTTP2 && x.link.Protocol == backend.UWSGI }

// asHTTP1 replaces that version by the one the response really has.
func (x *Exchange) asHTTP1(head []byte) {
	if x.echoesHTTP2() && len(head) >= len("HTTP/2.0") && string(head[:8]) == "HTTP/2.0" {
		copy(head[5:], "1.1")
	}
}

var methodHEAD, methodGET = []byte("HEAD"), []byte("GET")

// method returns a method whose responses are framed like this request's.
func (x *Exchange) method() []byte {
	if x.facts.has(isHead) {
		return methodHEAD
	}
	return methodGET
}

// answerHead acts on the head of a response.
func (x *Exchange) answerHead(s *Scratch, r *http1.Response, out *Output) {
	e := final
	switch {
	case r.Status == 101 && (!x.facts.has(upgrade) || r.Upgrade == nil):
		*out = x.badAnswer("unasked upgrade")
		return
	case r.Status == 101:
		e = switched
	case r.Status < 200:
		e = interim
	}
	act := x.on(e)
	x.facts.note(unsure, !endIsCertain(r))
	out.Answer = Answer{
		Head: Final, Status: r.Status, Response: r, Framing: r.Framing,
		Length: r.Length,
	}
	switch e {
	case interim:
		out.Head = Interim
		if x.facts.has(isHTTP10) { // RFC 9110, Section 15.2: HTTP/1.0 knows none
			out.Answer = Answer{}
		}
		return
	case switched:
		x.status = r.Status
		if act == tunnel {
			out.Do = Tunnel
		}
		return
	}
	x.status = r.Status
	x.body.StartResponse(r.Framing, r.Length, &x.o.Limits)
	x.body.Without(x.o.ResponseRules)
	x.facts.note(keep, r.KeepAlive && r.Framing != http1.UntilClose && x.link.Keep &&
		x.link.Protocol == backend.HTTP && !x.facts.has(personal) && !x.facts.has(unsure))
	if !x.o.KeepHead && x.state == Answering {
		if s.parsed == x {
			s.parsed = nil
		}
		x.head.Drop()
	}
}

// endIsCertain reports whether the response ends where its head says. A response to HEAD, a 304 and
// a 1xx end with the head (RFC 9112, Section 6.3), but a backend that announces a body for one may
// send it later: it would be taken for the next client's answer.
func endIsCertain(r *http1.Response) bool {
	if r.Framing != http1.NoBody {
		return true
	}
	if r.Status < 200 && r.Status != 101 && !r.KeepAlive {
		return false
	}
	if r.Length > 0 {
		return false
	}
	for i := range r.Fields {
		if r.Fields[i].Is("Transfer-Encoding") {
			return false
		}
	}
	return true
}

// passBody passes on the body's next bytes in p, and ends the exchange with the last.
func (x *Exchange) passBody(p []byte, out *Output) {
	if !x.body.Done() && len(p) > 0 {
		data, n, err := x.body.Next(p)
		if err != nil {
			e := x.badAnswer(err.(*http1.Error).Reason)
			e.Answer, e.Used = out.Answer, out.Used // the head before it
			*out = e
			return
		}
		out.Used += n
		out.Data = data
		p = p[n:]
	}
	if x.body.Done() {
		x.finish(out, len(p) == 0)
	}
}

// finish ends the exchange after a complete response. Further bytes of the backend make its
// connection suspect.
func (x *Exchange) finish(out *Output, nothingMore bool) {
	whole := x.state == Answering
	if x.on(answered) != finish {
		*out = x.cut(Misused)
		return
	}
	out.End, out.Trailer = true, x.body.Trailer()
	out.Do, out.Keep = Release, x.facts.has(keep) && whole && nothingMore
}

// BadAnswer refuses a response, for a reason that its connection has found.
func (x *Exchange) BadAnswer(reason string) Output { return x.badAnswer(reason) }

// badAnswer refuses a response.
func (x *Exchange) badAnswer(reason string) Output { return x.reply(502, BadAnswer, reason) }

// BackendEnded takes the end of the backend's stream; broken says that it was a reset. If the
// client has received nothing yet, the request is repeated or gets an error response.
func (x *Exchange) BackendEnded(broken bool) Output {
	if x.can(answered) && !broken && x.body.End() == nil {
		x.facts &^= keep
		out := Output{}
		x.finish(&out, true)
		return out
	}
	e := lost
	if !x.facts.has(heard|retried) && x.Repeatable() {
		e = lostRepeatable
	}
	switch x.on(e) {
	case dial:
		x.facts |= retried
		return Output{Do: Dial}
	case reply:
		return x.own(502, BackendGone, "")
	case nothing:
		return Output{}
	case misused:
		return x.cut(Misused)
	}
	return x.cut(BackendGone)
}

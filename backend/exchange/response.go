package exchange

import (
	"reprise/backend"
	"reprise/backend/http1"
)

// FromBackend takes the next part of what the backend says: at least one byte of it. It is
// to be called again with what it has not used until there is nothing left, or there is
// something to do. What is left when the exchange is over was not asked for; behind a 101
// it is for the client as it is.
func (x *Exchange) FromBackend(s *Scratch, p []byte) Output {
	if x.outSeen == headTaken {
		x.out.Drop()
		x.outSeen = 0
	}
	switch x.on(says) {
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

// takeHead takes the head of a response if it is complete, with the body that comes with
// it.
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

// maybeStatusLine reports whether p, or what follows it, can make it the beginning of a
// response. A backend that speaks another protocol may stay open, and would else be found
// out by a timer only.
func maybeStatusLine(p []byte, orHTTP2 bool) bool {
	const start, start2 = "HTTP/1.", "HTTP/2.0"
	n := min(len(p), len(start))
	return string(p[:n]) == start[:n] || orHTTP2 && string(p[:n]) == start2[:n]
}

// echoesHTTP2 reports whether the backend answers in a version that it was only told of, as
// uWSGI does: it takes that of its status line from SERVER_PROTOCOL.
func (x *Exchange) echoesHTTP2() bool { return x.c.HTTP2 && x.link.Protocol == backend.UWSGI }

// asHTTP1 makes such a status line what the response is.
func (x *Exchange) asHTTP1(head []byte) {
	if x.echoesHTTP2() && len(head) >= len("HTTP/2.0") && string(head[:8]) == "HTTP/2.0" {
		copy(head[5:], "1.1")
	}
}

var methodHEAD, methodGET = []byte("HEAD"), []byte("GET")

// method returns one that a response is framed for in the same way.
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

// endIsCertain reports whether the response ends where its head says. One to HEAD, and a
// 304 or 1xx, ends with its head (RFC 9112, Section 6.3), but a backend that announces a
// body for it may be one that sends it, later: it would be the next client's answer.
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

// passBody passes on what comes first in p of the body, and ends the exchange with it.
func (x *Exchange) passBody(p []byte, out *Output) {
	if !x.body.Done() && len(p) > 0 {
		data, n, err := x.body.Next(p)
		if err != nil {
			e := x.badAnswer(err.(*http1.Error).Reason)
			e.Answer, e.Used = out.Answer, out.Used // the head that came before it
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

// finish ends the exchange, whose response is complete. What the backend has said
// beyond that makes its connection suspect.
func (x *Exchange) finish(out *Output, nothingMore bool) {
	whole := x.state == Answering
	if x.on(answered) != finish {
		*out = x.cut(Misused)
		return
	}
	out.End, out.Trailer = true, x.body.Trailer()
	out.Do, out.Keep = Release, x.facts.has(keep) && whole && nothingMore
}

// BadAnswer refuses what the backend answered, for a reason that its connection has found.
func (x *Exchange) BadAnswer(reason string) Output { return x.badAnswer(reason) }

// badAnswer refuses what the backend answered.
func (x *Exchange) badAnswer(reason string) Output { return x.reply(502, BadAnswer, reason) }

// BackendEnded takes the end of what the backend says; broken says that it was a reset.
// If the client has got nothing yet it need not notice, or is told in words.
func (x *Exchange) BackendEnded(broken bool) Output {
	if x.can(answered) && !broken && x.body.End() == nil {
		x.facts &^= keep
		out := Output{}
		x.finish(&out, true)
		return out
	}
	e := gone
	if !x.facts.has(heard|retried) && x.Repeatable() {
		e = vanished
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

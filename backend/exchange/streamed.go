package exchange

import (
	"reprise/backend"
	"reprise/backend/http1"
)

// A backend of HTTP/2 has its own framing: it gets the request's head as one of HTTP/1.1, the
// pieces of the body unframed and the end as an event; it answers in heads, pieces and an end.

// streamed reports whether the backend frames messages by itself.
func (x *Exchange) streamed() bool { return x.link.Protocol == backend.H2C }

// chunks reports whether the body goes to the backend in chunks.
func (x *Exchange) chunks() bool { return x.framing == http1.Chunked && !x.streamed() }

// AnswerHead takes the head of a response, interim or not, of a backend that frames
// messages by itself; with end, it is the whole response.
func (x *Exchange) AnswerHead(s *Scratch, head []byte, end bool) Output {
	x.facts |= heard
	switch x.on(received) {
	case readHead:
	case nothing:
		return Output{}
	default:
		return x.cut(Misused)
	}
	r := &s.response
	if err := r.Parse(head, x.method(), &x.o.Limits); err != nil {
		return x.badAnswer(err.(*http1.Error).Reason)
	}
	out := Output{}
	x.answerHead(s, r, &out)
	if end && x.can(answered) {
		x.endAnswer(nil, &out)
	}
	return out
}

// AnswerData takes a piece of the response's body; with end, the last one.
func (x *Exchange) AnswerData(p []byte, end bool) Output {
	if act := x.on(received); act != readBody {
		if act == nothing {
			return Output{}
		}
		return x.cut(Misused)
	}
	// it is framed by its length or its end: nothing else can be wrong
	data, n, _ := x.body.Next(p)
	if n < len(p) {
		return x.badAnswer("content longer than its head says")
	}
	out := Output{Answer: Answer{Data: data}}
	if end {
		x.endAnswer(nil, &out)
	}
	return out
}

// AnswerEnd ends the response with a trailer section.
func (x *Exchange) AnswerEnd(trailer []byte) Output {
	out := Output{}
	if x.can(answered) {
		x.endAnswer(x.o.ResponseRules.WithoutDropped(trailer), &out)
	}
	return out
}

// endAnswer ends the exchange if its response has the announced length.
func (x *Exchange) endAnswer(trailer []byte, out *Output) {
	if x.body.End() != nil {
		e := x.badAnswer("content shorter than its head says")
		e.Answer = out.Answer
		*out = e
		return
	}
	if x.finish(out, true); len(trailer) > 0 {
		out.Trailer = trailer
	}
}

// Unprocessed reports that the backend has not processed the request and will not. It can be sent
// elsewhere, whatever its method, if all of it is still here.
func (x *Exchange) Unprocessed() Output {
	if x.facts.has(heard) || x.bodyLen > 0 || !x.can(unserved) {
		return x.BackendEnded(true)
	}
	x.on(unserved)
	return Output{Do: Dial}
}

// Answered writes an Output of AnswerHead, AnswerData, AnswerEnd or Unprocessed as octets.
func (c *Conn) Answered(s *Scratch, out Output) Step {
	step := octets(&out)
	dst := c.appendHead(s, s.toClient[:0], &out)
	switch {
	case len(out.Data) == 0:
	case c.framing == http1.Chunked:
		dst = http1.AppendChunk(dst, out.Data)
	case len(dst) > 0:
		dst = append(dst, out.Data...)
	default:
		step.ToClient = out.Data
		return step
	}
	if out.End && out.Head != Own && c.framing == http1.Chunked {
		dst = http1.AppendLastChunk(dst, out.Trailer)
	}
	s.toClient = dst[:0]
	step.ToClient = dst
	return step
}

package exchange

import "reprise/backend/http1"

// FromBackend takes all bytes that the backend has sent and writes what the client gets of them.
func (c *Conn) FromBackend(s *Scratch, p []byte) Step {
	dst := s.toClient[:0]
	var whole []byte // the only piece, which needs no framing and so no copy
	for {
		out := c.x.FromBackend(s, p)
		p = p[out.Used:]
		if whole != nil && (out.Head != NoHead || len(out.Data) > 0) {
			dst, whole = append(dst, whole...), nil
		}
		dst = c.appendHead(s, dst, &out)
		switch {
		case len(out.Data) == 0:
		case c.framing == http1.Chunked:
			dst = http1.AppendChunk(dst, out.Data)
		case len(dst) > 0: // behind the head, so that both leave together
			dst = append(dst, out.Data...)
		default:
			whole = out.Data
		}
		if out.End && out.Head != Own && c.framing == http1.Chunked {
			dst = http1.AppendLastChunk(dst, out.Trailer)
		}
		if out.Do == Tunnel {
			dst = append(dst, p...)
		}
		if len(p) == 0 || out.Do != Continue {
			s.toClient = dst[:0]
			step := octets(&out)
			if step.ToClient = dst; whole != nil {
				step.ToClient = whole
			}
			return step
		}
	}
}

// step writes an Output that has no piece of a response's body.
func (c *Conn) step(s *Scratch, out Output) Step {
	step := octets(&out)
	dst := c.appendHead(s, s.toClient[:0], &out)
	if out.End && out.Head == NoHead && c.framing == http1.Chunked {
		dst = http1.AppendLastChunk(dst, out.Trailer)
	}
	s.toClient = dst[:0]
	step.ToClient = dst
	return step
}

func octets(out *Output) Step {
	return Step{
		ToBackend: out.ToBackend, Held: out.Held, EndToBackend: out.EndToBackend,
		TrailerToBackend: out.TrailerToBackend,
		Do:               out.Do, Keep: out.Keep, Why: out.Why, Reason: out.Reason,
	}
}

var continue100 = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// appendHead appends a response's head, or a whole answer of our own.
func (c *Conn) appendHead(s *Scratch, dst []byte, out *Output) []byte {
	switch out.Head {
	case Interim:
		if out.Response == nil {
			return append(dst, continue100...)
		}
		c.outgoing(s, false, http1.NoBody, -1)
		return http1.AppendResponse(dst, out.Response, &s.outgoing)
	case Final:
		c.frame(s, out)
		return http1.AppendResponse(dst, out.Response, &s.outgoing)
	case Own:
		c.frame(s, out)
		if out.Redirect > 0 {
			return http1.AppendRedirect(dst, c.x.Request(s), out.Redirect, &s.outgoing)
		}
		if out.Text != "" {
			return http1.AppendText(dst, out.Status, out.Text, &s.outgoing)
		}
		s.outgoing.RetryAfter = out.RetryAfter
		return http1.AppendError(dst, out.Status, &s.outgoing)
	}
	return dst
}

// frame decides how the client learns the end of a response, and whether its connection ends with
// it: a body of unknown length is chunked, or lasts until the close. If the request's body is
// incomplete at that time, the connection ends: the rest would have to be read first.
func (c *Conn) frame(s *Scratch, out *Output) {
	c.last = c.last || !c.x.facts.has(keepAlive) || !c.body.Done() || !c.o.KeepAlive || s.Leaving
	c.framing = out.Framing
	if c.framing == http1.UntilClose {
		c.framing = http1.Chunked
	}
	if c.framing == http1.Chunked && c.x.facts.has(isHTTP10) {
		c.framing, c.last = http1.UntilClose, true
	}
	c.outgoing(s, c.last, c.framing, out.Length)
}

// outgoing describes how the client gets a head.
func (c *Conn) outgoing(s *Scratch, last bool, framing http1.Framing, length int64) {
	minor := 1
	if c.x.facts.has(isHTTP10) {
		minor = 0
	}
	s.outgoing = http1.Outgoing{
		Close: last, Head: c.x.facts.has(isHead), Minor: minor, Framing: framing, Length: length,
		Date:  s.Date,
		Rules: c.o.ResponseRules, Facts: c.c.Facts, Nth: c.x.nth,
	}
}

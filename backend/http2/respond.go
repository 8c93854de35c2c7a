package http2

// BeginHead begins the head of a response: Field adds to it, AppendHead ends it. Between them no
// connection with the same Scratch may be used otherwise.
//
// Status 101 answers an extended CONNECT and becomes 200 (RFC 8441, Section 5). Another 2xx would
// tell the client that its tunnel is established.
func (c *Conn) BeginHead(s *Stream, status int) {
	switch {
	case s.isTunnel && status == 101:
		status = 200
	case status == 101, s.isTunnel && status/100 == 2:
		status = 502
		s.isTunnel, s.refused = false, true
	case s.isTunnel && status >= 300:
		s.isTunnel, s.refused = false, true
	}
	block := c.scratch.block[:0]
	if !c.sizeTold {
		c.sizeTold = true
		block = appendTableSize(block)
	}
	c.scratch.block = appendStatus(block, status)
}

// Field adds a field, which must not concern the connection to the backend.
func (c *Conn) Field(name, value []byte) {
	c.scratch.block = appendLiteral(c.scratch.block, name, value)
}

// Lines adds fields from lines, each of which ends in CR LF.
func (c *Conn) Lines(lines []byte) {
	c.scratch.block = appendLines(c.scratch.block, lines)
}

var crlf, colon = []byte("\r\n"), []byte(":")

// AppendHead ends a head. With end it is the whole response.
func (c *Conn) AppendHead(dst []byte, s *Stream, end bool) []byte {
	if s.Ended() || c.phase == dead {
		return dst
	}
	dst = appendBlock(dst, s.ID, c.scratch.block, end)
	if end {
		s.finished = true
		dst = c.finish(dst, s)
	}
	return dst
}

// AppendData sends a piece of a response's body; with end, the last one. What the windows do not
// allow is copied and waits.
func (c *Conn) AppendData(dst []byte, s *Stream, p []byte, end bool) []byte {
	if s.Ended() || c.phase == dead {
		return dst
	}
	s.finished = end
	if len(s.pending) == 0 {
		dst, p = c.dataFrames(dst, s, p)
	}
	if len(p) > 0 {
		s.pending = append(s.pending, p...)
	} else if end && len(s.pending) == 0 && s.state < closed && s.state != halfClosedLocal {
		dst = c.sendEnd(dst, s)
	}
	return dst
}

// AppendEnd ends a response; trailer is nil or lines as [http1.Body.Trailer] returns them.
func (c *Conn) AppendEnd(dst []byte, s *Stream, trailer []byte) []byte {
	if s.Ended() || c.phase == dead {
		return dst
	}
	s.finished = true
	if len(trailer) > 0 {
		s.trailers = append([]byte(nil), trailer...)
	}
	if len(s.pending) > 0 {
		return dst
	}
	return c.sendEnd(dst, s)
}

// Reset ends a stream early; its pending data are dropped. A closed stream stays closed.
func (c *Conn) Reset(dst []byte, s *Stream, code Code) []byte {
	if s.state >= closed || c.phase == dead {
		return dst
	}
	dst = appendRSTStream(dst, s.ID, code)
	return c.closeStream(dst, s, resetByUs)
}

// dataFrames sends as much of p as the windows allow, with the end if p is the last of the
// response, and returns the rest.
func (c *Conn) dataFrames(dst []byte, s *Stream, p []byte) (_, rest []byte) {
	for len(p) > 0 {
		n := min(len(p), maxFrameLen, int(max(0, min(s.sendWindow, c.sendWindow))))
		if n == 0 {
			break
		}
		last := n == len(p) && s.finished && s.trailers == nil
		flags := uint8(0)
		if last {
			flags = flagEndStream
		}
		dst = appendFrameHeader(dst, n, frameData, flags, s.ID)
		dst = append(dst, p[:n]...)
		p = p[n:]
		s.sendWindow -= int32(n)
		c.sendWindow -= int32(n)
		c.control.earn(n / 512) // a client that takes data has to open windows
		if last {
			s.pending = nil
			dst = c.finish(dst, s)
		}
	}
	return dst, p
}

// sendEnd sends the end of a response that has no pending data.
func (c *Conn) sendEnd(dst []byte, s *Stream) []byte {
	if s.trailers == nil {
		dst = appendFrameHeader(dst, 0, frameData, flagEndStream, s.ID)
		return c.finish(dst, s)
	}
	c.scratch.block = c.scratch.block[:0]
	c.Lines(s.trailers)
	dst = appendBlock(dst, s.ID, c.scratch.block, true)
	return c.finish(dst, s)
}

// finish ends our side of a stream whose response has gone out. The rest of the client's request is
// dropped, as far as its window goes: some clients take an immediate reset for a failure, though
// the response is complete.
func (c *Conn) finish(dst []byte, s *Stream) []byte {
	c.resets.earn(1)
	c.control.earn(2)
	if s.state == halfClosedRemote {
		return c.closeStream(dst, s, closed)
	}
	s.state = halfClosedLocal
	if s.isDone() {
		c.done++
	}
	return c.stop(dst, s)
}

// stop tells a client whose window is used up, and whose request is of no use any more, not to
// continue (RFC 9113, Section 8.1).
func (c *Conn) stop(dst []byte, s *Stream) []byte {
	if s.isDone() && (s.refused || s.recvWindow < maxFrameLen) {
		return c.Reset(dst, s, NoError)
	}
	return dst
}

// makeRoom stops the oldest stream whose response has gone out.
func (c *Conn) makeRoom(dst []byte) []byte {
	for _, s := range c.streams {
		if s.isDone() {
			return c.Reset(dst, s, NoError)
		}
	}
	return dst
}

// flush sends a stream's pending data.
func (c *Conn) flush(dst []byte, s *Stream) []byte {
	dst, rest := c.dataFrames(dst, s, s.pending)
	switch {
	case s.state >= closed:
	case len(rest) > 0:
		s.pending = s.pending[:copy(s.pending, rest)]
	default:
		s.pending = nil
		if s.finished && s.state != halfClosedLocal {
			dst = c.sendEnd(dst, s)
		}
	}
	return dst
}

// flushAll sends pending data, beginning behind the stream that had the last turn: a window that
// fits one stream's data must not serve the first one each time.
func (c *Conn) flushAll(dst []byte) []byte {
	for range c.streams {
		s := c.nextWaiting()
		if s == nil {
			break
		}
		c.turn = s.ID
		dst = c.flush(dst, s)
	}
	return dst
}

// nextWaiting returns the next stream that can send pending data.
func (c *Conn) nextWaiting() *Stream {
	if c.sendWindow <= 0 {
		return nil
	}
	start, _ := c.index(c.turn + 1)
	for i := range c.streams {
		if s := c.streams[(start+i)%len(c.streams)]; len(s.pending) > 0 && s.sendWindow > 0 {
			return s
		}
	}
	return nil
}

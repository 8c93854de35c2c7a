package http2

// Consumed reports that n bytes of a stream's body have gone to its backend, so that the client may
// send as many more.
func (c *Conn) Consumed(dst []byte, s *Stream, n int) []byte {
	if c.phase == dead {
		return dst
	}
	taken := min(int32(n), s.held)
	s.held -= taken
	if !s.left() && (s.state == open || s.state == halfClosedLocal) {
		s.credit += taken
		// An update for every few bytes would cost a frame for each of the client's.
		if s.credit >= int32(c.o.StreamWindow/2) {
			dst = appendWindowUpdate(dst, s.ID, uint32(s.credit))
			s.recvWindow += s.credit
			s.credit = 0
		}
	}
	return c.giveBack(dst, taken)
}

// giveBack returns what was received to the connection's window.
func (c *Conn) giveBack(dst []byte, n int32) []byte {
	if c.credit += n; c.credit < int32(c.o.ConnWindow/2) || c.phase == dead {
		return dst
	}
	dst = appendWindowUpdate(dst, 0, uint32(c.credit))
	c.recvWindow += c.credit
	c.credit = 0
	return dst
}

// Room is how much of a response's body may be read from its backend now: what exceeds it waits in
// memory, and until that is gone there is no room.
func (c *Conn) Room(s *Stream) int {
	if len(s.pending) > 0 || s.finished || s.state >= closed {
		return 0
	}
	return int(max(0, min(s.sendWindow, c.sendWindow)))
}

// onWindowUpdate opens a window (RFC 9113, Section 6.9).
func (c *Conn) onWindowUpdate(dst []byte, s *Stream, increment uint32) ([]byte, Event, *fault) {
	if s == nil {
		if increment == 0 {
			return dst, Event{}, errZeroIncrement
		}
		if int64(c.sendWindow)+int64(increment) > maxWindow {
			return dst, Event{}, errConnWindow
		}
		c.sendWindow += int32(increment)
		return c.flushAll(dst), Event{Kind: Window}, nil
	}
	if increment == 0 {
		return dst, Event{}, errStreamIncrement
	}
	if int64(s.sendWindow)+int64(increment) > maxWindow {
		return dst, Event{}, errStreamWindow
	}
	s.sendWindow += int32(increment)
	e := Event{Kind: Window, Stream: s}
	if len(s.pending) > 0 {
		dst = c.flush(dst, s)
	}
	if s.finished {
		e = Event{}
	}
	return dst, e, nil
}

// onInitialWindow changes the windows of all streams (RFC 9113, Section 6.9.2). They may
// become negative.
func (c *Conn) onInitialWindow(value int32) *fault {
	delta := int64(value) - int64(c.peerWindow)
	for _, s := range c.streams {
		if int64(s.sendWindow)+delta > maxWindow {
			return errInitialWindow
		}
	}
	for _, s := range c.streams {
		s.sendWindow += int32(delta)
	}
	c.peerWindow = value
	return nil
}

// received counts a DATA frame of a stream, with its padding, against both windows. The padding is
// consumed here.
func (c *Conn) received(dst []byte, s *Stream, frameLen, dataLen int) ([]byte, *fault) {
	if int32(frameLen) > c.recvWindow {
		return dst, errOverrun
	}
	c.recvWindow -= int32(frameLen)
	if s == nil {
		return c.giveBack(dst, int32(frameLen)), nil
	}
	if int32(frameLen) > s.recvWindow {
		return c.giveBack(dst, int32(frameLen)), errStreamOverrun
	}
	s.recvWindow -= int32(frameLen)
	s.held += int32(frameLen)
	return c.Consumed(dst, s, frameLen-dataLen), nil
}

package http2

// windows are those of a stream, or of a connection.
type windows struct {
	recvWindow int32 // bytes that the other end may still send
	credit     int32 // consumed, and not yet announced
	held       int32 // received, and not consumed
	sendWindow int32
}

// Held is the number of bytes of the body that were received and not consumed.
func (w *windows) Held() int { return int(w.held) }

// giveBack lets the other end send n bytes more. Announcing every byte would cost a frame for each
// of its frames, so it waits for half the window.
func (w *windows) giveBack(dst []byte, id uint32, n int32, window int) []byte {
	if w.credit += n; w.credit < int32(window/2) {
		return dst
	}
	dst = appendWindowUpdate(dst, id, uint32(w.credit))
	w.recvWindow += w.credit
	w.credit = 0
	return dst
}

// widen lets more bytes out, unless the window would be too large.
func (w *windows) widen(increment uint32) bool {
	if int64(w.sendWindow)+int64(increment) > maxWindow {
		return false
	}
	w.sendWindow += int32(increment)
	return true
}

// onWindow opens a stream's window by a WINDOW_UPDATE (RFC 9113, Section 6.9).
func (w *windows) onWindow(increment uint32) *fault {
	if increment == 0 {
		return errStreamIncrement
	}
	if !w.widen(increment) {
		return errStreamWindow
	}
	return nil
}

// Consumed reports that n bytes of a stream's body have gone to its backend, so that the client may
// send as many more.
func (c *Conn) Consumed(dst []byte, s *Stream, n int) []byte {
	if c.phase == dead {
		return dst
	}
	taken := min(int32(n), s.held)
	s.held -= taken
	if !s.left() && (s.state == open || s.state == halfClosedLocal) {
		dst = s.windows.giveBack(dst, s.ID, taken, c.o.StreamWindow)
	}
	return c.giveBack(dst, taken)
}

// giveBack returns received bytes to the connection's window.
func (c *Conn) giveBack(dst []byte, n int32) []byte {
	if c.phase == dead {
		return dst
	}
	return c.windows.giveBack(dst, 0, n, c.connWindow)
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
		if f := c.onConnWindow(increment); f != nil {
			return dst, Event{}, f
		}
		return c.flushAll(dst), Event{Kind: Window}, nil
	}
	if f := s.onWindow(increment); f != nil {
		return dst, Event{}, f
	}
	e := Event{Kind: Window, Stream: s}
	if len(s.pending) > 0 {
		dst = c.flush(dst, s)
	}
	if s.finished {
		e = Event{}
	}
	return dst, e, nil
}

// onSettings takes the client's settings.
func (c *Conn) onSettings(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	acked, f := c.takeSettings(h, p, c.streamWindows, func(id uint16, value uint32) *fault {
		if (id == settingEnablePush || id == settingEnableConnect) && value > 1 {
			return errSettings
		}
		return nil
	})
	if f != nil || acked {
		return dst, Event{}, f
	}
	dst = appendFrameHeader(dst, 0, frameSettings, flagAck, 0)
	return c.flushAll(dst), Event{Kind: Window}, nil
}

func (c *Conn) streamWindows(yield func(*windows) bool) {
	for _, s := range c.streams {
		if !yield(&s.windows) {
			return
		}
	}
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

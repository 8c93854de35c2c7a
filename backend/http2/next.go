package http2

import (
	"encoding/binary"

	"reprise/backend/http1"
)

// Kind is the kind of an event.
type Kind uint8

const (
	None     Kind = iota // more input is needed
	Request              // a stream was opened by the Head of a request
	Data                 // a piece of a request's body
	Trailers             // the end of a request, with its trailer section
	Reset                // a stream ended early
	Window               // there may be room for more of a response
	Failed               // the connection is over: the output just appended is its last
	Response             // of a backend: the head of a response
	Settled              // of a backend: calls may be opened, or more of them, or fewer
)

// An Event is the result of the client's bytes. Its slices are valid until the next call.
type Event struct {
	Kind   Kind
	Stream *Stream // nil for Window: any; for Reset: one that had not begun
	End    bool    // Request and Data: the client has ended the request
	// Head is the request's, in the form that package http1 reads.
	Head []byte
	// Refusal is the error to answer the request with, or nil.
	Refusal *http1.Error
	Data    []byte // a part of the input
	Trailer []byte // the field lines allowed in a trailer section, each with its CRLF
	// Code and Reason belong to Reset and Failed. The reason is one of a closed list, and empty if
	// the client has reset the stream.
	Code   Code
	Reason string
}

// Next consumes n bytes of p and appends to dst what is to be sent. It returns at the first event,
// or with None when the rest of p is incomplete: that must be given again with more behind it. It
// never keeps a part of p.
func (c *Conn) Next(dst, p []byte) (out []byte, n int, e Event) {
	for e.Kind == None {
		var used int
		var f *fault
		dst, used, e, f = c.step(dst, p[n:])
		n += used
		if f != nil {
			dst, e = c.onFault(dst, f)
			continue
		}
		if used == 0 {
			break
		}
	}
	return dst, n, e
}

// step consumes the next complete unit of p, and nothing if that is incomplete.
func (c *Conn) step(dst, p []byte) (_ []byte, n int, _ Event, _ *fault) {
	switch {
	case len(p) == 0:
		return dst, 0, Event{}, nil
	case c.phase == dead:
		return dst, len(p), Event{}, nil
	case c.phase == awaitPreface:
		return c.preface(dst, p)
	case c.skip > 0:
		n = min(c.skip, len(p))
		c.skip -= n
		return dst, n, Event{}, nil
	case c.data.stream != nil:
		return c.dataPiece(dst, p)
	case len(p) < frameHeaderLen:
		return dst, 0, Event{}, nil
	}
	h := parseFrameHeader(p)
	c.at = h.id
	if h.len > maxFrameLen {
		return dst, 0, Event{}, errFrameLen
	}
	if f := c.inOrder(&h); f != nil {
		return dst, 0, Event{}, f
	}
	switch h.typ {
	case frameData:
		return c.onData(dst, &h, p[frameHeaderLen:])
	case frameUnknown:
		c.skip = h.len
		return dst, frameHeaderLen, Event{}, c.pay(1)
	}
	if n = frameHeaderLen + h.len; len(p) < n {
		return dst, 0, Event{}, nil
	}
	dst, e, f := c.onFrame(dst, &h, p[frameHeaderLen:n])
	return dst, n, e, f
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func (c *Conn) preface(dst, p []byte) ([]byte, int, Event, *fault) {
	n := min(len(p), len(preface))
	if string(p[:n]) != preface[:n] {
		return dst, 0, Event{}, errPreface
	}
	if n < len(preface) {
		return dst, 0, Event{}, nil
	}
	c.phase = awaitSettings
	return dst, n, Event{}, nil
}

// inOrder checks whether such a frame may come now.
func (c *Conn) inOrder(h *frameHeader) *fault {
	switch c.phase {
	case awaitSettings:
		if h.typ != frameSettings || h.has(flagAck) {
			return errFirstFrame
		}
	case awaitContinuation:
		if h.typ != frameContinuation || h.id != c.in.id {
			return errInterrupted
		}
	default:
		if h.typ == frameContinuation {
			return errContinuation
		}
	}
	if h.typ == framePushPromise {
		return errPush
	}
	return h.onItsStream()
}

// onFrame handles a complete frame other than DATA.
func (c *Conn) onFrame(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	switch h.typ {
	case frameSettings:
		return c.onSettings(dst, h, p)
	case framePing:
		return c.onPing(dst, h, p)
	case frameGoAway:
		if h.len < 8 {
			return dst, Event{}, errFrameSize
		}
		return dst, Event{}, c.pay(1) // it serves no streams that we open, and we open none
	case frameContinuation:
		return c.onContinuation(dst, h, p)
	case frameHeaders:
		return c.onHeaders(dst, h, p)
	case framePriority:
		return dst, Event{}, c.onPriority(h, p)
	}
	if h.len != 4 { // RST_STREAM and WINDOW_UPDATE
		return dst, Event{}, errFrameSize
	}
	value := binary.BigEndian.Uint32(p)
	if h.id == 0 { // of WINDOW_UPDATE only
		dst, e, f := c.onWindowUpdate(dst, nil, value&maxWindow)
		return dst, e, either(f, c.pay(1))
	}
	s, st := c.find(h.id)
	switch v := verdicts[st][h.typ]; {
	case v.fault != nil:
		return dst, Event{}, v.fault
	case v.skip:
		return dst, Event{}, c.pay(1)
	case h.typ == frameRSTStream:
		return c.onReset(dst, s, Code(value))
	}
	if f := c.pay(1); f != nil {
		return dst, Event{}, f
	}
	return c.onWindowUpdate(dst, s, value&maxWindow)
}

func either(f, g *fault) *fault {
	if f != nil {
		return f
	}
	return g
}

// drainPing is the payload of the PING whose answer shows that the GOAWAY before it has arrived.
const drainPing = "goaway\x00\x00"

func (c *Conn) onPing(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	switch {
	case h.len != 8:
		return dst, Event{}, errFrameSize
	case !h.has(flagAck):
		return appendPing(dst, flagAck, p), Event{}, c.pay(1)
	case c.goingAway == told && string(p) == drainPing:
		return c.GoAway(dst), Event{}, nil
	}
	return dst, Event{}, c.pay(1)
}

// onPriority checks the frame and ignores it. (RFC 9113, Section 6.3, keeps the form of RFC 7540.)
func (c *Conn) onPriority(h *frameHeader, p []byte) *fault {
	switch {
	case h.len != 5:
		return errPriorityLen
	case binary.BigEndian.Uint32(p)&maxStreamID == h.id:
		return errSelfDependency
	}
	return c.pay(1)
}

// onReset ends a stream that the client cancels (CVE-2023-44487).
func (c *Conn) onReset(dst []byte, s *Stream, code Code) ([]byte, Event, *fault) {
	e := Event{Kind: Reset, Stream: s, Code: code}
	if s.left() {
		e = Event{}
	}
	dst = c.closeStream(dst, s, closed)
	if !c.resets.spend(1, c.now) {
		return dst, Event{}, errResetFlood
	}
	return dst, e, nil
}

// onData handles the beginning of a DATA frame. All its faults are found before any of it is passed
// on.
func (c *Conn) onData(dst []byte, h *frameHeader, p []byte) (_ []byte, n int, _ Event, _ *fault) {
	n, dataLen, pad, f := h.lengths(p)
	if f != nil || n == 0 {
		return dst, 0, Event{}, f
	}
	rest := dataLen + pad
	s, st := c.find(h.id)
	v := verdicts[st][frameData]
	if v.fault != nil || v.skip {
		if v.fault != nil && !v.fault.stream {
			return dst, 0, Event{}, v.fault
		}
		c.skip = rest
		dst, f := c.received(dst, nil, h.len, 0)
		if f == nil && v.skip && h.len == 0 {
			f = c.pay(1)
		}
		return dst, n, Event{}, either(f, v.fault)
	}
	dst, f = c.received(dst, s, h.len, dataLen)
	if f == nil {
		f = s.counts(dataLen, h.has(flagEndStream))
	}
	if f == nil && dataLen == 0 && !h.has(flagEndStream) {
		f = c.pay(1)
	}
	if f != nil {
		c.skip = rest
		return dst, n, Event{}, f
	}
	c.data = dataFrame[Stream]{stream: s, left: dataLen, pad: pad, end: h.has(flagEndStream)}
	if dataLen > 0 {
		return dst, n, Event{}, nil
	}
	return c.dataDone(dst, n, nil)
}

// dataPiece passes on the received part of a DATA frame.
func (c *Conn) dataPiece(dst, p []byte) ([]byte, int, Event, *fault) {
	d := &c.data
	n := min(d.left, len(p))
	if d.left -= n; d.left == 0 {
		return c.dataDone(dst, n, p[:n])
	}
	if d.stream.left() {
		return c.Consumed(dst, d.stream, n), n, Event{}, nil // and dataDone may stop it
	}
	return dst, n, Event{Kind: Data, Stream: d.stream, Data: p[:n]}, nil
}

// dataDone passes on the last piece of a DATA frame.
func (c *Conn) dataDone(dst []byte, n int, p []byte) ([]byte, int, Event, *fault) {
	d := c.data
	c.data, c.skip = dataFrame[Stream]{}, d.pad
	e := Event{Kind: Data, Stream: d.stream, Data: p, End: d.end}
	if len(p) == 0 && !d.end {
		e = Event{}
	} else if d.stream.left() {
		dst, e = c.Consumed(dst, d.stream, len(p)), Event{}
	}
	if d.end {
		dst = c.inputDone(dst, d.stream)
	} else {
		dst = c.stop(dst, d.stream)
	}
	return dst, n, e, nil
}

// counts compares the body with its Content-Length (RFC 9113, Section 8.1.1).
func (s *Stream) counts(n int, end bool) *fault {
	if s.length < 0 {
		return nil
	}
	if s.length -= int64(n); s.length < 0 || end && s.length > 0 {
		return errLength
	}
	return nil
}

// inputDone records that the client has ended the request.
func (c *Conn) inputDone(dst []byte, s *Stream) []byte {
	if s.state == halfClosedLocal {
		return c.closeStream(dst, s, closed)
	}
	s.state = halfClosedRemote
	return dst
}

// onFault reacts to a client's fault in the current frame.
func (c *Conn) onFault(dst []byte, f *fault) ([]byte, Event) {
	if f.stream {
		dst = appendRSTStream(dst, c.at, f.code)
		s, _ := c.find(c.at)
		left := s != nil && s.left()
		if s != nil {
			dst = c.closeStream(dst, s, resetByUs)
		} else {
			c.remember(c.at, resetByUs)
		}
		// A stream that a client makes us reset costs as much as one that it resets itself
		// (CVE-2025-8671).
		if c.resets.spend(1, c.now) {
			if left {
				s = nil
			}
			return dst, Event{Kind: Reset, Stream: s, Code: f.code, Reason: f.reason}
		}
		f = errResetFlood
	}
	dst = appendGoAway(dst, c.last, f.code)
	c.phase = dead
	return dst, Event{Kind: Failed, Code: f.code, Reason: f.reason}
}

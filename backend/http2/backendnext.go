package http2

import "encoding/binary"

// A CallEvent is the result of a backend's bytes. Its slices are valid until the next call of a
// method.
type CallEvent struct {
	Kind Kind  // None, Response, Data, Trailers, Reset, Window, Settled or Failed
	Call *Call // nil for Window: any
	End  bool  // Response, Data and Trailers: the backend has sent everything
	// Head is the response's, possibly an interim one, in the form that package http1 reads.
	Head    []byte
	Data    []byte // a part of the input
	Trailer []byte // the field lines allowed in a trailer section, each with its CRLF
	// Unprocessed says of a Reset that the backend has not processed the request, which may be sent
	// elsewhere, whatever its method (RFC 9113, Section 8.7).
	Unprocessed bool
	// Code and Reason belong to Reset and Failed. The reason is one of a closed list, and empty if
	// the backend has reset the call.
	Code   Code
	Reason string
}

// Next consumes n bytes of p and appends to dst what is to be sent. It returns at the first event,
// or with None when the rest of p is incomplete: that must be given again with more behind it. It
// never keeps a part of p.
func (b *Backend) Next(dst, p []byte) (out []byte, n int, e CallEvent) {
	for e.Kind == None {
		if c := b.unserved(); c != nil {
			b.closeCall(c, closed)
			return dst, n, CallEvent{Kind: Reset, Call: c, Code: RefusedStream, Unprocessed: true}
		}
		var used int
		var f *fault
		dst, used, e, f = b.step(dst, p[n:])
		n += used
		if f != nil {
			dst, e = b.onFault(dst, f)
			continue
		}
		if used == 0 && e.Kind == None {
			break
		}
	}
	return dst, n, e
}

// unserved returns a call that the backend's GOAWAY excludes.
func (b *Backend) unserved() *Call {
	if n := len(b.calls); n > 0 && b.calls[n-1].ID > b.last && b.phase != dead {
		return b.calls[n-1]
	}
	return nil
}

// step consumes the next complete unit of p, and nothing if that is incomplete.
func (b *Backend) step(dst, p []byte) (_ []byte, n int, _ CallEvent, _ *fault) {
	switch {
	case len(p) == 0:
		return dst, 0, CallEvent{}, nil
	case b.phase == dead:
		return dst, len(p), CallEvent{}, nil
	case b.skip > 0:
		n = min(b.skip, len(p))
		b.skip -= n
		return dst, n, CallEvent{}, nil
	case b.data.stream != nil:
		n, e := b.dataPiece(p)
		return dst, n, e, nil
	case len(p) < frameHeaderLen:
		return dst, 0, CallEvent{}, nil
	}
	h := parseFrameHeader(p)
	b.at = h.id
	if f := b.inOrder(&h); f != nil {
		return dst, 0, CallEvent{}, f
	}
	switch h.typ {
	case frameData:
		return b.onData(dst, &h, p[frameHeaderLen:])
	case frameUnknown:
		b.skip = h.len
		return dst, frameHeaderLen, CallEvent{}, b.pay(1)
	}
	if n = frameHeaderLen + h.len; len(p) < n {
		return dst, 0, CallEvent{}, nil
	}
	dst, e, f := b.onFrame(dst, &h, p[frameHeaderLen:n])
	return dst, n, e, f
}

// inOrder checks whether such a frame may come now.
func (b *Backend) inOrder(h *frameHeader) *fault {
	switch {
	case b.phase == awaitSettings && (h.typ != frameSettings || h.has(flagAck) ||
		h.len > maxFrameLen):
		return errNotHTTP2
	case h.len > maxFrameLen:
		return errFrameLen
	case b.phase == awaitContinuation && (h.typ != frameContinuation || h.id != b.in.id):
		return errInterrupted
	case b.phase != awaitContinuation && h.typ == frameContinuation:
		return errContinuation
	}
	if h.typ == framePushPromise {
		return errPushed
	}
	return h.onItsStream()
}

// onFrame handles a complete frame other than DATA.
func (b *Backend) onFrame(dst []byte, h *frameHeader, p []byte) ([]byte, CallEvent, *fault) {
	switch h.typ {
	case frameSettings:
		return b.onSettings(dst, h, p)
	case framePing:
		switch {
		case h.len != 8:
			return dst, CallEvent{}, errFrameSize
		case h.has(flagAck):
			return dst, CallEvent{}, b.pay(1)
		}
		return appendPing(dst, flagAck, p), CallEvent{}, b.pay(1)
	case frameGoAway:
		return dst, CallEvent{}, b.onGoAway(h, p)
	case frameHeaders:
		return b.onHeaders(dst, h, p)
	case frameContinuation:
		if f := b.countPart(); f != nil {
			return dst, CallEvent{}, f
		}
		return b.takeFragment(dst, h, p)
	case framePriority:
		if h.len != 5 {
			return dst, CallEvent{}, errFrameSize
		}
		return dst, CallEvent{}, b.pay(1)
	}
	if h.len != 4 { // RST_STREAM and WINDOW_UPDATE
		return dst, CallEvent{}, errFrameSize
	}
	if f := b.pay(1); f != nil {
		return dst, CallEvent{}, f
	}
	value := binary.BigEndian.Uint32(p)
	if h.id == 0 { // of WINDOW_UPDATE only
		return dst, CallEvent{Kind: Window}, b.onConnWindow(value & maxWindow)
	}
	c, st := b.find(h.id)
	switch v := callVerdicts[st][h.typ]; {
	case v.fault != nil:
		return dst, CallEvent{}, v.fault
	case v.skip:
		return dst, CallEvent{}, nil
	case h.typ == frameRSTStream:
		b.closeCall(c, closed)
		return dst, CallEvent{
			Kind: Reset, Call: c, Code: Code(value),
			Unprocessed: Code(value) == RefusedStream && !c.responded,
		}, nil
	}
	return dst, CallEvent{Kind: Window, Call: c}, c.onWindow(value & maxWindow)
}

// onHeaders handles the beginning of a header block.
func (b *Backend) onHeaders(dst []byte, h *frameHeader, p []byte) ([]byte, CallEvent, *fault) {
	p, f := b.in.begin(h, p)
	if f != nil {
		return dst, CallEvent{}, f
	}
	c, st := b.find(h.id)
	form := responseHead
	switch v := callVerdicts[st][frameHeaders]; {
	case v.fault != nil && !v.fault.stream:
		return dst, CallEvent{}, v.fault
	case v.fault != nil:
		b.in.fault = v.fault
	case v.skip:
		b.in.ignore = true
		if f := b.pay(1); f != nil {
			return dst, CallEvent{}, f
		}
	case c.responded:
		if form = trailerSection; !b.in.end {
			b.in.fault = errAnswerTail
		}
	}
	b.in.head.reset(b.scratch, form)
	return b.takeFragment(dst, h, p)
}

// takeFragment acts on a header block when the last part of it has come.
func (b *Backend) takeFragment(dst []byte, h *frameHeader, p []byte) ([]byte, CallEvent, *fault) {
	if complete, f := b.fragment(h, p); f != nil || !complete {
		return dst, CallEvent{}, f
	}
	b.at = b.in.id
	e, f := b.onBlock()
	b.in.head.drop()
	return dst, e, f
}

// maxInterim bounds the interim responses to a request, as a multiple of the longest head. No
// window counts them, so a client that does not read would leave them all in memory.
const maxInterim = 4

// onBlock handles a complete block.
func (b *Backend) onBlock() (CallEvent, *fault) {
	in := &b.in
	c, _ := b.find(in.id) // it may have been reset since the block began
	switch {
	case in.fault != nil:
		return CallEvent{}, in.fault
	case in.ignore || c == nil:
		return CallEvent{}, nil
	case in.head.form == trailerSection:
		return b.onTrailers(c)
	case in.head.malformed:
		return CallEvent{}, errAnswerHead
	case in.head.tooLong:
		return CallEvent{}, errAnswerLen
	case in.head.tooMany:
		return CallEvent{}, errAnswerFields
	}
	text := in.head.completeResponse()
	switch {
	case text == nil:
		return CallEvent{}, errAnswerHead
	case in.head.status < 200 && in.end:
		return CallEvent{}, errInterimEnd
	case in.head.status < 200: // there may be any number of them
		if c.interim += len(text); c.interim > maxInterim*b.o.Limits.HeadLen {
			return CallEvent{}, errInterimLen
		}
		return CallEvent{Kind: Response, Call: c, Head: text}, b.pay(1)
	}
	c.responded = true
	if in.end {
		b.responseDone(c)
	}
	return CallEvent{Kind: Response, Call: c, Head: text, End: in.end}, nil
}

// onTrailers handles the fields behind a body. Those forbidden there are left out.
func (b *Backend) onTrailers(c *Call) (CallEvent, *fault) {
	h := &b.in.head
	if h.malformed || h.tooLong || h.tooMany {
		return CallEvent{}, errAnswerTail
	}
	e := CallEvent{Kind: Trailers, Call: c, End: true}
	if len(h.text) > 0 {
		var ok bool
		if e.Trailer, ok = checkTrailer(h.text, b.o.Limits); !ok {
			return CallEvent{}, errAnswerTail
		}
	}
	b.responseDone(c)
	return e, nil
}

// responseDone records that the backend has sent the whole response.
func (b *Backend) responseDone(c *Call) {
	b.control.earn(4)
	if c.state == halfClosedLocal {
		b.closeCall(c, closed)
		return
	}
	c.state = halfClosedRemote
}

// onData handles the beginning of a DATA frame. All its faults are found before any of it is passed
// on.
func (b *Backend) onData(dst []byte, h *frameHeader,

	p []byte,
) (_ []byte, n int, _ CallEvent, _ *fault) {
	n, dataLen, pad, f := h.lengths(p)
	if f != nil || n == 0 {
		return dst, 0, CallEvent{}, f
	}
	c, st := b.find(h.id)
	v := callVerdicts[st][frameData]
	if v.fault != nil && !v.fault.stream {
		return dst, 0, CallEvent{}, v.fault
	}
	if int32(h.len) > b.recvWindow {
		return dst, 0, CallEvent{}, errOverrun
	}
	b.recvWindow -= int32(h.len)
	dst = b.windows.giveBack(dst, 0, int32(h.len), b.connWindow)
	f = v.fault
	switch {
	case f != nil:
	case v.skip:
		f = b.pay(1)
	case !c.responded:
		f = errNoAnswerHead
	case int32(h.len) > c.recvWindow:
		f = errStreamOverrun
	case dataLen == 0 && !h.has(flagEndStream):
		f = b.pay(1)
	}
	if f != nil || v.skip {
		b.skip = dataLen + pad
		return dst, n, CallEvent{}, f
	}
	c.recvWindow -= int32(h.len)
	c.held += int32(h.len)
	dst = b.Consumed(dst, c, h.len-dataLen) // padding is consumed here
	b.data = dataFrame[Call]{stream: c, left: dataLen, pad: pad, end: h.has(flagEndStream)}
	if dataLen > 0 {
		return dst, n, CallEvent{}, nil
	}
	return dst, n, b.dataDone(nil), nil
}

// dataPiece passes on the received part of a DATA frame.
func (b *Backend) dataPiece(p []byte) (int, CallEvent) {
	d := &b.data
	n := min(d.left, len(p))
	if d.left -= n; d.left == 0 {
		return n, b.dataDone(p[:n])
	}
	return n, CallEvent{Kind: Data, Call: d.stream, Data: p[:n]}
}

// dataDone passes on the last piece of a DATA frame.
func (b *Backend) dataDone(p []byte) CallEvent {
	d := b.data
	b.data, b.skip = dataFrame[Call]{}, d.pad
	if d.end {
		b.responseDone(d.stream)
	}
	if len(p) == 0 && !d.end {
		return CallEvent{}
	}
	return CallEvent{Kind: Data, Call: d.stream, Data: p, End: d.end}
}

// onFault reacts to a backend's fault in the current frame.
func (b *Backend) onFault(dst []byte, f *fault) ([]byte, CallEvent) {
	if f.stream && b.control.spend(10, b.now) {
		dst = appendRSTStream(dst, b.at, f.code)
		c, _ := b.find(b.at)
		if c == nil {
			return dst, CallEvent{}
		}
		b.closeCall(c, resetByUs)
		return dst, CallEvent{Kind: Reset, Call: c, Code: f.code, Reason: f.reason}
	}
	if f.stream {
		f = errControlFlood
	}
	dst = appendGoAway(dst, 0, f.code)
	b.phase = dead
	return dst, CallEvent{Kind: Failed, Code: f.code, Reason: f.reason}
}

package http2

import "bytes"

// Open opens a call with the head of a request in the form that [http1.AppendRequest] writes for a
// backend of HTTP/2; with end it is the whole request. There must be Room.
func (b *Backend) Open(dst, head []byte, end bool) ([]byte, *Call) {
	c := &Call{ID: b.next, state: open}
	c.recvWindow, c.sendWindow = int32(b.o.CallWindow), b.peerWindow
	b.next += 2
	b.calls = append(b.calls, c)
	b.encode(head)
	b.control.earn(4)
	dst = appendBlock(dst, c.ID, b.scratch.block, end)
	if end {
		c.state = halfClosedLocal
	}
	return dst, c
}

// encode encodes the head of a request: its pseudo-header fields come from the request line and
// from Host, which is the first field.
func (b *Backend) encode(head []byte) {
	block := b.scratch.block[:0]
	if !b.sizeTold {
		b.sizeTold = true
		block = appendTableSize(block)
	}
	line, lines, _ := bytes.Cut(head, crlf)
	method, line, _ := bytes.Cut(line, space)
	path, _, _ := bytes.Cut(line, space)
	block = appendMethod(block, method)
	block = append(block, 0x80|6) // the scheme http: that of this hop, which has no TLS
	host, rest, _ := bytes.Cut(lines, crlf)
	if name, value, ok := bytes.Cut(host, colon); ok && bytes.EqualFold(name, hostName) {
		lines = rest
		if value = bytes.TrimSpace(value); len(value) > 0 {
			block = appendIndexed(block, 1, value)
		}
	}
	if string(path) == "/" {
		block = append(block, 0x80|4)
	} else {
		block = appendIndexed(block, 4, path)
	}
	b.scratch.block = appendLines(block, lines)
}

var space, hostName = []byte(" "), []byte("Host")

// Send sends as much of p as the windows allow now, and returns its length; with end, p is the last
// of the request.
func (b *Backend) Send(dst []byte, c *Call, p []byte, end bool) (_ []byte, n int) {
	for b.mayEnd(c) && n < len(p) {
		size := min(len(p)-n, maxFrameLen, int(max(0, min(c.sendWindow, b.sendWindow))))
		if size == 0 {
			break
		}
		flags, last := uint8(0), end && n+size == len(p)
		if last {
			flags = flagEndStream
		}
		dst = appendFrameHeader(dst, size, frameData, flags, c.ID)
		dst = append(dst, p[n:n+size]...)
		n += size
		c.sendWindow -= int32(size)
		b.sendWindow -= int32(size)
		// For each frame a backend may update two windows and send a PING to measure its bandwidth.
		b.control.earn(4 + size/512)
		if last {
			b.requestDone(c)
		}
	}
	return dst, n
}

// End ends a request; trailer is nil or lines as [http1.Body.Trailer] returns them.
func (b *Backend) End(dst []byte, c *Call, trailer []byte) []byte {
	if !b.mayEnd(c) {
		return dst
	}
	if len(trailer) == 0 {
		dst = appendFrameHeader(dst, 0, frameData, flagEndStream, c.ID)
	} else {
		b.scratch.block = appendLines(b.scratch.block[:0], trailer)
		dst = appendBlock(dst, c.ID, b.scratch.block, true)
	}
	b.requestDone(c)
	return dst
}

// mayEnd reports whether the request is incomplete and still wanted.
func (b *Backend) mayEnd(c *Call) bool {
	return b.phase != dead && (c.state == open || c.state == halfClosedRemote)
}

func (b *Backend) requestDone(c *Call) {
	if c.state == halfClosedRemote {
		b.closeCall(c, closed)
		return
	}
	c.state = halfClosedLocal
}

// Reset ends a call early. A closed call stays closed.
func (b *Backend) Reset(dst []byte, c *Call, code Code) []byte {
	if c.state >= closed {
		return dst
	}
	b.closeCall(c, resetByUs)
	if b.phase == dead {
		return dst
	}
	b.control.earn(4)
	return appendRSTStream(dst, c.ID, code)
}

// Consumed reports that n bytes of a response's body have gone to the client, so that the backend
// may send as many more.
func (b *Backend) Consumed(dst []byte, c *Call, n int) []byte {
	taken := min(int32(n), c.held)
	c.held -= taken
	if b.phase == dead || c.state != open && c.state != halfClosedLocal {
		return dst
	}
	return c.windows.giveBack(dst, c.ID, taken, b.o.CallWindow)
}

// GoAway tells the backend that no further call comes.
func (b *Backend) GoAway(dst []byte) []byte {
	if b.leaving || b.phase == dead {
		return dst
	}
	b.leaving = true
	return appendGoAway(dst, 0, NoError)
}

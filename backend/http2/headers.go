package http2

import (
	"encoding/binary"

	"golang.org/x/net/http2/hpack"

	"reprise/backend/http1"
)

// headerBlock is the header block being decoded: a HEADERS frame and the CONTINUATION frames that
// extend it (RFC 9113, Section 4.3). Every block is decoded to its end, even a useless one, because
// it changes the table to which the next one refers.
type headerBlock struct {
	decoder *hpack.Decoder
	limits  *http1.Limits
	id      uint32
	end     bool    // of the message
	stream  *Stream // whose trailers these are, nil for a request
	fault   *fault  // the only effect of the block
	ignore  bool    // the block has no effect
	parts   int     // CONTINUATION frames
	len     int     // encoded
	fields  int
	listLen int // decoded, as RFC 9113, Section 6.5.2, counts
	head    head
}

// maxParts bounds the CONTINUATION frames of a block (CVE-2024-27316 and its kin, CVE-2023-45288 in
// Go). A frame holds 16 KiB, so clients need no more.
const maxParts = 16

// piece is the amount of a block decoded between two checks of the result: one byte may stand for a
// field of 4 KiB, and three for an empty field.
const piece = 1 << 10

func (b *headerBlock) start(l *http1.Limits) {
	b.limits = l
	b.decoder = hpack.NewDecoder(hpackTableLen, b.onField)
	// Whatever fits in the block is decoded, so that a request that is too long gets an answer.
	b.decoder.SetMaxStringLength(b.maxLen())
}

// maxLen bounds the encoded block and, with a factor, its decoded size: a client that exceeds the
// limit a little gets an answer (431), one that goes on is disconnected.
func (b *headerBlock) maxLen() int { return 2*b.limits.HeadLen + piece }

// begin starts the block of a frame and returns its first part.
func (b *headerBlock) begin(h *frameHeader, p []byte) ([]byte, *fault) {
	p, f := h.unpad(p)
	if f != nil {
		return nil, f
	}
	b.id, b.end, b.stream, b.fault, b.ignore = h.id, h.has(flagEndStream), nil, nil, false
	b.parts, b.len, b.fields, b.listLen = 0, 0, 0, 0
	if h.has(flagPriority) {
		if len(p) < 5 {
			return nil, errFrameSize
		}
		if binary.BigEndian.Uint32(p)&maxStreamID == h.id {
			b.fault = errSelfDependency
		}
		p = p[5:]
	}
	return p, nil
}

// decode decodes a part of the block; last says that no other follows.
func (b *headerBlock) decode(p []byte, last bool) *fault {
	if b.len += len(p); b.len > b.maxLen() {
		return errBlockLen
	}
	for len(p) > 0 {
		n := min(len(p), piece)
		if _, err := b.decoder.Write(p[:n]); err != nil {
			return errHPACK
		}
		if b.listLen > 4*b.maxLen() || b.fields > 4*b.limits.FieldLen+piece {
			return errBlockLen
		}
		p = p[n:]
	}
	if !last {
		b.head.keep()
		return nil
	}
	if b.decoder.Close() != nil {
		return errHPACK
	}
	return nil
}

// onHeaders handles the beginning of a header block.
func (c *Conn) onHeaders(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	b := &c.in
	p, f := b.begin(h, p)
	if f != nil {
		return dst, Event{}, f
	}
	s, st := c.find(h.id)
	switch v := verdicts[st][frameHeaders]; {
	case v.fault != nil && !v.fault.stream:
		return dst, Event{}, v.fault
	case v.fault != nil:
		b.fault = v.fault
	case v.skip:
		b.ignore = true
		if f := c.pay(1); f != nil {
			return dst, Event{}, f
		}
	case st == idle:
		if h.id%2 == 0 {
			return dst, Event{}, errStreamID
		}
		c.last = h.id
		if len(c.streams) >= c.o.MaxStreams {
			dst = c.makeRoom(dst)
		}
		switch {
		case b.fault != nil:
		case c.goingAway == final:
			b.fault = errGoingAway
		case len(c.streams) >= c.o.MaxStreams:
			b.fault = errTooMany
		}
	default:
		if b.stream = s; !b.end {
			b.fault = errTrailers
		}
	}
	form := requestHead
	if b.stream != nil {
		form = trailerSection
	}
	b.head.reset(c.scratch, form)
	return c.takeFragment(dst, h, p)
}

func (c *Conn) onContinuation(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	if f := c.countPart(); f != nil {
		return dst, Event{}, f
	}
	return c.takeFragment(dst, h, p)
}

// takeFragment acts on a header block when the last part of it has come.
func (c *Conn) takeFragment(dst []byte, h *frameHeader, p []byte) ([]byte, Event, *fault) {
	if complete, f := c.fragment(h, p); f != nil || !complete {
		return dst, Event{}, f
	}
	return c.onBlock(dst)
}

// onField handles one field of the block.
func (b *headerBlock) onField(f hpack.HeaderField) {
	b.fields++
	b.listLen += int(f.Size())
	switch {
	case b.fault != nil || b.ignore || b.head.malformed:
	case b.listLen > b.limits.HeadLen:
		b.head.tooLong = true
	case b.fields > b.limits.FieldLen+pseudoFieldLen:
		b.head.tooMany = true
	default:
		b.head.add(f.Name, f.Value)
	}
}

// The errors of well-formed requests that are refused with a response.
var (
	errHeadLen  = &http1.Error{Status: 431, Reason: "long head"}
	errFieldLen = &http1.Error{Status: 431, Reason: "too many fields"}
	errProtocol = &http1.Error{Status: 501, Reason: "unknown protocol in CONNECT"}
)

// onBlock handles a complete block.
func (c *Conn) onBlock(dst []byte) ([]byte, Event, *fault) {
	b := &c.in
	c.at = b.id
	switch {
	case b.ignore || b.fault != nil:
		b.head.drop()
		return dst, Event{}, b.fault
	case b.stream != nil:
		return c.onTrailers(dst, b.stream)
	}
	text := b.head.complete(b.end)
	if text == nil && !b.head.tooLong {
		return dst, Event{}, errMalformed
	}
	s := c.openStream(b.id)
	s.length, s.isTunnel = b.head.length, b.head.tunnel
	e := Event{Kind: Request, Stream: s, End: b.end, Head: text}
	switch {
	case b.head.tooLong:
		e.Refusal = errHeadLen
	case b.head.tooMany:
		e.Refusal = errFieldLen
	case b.head.unknown:
		e.Refusal = errProtocol
	}
	b.head.drop()
	if b.end {
		dst = c.inputDone(dst, s)
	}
	return dst, e, nil
}

// onTrailers handles the fields behind a body. Those forbidden there are left out.
func (c *Conn) onTrailers(dst []byte, s *Stream) ([]byte, Event, *fault) {
	h := &c.in.head
	if h.malformed || h.tooLong || h.tooMany {
		return dst, Event{}, errTrailers
	}
	if s.length > 0 {
		return dst, Event{}, errLength
	}
	e := Event{Kind: Trailers, Stream: s, End: true}
	if len(h.text) > 0 {
		var ok bool
		if e.Trailer, ok = checkTrailer(h.text, c.o.Limits); !ok {
			return dst, Event{}, errTrailers
		}
	}
	h.drop()
	if s.left() {
		e = Event{}
	}
	return c.inputDone(dst, s), e, nil
}

// checkTrailer has package http1 check field lines like those after a chunked body.
func checkTrailer(lines []byte, l *http1.Limits) ([]byte, bool) {
	var body http1.Body
	body.Start(http1.Chunked, 0, l)
	for _, p := range [][]byte{[]byte("0\r\n"), lines, []byte("\r\n")} {
		if _, _, err := body.Next(p); err != nil {
			return nil, false
		}
	}
	return body.Trailer(), body.Done()
}

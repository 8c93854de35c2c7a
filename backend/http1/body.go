package http1

import "math"

// A Body finds the payload of one message in what follows its head, however that is cut into
// pieces. It holds no payload, and no memory except for a trailer section, which assigning Body{}
// releases. The zero value is complete.
type Body struct {
	state  bodyState
	digits uint8  // of the chunk size so far
	extLen uint16 // of the chunk extension so far, and of blanks before it
	// response says that a backend sends the body, which may pad its chunk sizes.
	response bool

	lineStart  uint32 // in trailer, of the incomplete line
	trailerLen uint32 // bytes of the section so far, with those left out
	maxTrailer uint32

	left    int64  // of the chunk, or of a body by length
	err     *Error // the first error, which is final
	trailer []byte
	rules   *Rules
}

// bodyState says what is expected next.
type bodyState uint8

const (
	complete bodyState = iota
	bytesByLength
	bytesUntilClose
	chunkSize
	chunkPadding
	chunkSizeLF
	chunkBytes
	chunkCR
	chunkLF
	trailerLine
	lastLF

	// In a chunk extension.
	extension       // of a backend: not looked at
	extensionStart  // the first byte of its name
	extensionName   // more of it
	extensionEqual  // the first byte of its value
	extensionToken  // more of it
	extensionString // more of a quoted one
	extensionPair   // the byte behind a backslash in it
	extensionEnd    // what follows it
)

const (
	maxSizeLen = 16
	// maxExtensionLen bounds the bytes to skip for one chunk (CVE-2023-39326). No chunk extension
	// is in use.
	maxExtensionLen = 256
)

// StartResponse expects the body of a response with such a head. A backend's chunk sizes may have
// blanks behind them, as some pad them, and its chunk extensions are not checked.
func (b *Body) StartResponse(f Framing, length int64, l *Limits) {
	b.Start(f, length, l)
	b.response = true
}

// Without also drops the fields that rules drop from the trailer section. It follows Start or
// StartResponse.
func (b *Body) Without(rules *Rules) { b.rules = rules }

// Start expects the body of a request with such a head.
func (b *Body) Start(f Framing, length int64, l *Limits) {
	*b = Body{maxTrailer: uint32(min(l.TrailerLen, math.MaxInt32))}
	switch {
	case f == Chunked:
		b.state = chunkSize
	case f == UntilClose:
		b.state = bytesUntilClose
	case f == ByLength && length > 0:
		b.state, b.left = bytesByLength, length
	}
}

// Next consumes n bytes of p. Of these, data, a part of p, are payload; for chunked bodies data may
// be nil although n is not zero. Repeated calls consume everything up to the end of the body. An
// error is final.
func (b *Body) Next(p []byte) (data []byte, n int, err error) {
	switch {
	case b.err != nil:
		return nil, 0, b.err
	case b.state == bytesByLength:
		n = b.take(len(p))
		return p[:n], n, nil
	case b.state == bytesUntilClose:
		return p, len(p), nil
	}
	for n < len(p) && b.state != complete {
		if b.state == chunkBytes {
			if data != nil {
				break
			}
			size := b.take(len(p) - n)
			data, n = p[n:n+size], n+size
			continue
		}
		if b.err = b.frame(p[n]); b.err != nil {
			return nil, n, b.err
		}
		n++
	}
	return data, n, nil
}

// take deducts up to n bytes of payload.
func (b *Body) take(n int) int {
	n = int(min(int64(n), b.left))
	if b.left -= int64(n); b.left > 0 {
		return n
	}
	if b.state == chunkBytes {
		b.state = chunkCR
	} else {
		b.state = complete
	}
	return n
}

// frame consumes one byte between chunks. A bare LF or CR is as much an error here as in a head: a
// recipient that skips it sees other chunks.
func (b *Body) frame(c byte) *Error {
	switch b.state {
	case chunkSize:
		return b.sizeByte(c)
	case chunkPadding:
		return b.paddingByte(c)
	case chunkSizeLF:
		return b.expectLF(c, errChunkSize, b.afterSize())
	case chunkCR:
		if c != '\r' {
			return errChunkEnd
		}
		b.state = chunkLF
	case chunkLF:
		b.digits, b.extLen = 0, 0
		return b.expectLF(c, errChunkEnd, chunkSize)
	case trailerLine:
		return b.trailerByte(c)
	case lastLF:
		return b.expectLF(c, errTrailer, complete)
	default:
		return b.extensionByte(c)
	}
	return nil
}

func (b *Body) sizeByte(c byte) *Error {
	digit := hexDigit(c)
	switch {
	case digit >= 0:
		if b.digits == maxSizeLen || b.left > math.MaxInt64>>4 {
			return errChunkSize
		}
		b.digits++
		b.left = b.left<<4 | int64(digit)
	case b.digits == 0:
		return errChunkSize
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.beginExtension()
	case b.response && (c == ' ' || c == '\t'):
		b.state, b.extLen = chunkPadding, 1
	default:
		return errChunkSize
	}
	return nil
}

func (b *Body) paddingByte(c byte) *Error {
	switch {
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.beginExtension()
	case c == ' ' || c == '\t':
		if b.extLen++; b.extLen > maxExtensionLen {
			return errChunkSize
		}
	default:
		return errChunkSize
	}
	return nil
}

func (b *Body) expectLF(c byte, err *Error, next bodyState) *Error {
	if c != '\n' {
		return err
	}
	b.state = next
	return nil
}

func (b *Body) afterSize() bodyState {
	if b.left == 0 {
		return trailerLine
	}
	return chunkBytes
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Done reports whether the body is complete. A body that lasts until the connection closes never
// is.
func (b *Body) Done() bool { return b.state == complete }

// End returns the meaning of the end of the sender's stream: nil if it completes the body.
func (b *Body) End() error {
	switch {
	case b.err != nil:
		return b.err
	case b.state == complete, b.state == bytesUntilClose:
		return nil
	}
	return errTruncated
}

// Trailer returns the field lines of the trailer section, each with its CRLF, nil if there are
// none. Fields forbidden in a trailer are left out.
func (b *Body) Trailer() []byte {
	if b.state != complete || len(b.trailer) == 0 {
		return nil
	}
	return b.trailer
}

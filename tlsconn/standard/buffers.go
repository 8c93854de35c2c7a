package standard

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"reflect"
	"unsafe"

	"reprise/tlsconn"
)

// crypto/tls keeps buffers for the life of a connection: rawInput, where
// ciphertext is collected and decrypted in place (20 KiB and more after a full
// record), input, the plaintext in there that has not been read, and hand, for
// handshake messages. An idle flow should hold none of them, so once the
// handshake is over a server lends a connection an array for rawInput while it
// has input, and takes it back when that is used up.
//
// Records go into rawInput directly, and crypto/tls is called when one is
// complete. Fetched through its net.Conn each would cost two allocations, and
// the second fetch, which only finds that there is no more, a tenth of the time
// of a small request.
//
// None of this may happen during the handshake: a parked one stands inside
// rawInput.ReadFrom, which goes on with the array it began with.
const (
	// spareLen holds the largest record seen in practice (5 bytes of header,
	// 16,384 of plaintext, 17 of type and tag in TLS 1.3) with the 512 bytes
	// of room that crypto/tls asks for when it fetches.
	spareLen = 18 << 10
	// maxSpareLen is the largest array worth keeping; rawInput grows beyond
	// spareLen for the records of TLS 1.2 that hold up to 2 KiB of padding.
	maxSpareLen = 2 * spareLen
	// maxSpares bounds how many arrays a server keeps. One would do if
	// connections did not keep theirs while a record is incomplete.
	maxSpares = 16
	// maxRemainder is how much of an incomplete record moves to an array of
	// its own length, so that a client that sends one byte of a record and no
	// more does not hold 18 KiB.
	maxRemainder = 1 << 10

	recordHeaderLen = 5
	// maxRecordLen is the longest record of TLS 1.3 (RFC 8446, Section 5.2).
	// A header that announces more is shown to crypto/tls at once, which
	// refuses it or, in TLS 1.2, fetches it.
	maxRecordLen = 1<<14 + 256
)

// offsets is where tls.Conn has these buffers. If a version of crypto/tls does
// not have them, known is false, all of this is off and crypto/tls fetches
// what it needs; buffers_test.go notices.
var offsets = findOffsets(reflect.TypeFor[tls.Conn]())

type bufferOffsets struct {
	rawInput, input, hand uintptr
	known                 bool
}

func findOffsets(conn reflect.Type) (o bufferOffsets) {
	o.known = true
	find := func(name string, want reflect.Type) uintptr {
		f, ok := conn.FieldByName(name)
		// One index: a field of the structure itself, not a promoted one.
		o.known = o.known && ok && len(f.Index) == 1 && f.Type == want
		return f.Offset
	}
	o.rawInput = find("rawInput", reflect.TypeFor[bytes.Buffer]())
	o.input = find("input", reflect.TypeFor[bytes.Reader]())
	o.hand = find("hand", reflect.TypeFor[bytes.Buffer]())
	return o
}

// rawInput returns c.tls.rawInput, input and hand its siblings. They may only
// be touched while no call into crypto/tls is under way or parked. The conversions are safe because
// findOffsets has checked that a value of that type lies at that offset of the
// structure c.tls points to, and because each sum is made from that pointer in
// one expression, so that the garbage collector sees it stay in the object.
func (c *Conn) rawInput() *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c.tls), offsets.rawInput))
}

func (c *Conn) input() *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c.tls), offsets.input))
}

func (c *Conn) hand() *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c.tls), offsets.hand))
}

// stage moves the next record to where crypto/tls decrypts it, and reports
// whether crypto/tls has something to do: a record, or plaintext left to read.
func (c *Conn) stage() bool {
	if !offsets.known || c.input().Len() > 0 {
		return true
	}
	raw := c.rawInput()
	for {
		missing := recordHeaderLen - raw.Len()
		if missing <= 0 {
			bodyLen := int(binary.BigEndian.Uint16(raw.Bytes()[3:]))
			missing += bodyLen
			if missing <= 0 || bodyLen > maxRecordLen {
				return true
			}
		}
		if len(c.in) == 0 {
			return false
		}
		switch {
		case raw.Cap() == 0:
			*raw = *bytes.NewBuffer(c.server.takeSpare())
		case raw.Len() == 0:
			raw.Reset() // start over in front, else the next record makes it grow
		}
		n := min(missing, len(c.in))
		raw.Write(c.in[:n])
		c.in = c.in[n:]
	}
}

// releaseBuffers gives back what c need not hold, when crypto/tls has nothing
// to do or has failed: only then is it done with the plaintext in rawInput.
func (c *Conn) releaseBuffers() {
	if len(c.in) == 0 {
		c.in = nil
	}
	if !offsets.known {
		return
	}
	raw, hand := c.rawInput(), c.hand()
	if c.state >= tlsconn.PeerClosed { // what is left will never be read
		raw.Reset()
		hand.Reset()
	}
	c.input().Reset(nil) // empty, but still pointing into rawInput's array
	if hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	switch {
	case raw.Cap() >= spareLen && raw.Len() <= maxRemainder:
		remainder := append([]byte(nil), raw.Bytes()...)
		raw.Reset()
		c.server.returnSpare(raw.AvailableBuffer())
		*raw = *bytes.NewBuffer(remainder)
	case raw.Len() == 0:
		*raw = bytes.Buffer{}
	}
}

func (s *Server) takeSpare() []byte {
	if n := len(s.spares); n > 0 {
		spare := s.spares[n-1]
		s.spares = s.spares[:n-1]
		return spare
	}
	return make([]byte, 0, spareLen)
}

func (s *Server) returnSpare(spare []byte) {
	if cap(spare) <= maxSpareLen && len(s.spares) < maxSpares {
		s.spares = append(s.spares, spare)
	}
}

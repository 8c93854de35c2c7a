// Package peek finds the server name in a TLS client's first bytes, for a relay that passes them
// on. Nothing is decrypted, answered or changed.
//
// A ClientHello may come in records of any length, and those in pieces of any length: a [Reader]
// takes them as they come, keeps none of them and reads no byte twice. The relay keeps them anyway,
// and returns them once the hello is complete.
package peek

import "reprise/tlsconn/wire"

const (
	// maxHello bounds the message. Those of browsers have 2 KB; a session in a ticket of several KB
	// still fits.
	maxHello     = 16 << 10
	recordHeader = 5
	maxRecord    = 1 << 14 // RFC 8446, Section 5.1
	handshake    = 22
)

// A Reader looks at the beginning of one connection. The zero value is ready.
type Reader struct {
	header [recordHeader]byte   // of the current record
	headed int                  // bytes of it that have come
	left   int                  // bytes of the record that have not
	begin  [wire.HeaderLen]byte // of the message
	begun  int                  // bytes of that which have come
	want   int                  // bytes of the message that have not
	done   bool
	hello  bool // it is a hello, and complete
}

// Feed takes the next bytes, which it does not keep, and reports whether it knows enough: the hello
// is complete, or too long, or this is not TLS.
func (r *Reader) Feed(p []byte) (done bool) {
	for len(p) > 0 && !r.done {
		var n int
		switch {
		case r.left == 0:
			n = r.takeHeader(p)
		case r.begun < len(r.begin):
			n = r.takeBegin(p)
		default:
			n = min(len(p), r.left, r.want)
			r.want -= n
			r.left -= n
		}
		if p = p[n:]; r.begun == len(r.begin) && r.want == 0 {
			r.done, r.hello = true, !r.done
		}
	}
	return r.done
}

// takeHeader takes bytes of a record's header. Other protocols are detected at their first
// impossible byte.
func (r *Reader) takeHeader(p []byte) int {
	n := copy(r.header[r.headed:], p)
	r.headed += n
	length := int(r.header[3])<<8 | int(r.header[4])
	switch {
	case r.header[0] != handshake, r.headed > 1 && r.header[1] != 3:
		r.done = true
	case r.headed == recordHeader && (length == 0 || length > maxRecord): // RFC 8446, Section 5.1
		r.done = true
	case r.headed == recordHeader:
		r.left, r.headed = length, 0
	}
	return n
}

// takeBegin takes bytes of the message's header.
func (r *Reader) takeBegin(p []byte) int {
	n := copy(r.begin[r.begun:], p[:min(len(p), r.left)])
	r.begun += n
	r.left -= n
	if typ, length, ok := wire.Header(r.begin[:r.begun]); ok {
		r.want = length - wire.HeaderLen
		r.done = typ != wire.TypeClientHello || length > maxHello
	}
	return n
}

// ServerName returns the name as the client sent it, empty if there is none. all is everything fed,
// from the first byte.
func (r *Reader) ServerName(all []byte) string {
	if !r.hello {
		return ""
	}
	var hello wire.ClientHello
	if hello.Parse(r.message(all)) != wire.None || !hello.HasServerName {
		return ""
	}
	return string(hello.ServerName)
}

// message returns the hello, in one piece.
func (r *Reader) message(all []byte) []byte {
	_, length, _ := wire.Header(r.begin[:])
	var message []byte
	for len(message) < length && len(all) >= recordHeader {
		n := int(all[3])<<8 | int(all[4])
		body := all[recordHeader:]
		body = body[:min(n, len(body), length-len(message))]
		if len(body) == length {
			return body // the usual case
		}
		message = append(message, body...)
		all = all[min(len(all), recordHeader+n):]
	}
	return message
}

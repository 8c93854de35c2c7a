// Package peek finds the server name in what a TLS client sends first, for somebody who only
// passes it on. Nothing is decrypted, answered or changed.
//
// A ClientHello may come in records of any length, and those in pieces of any length: a
// [Reader] takes them as they come. It holds what a message needs and no more than
// maxHello bytes, and never reads a byte twice.
package peek

import (
	"reprise/tlsconn/wire"
)

const (
	// maxHello bounds the message. Those of browsers have 2 KB; a session of 16 KB in
	// the largest ticket would still fit.
	maxHello     = 24 << 10
	recordHeader = 5
	maxRecord    = 1 << 14 // RFC 8446, Section 5.1
	handshake    = 22
)

// A Reader looks at the beginning of one connection. The zero value is ready.
type Reader struct {
	header  [recordHeader]byte
	headed  int    // bytes of header that have come
	left    int    // bytes of the record that have not
	message []byte // of the handshake, as far as it has come
	name    string
	done    bool
}

// Feed takes the next bytes, which it does not keep, and reports whether it knows enough: the
// name, or that there is none, or that this is no TLS.
func (r *Reader) Feed(p []byte) (done bool) {
	for len(p) > 0 && !r.done {
		if r.left == 0 {
			p = r.takeHeader(p)
		} else {
			p = r.takeBody(p)
		}
	}
	return r.done
}

// ServerName is the name as the client sent it; empty if there is none.
func (r *Reader) ServerName() string { return r.name }

// takeHeader takes bytes of a record's header and returns the rest. What is no TLS is
// noticed at its first byte that cannot be.
func (r *Reader) takeHeader(p []byte) []byte {
	n := copy(r.header[r.headed:], p)
	r.headed += n
	length := int(r.header[3])<<8 | int(r.header[4])
	switch {
	case r.header[0] != handshake, r.headed > 1 && r.header[1] != 3:
		r.end()
	case r.headed == recordHeader && (length == 0 || length > maxRecord): // RFC 8446, Section 5.1
		r.end()
	case r.headed == recordHeader:
		r.left, r.headed = length, 0
	}
	return p[n:]
}

// takeBody takes bytes of a message and returns the rest.
func (r *Reader) takeBody(p []byte) []byte {
	want := wire.HeaderLen
	if len(r.message) >= wire.HeaderLen {
		_, want, _ = wire.Header(r.message)
	}
	n := min(len(p), r.left, want-len(r.message))
	r.message = append(r.message, p[:n]...)
	r.left -= n
	if len(r.message) < wire.HeaderLen {
		return p[n:]
	}
	switch typ, length, _ := wire.Header(r.message); {
	case typ != wire.TypeClientHello, length > maxHello:
		r.end()
	case len(r.message) == length:
		var hello wire.ClientHello
		if hello.Parse(r.message) == wire.None && hello.HasServerName {
			r.name = string(hello.ServerName)
		}
		r.end()
	}
	return p[n:]
}

func (r *Reader) end() { r.done, r.message = true, nil }

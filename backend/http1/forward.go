package http1

import (
	"net/netip"
	"strconv"
)

// Forward is what a request to an HTTP backend is told about its origin.
type Forward struct {
	Client     netip.AddrPort // the zero value: unknown, or a unix socket
	Secure     bool           // the client uses TLS
	ListenPort int            // where the client connected to; 0: unknown
	// Trusted says that the client is a proxy whose statements about its own client are believed:
	// ours are added to them. Else they are replaced, and any such field ([Field.Vouched]) that has
	// no replacement is dropped.
	Trusted   bool
	KeepAlive bool // the backend's connection is to stay open
	// HTTP2 says that the backend speaks HTTP/2, whose connection turns this head into frames: of
	// the fields for the connection it gets only TE, and no upgrade.
	HTTP2 bool
	// Host stands in for the Host field that an HTTP/1.0 client may omit, since servers refuse an
	// empty one. It must be a valid host, or "".
	Host string

	Rules *Rules // further changes to its fields
	Facts *Facts // for their values
	Nth   uint32 // number of the request on its connection
}

// AppendRequest appends the head of r for the next server: with normal spacing, the target in
// origin form, one Host, one framing field, no fields for this hop, the client's address, and the
// fields that rules add.
func AppendRequest(dst []byte, r *Request, f *Forward) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = appendTarget(dst, r)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if r.Host != nil {
		dst = append(dst, r.Host...)
	} else {
		dst = append(dst, f.Host...)
	}
	dst = append(dst, "\r\n"...)
	for i := range r.Fields {
		if field := &r.Fields[i]; r.passes(field, f) && !f.Rules.Drops(field.Name) {
			dst = field.append(dst)
		}
	}
	if !f.HTTP2 || r.Framing != Chunked {
		dst = appendFraming(dst, r.Framing, r.Length)
	}
	dst = appendForwarded(dst, r, f)
	dst = f.Rules.append(dst, f.Facts, f.Nth)
	switch {
	case f.HTTP2 && r.takesTrailers():
		dst = append(dst, "TE: trailers\r\n"...)
	case f.HTTP2:
	case r.Upgrade != nil:
		dst = appendLine(dst, "Connection: Upgrade\r\nUpgrade: ", r.Upgrade)
	case !f.KeepAlive:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}

func appendTarget(dst []byte, r *Request) []byte {
	dst = append(dst, r.Path...)
	if r.Query != nil {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	return dst
}

// passes reports whether a field is passed on unchanged.
func (r *Request) passes(field *Field, f *Forward) bool {
	switch field.kind {
	case other, date:
		return !field.hop
	case expect:
		return r.Expect100
	case trailer:
		return r.Framing == Chunked
	case xForwardedProto, xForwardedHost, xForwardedPort, xForwardedOther, vouched:
		return f.Trusted
	}
	return false
}

// takesTrailers reports whether the client wants trailers.
func (r *Request) takesTrailers() bool {
	for i := range r.Fields {
		if r.Fields[i].kind != te {
			continue
		}
		for list := r.Fields[i].Value; len(list) > 0; {
			var element []byte
			if element, list = cutElement(list); equalFold(element, "trailers") {
				return true
			}
		}
	}
	return false
}

// append appends the field as a line with normal spacing.
func (f *Field) append(dst []byte) []byte {
	if f.plain {
		return append(dst, f.Name[:len(f.Name)+len(": ")+len(f.Value)+len("\r\n")]...)
	}
	dst = append(dst, f.Name...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value...)
	return append(dst, "\r\n"...)
}

func appendLine(dst []byte, start string, value []byte) []byte {
	dst = append(dst, start...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

func appendFraming(dst []byte, f Framing, length int64) []byte {
	switch f {
	case Chunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case ByLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		return append(dst, "\r\n"...)
	}
	return dst
}

// appendForwarded appends X-Forwarded-For, -Proto, -Host and -Port, and Forwarded (RFC 7239),
// except those that rules write or remove.
func appendForwarded(dst []byte, r *Request, f *Forward) []byte {
	var known [masked + 1]bool // which of these a trusted client has sent
	if f.Trusted {
		for i := range r.Fields {
			known[r.Fields[i].kind] = true
		}
	}
	address := f.Client.Addr().Unmap().WithZone("") // a zone has no meaning on another host
	proto := "http"
	if f.Secure {
		proto = "https"
	}
	if !f.Rules.writes(xForwardedFor) {
		dst = appendFor(dst, r, known[xForwardedFor], address)
	}
	if !known[xForwardedProto] && !f.Rules.writes(xForwardedProto) {
		dst = append(dst, "X-Forwarded-Proto: "...)
		dst = append(dst, proto...)
		dst = append(dst, "\r\n"...)
	}
	if !known[xForwardedHost] && len(r.Host) > 0 && !f.Rules.writes(xForwardedHost) {
		dst = appendLine(dst, "X-Forwarded-Host: ", r.Host)
	}
	if !known[xForwardedPort] && f.ListenPort > 0 && !f.Rules.writes(xForwardedPort) {
		dst = append(dst, "X-Forwarded-Port: "...)
		dst = strconv.AppendInt(dst, int64(f.ListenPort), 10)
		dst = append(dst, "\r\n"...)
	}
	if f.Rules.writes(forwarded) {
		return dst
	}
	dst = append(dst, "Forwarded: "...)
	if known[forwarded] {
		dst = appendValues(dst, r, forwarded)
	}
	dst = appendElement(dst, r, address)
	dst = append(dst, ";proto="...)
	dst = append(dst, proto...)
	return append(dst, "\r\n"...)
}

func appendFor(dst []byte, r *Request, known bool, address netip.Addr) []byte {
	if !known && !address.IsValid() {
		return dst
	}
	dst = append(dst, "X-Forwarded-For: "...)
	if known {
		dst = appendValues(dst, r, xForwardedFor)
	}
	if address.IsValid() {
		dst = address.AppendTo(dst)
	} else {
		dst = append(dst, "unknown"...)
	}
	return append(dst, "\r\n"...)
}

// appendValues appends the values of all fields of a kind, a comma after each.
func appendValues(dst []byte, r *Request, k kind) []byte {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.kind == k && len(f.Value) > 0 {
			dst = append(dst, f.Value...)
			dst = append(dst, ", "...)
		}
	}
	return dst
}

// appendElement appends the for and host pairs of a forwarded-element (RFC
// 7239, Section 4). Colons and brackets need quotes.
func appendElement(dst []byte, r *Request, address netip.Addr) []byte {
	switch {
	case !address.IsValid():
		dst = append(dst, "for=unknown"...)
	case address.Is4():
		dst = address.AppendTo(append(dst, "for="...))
	default:
		dst = address.AppendTo(append(dst, `for="[`...))
		dst = append(dst, `]"`...)
	}
	if len(r.Host) == 0 {
		return dst
	}
	dst = append(dst, ";host="...)
	if span(r.Host, 0, isToken) == len(r.Host) {
		return append(dst, r.Host...)
	}
	dst = append(dst, '"')
	dst = append(dst, r.Host...) // a valid host has no quote or backslash
	return append(dst, '"')
}

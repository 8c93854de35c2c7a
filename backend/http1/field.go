package http1

import "strings"

// A Field is one line of a head or trailer. Its slices point into what was
// parsed.
type Field struct {
	Name  []byte
	Value []byte // without the white space around it

	kind  kind
	hop   bool // named by a Connection field
	plain bool // colon, space, Value and CRLF follow Name in memory, and in its capacity
}

// Is reports whether the field has this name, in whatever case.
func (f *Field) Is(name string) bool {
	return len(f.Name) == len(name) && strings.EqualFold(string(f.Name), name)
}

// kind is which of the names that concern a gateway a field has, so that it is
// compared once.
type kind uint8

const (
	other kind = iota

	// Of the message as a whole.
	host
	contentLength
	expect
	xForwardedFor
	xForwardedProto
	xForwardedHost
	xForwardedPort
	xForwardedOther // with another suffix
	forwarded

	// For the next hop only (RFC 9110, Section 7.6.1).
	connection
	transferEncoding
	upgrade
	trailer
	te
	keepAlive
	proxyConnection
	proxyAuthenticate
	proxyAuthorization
	http2Settings

	// For nobody: Proxy, which CGI hands on as HTTP_PROXY (CVE-2016-5385), and
	// names that equal one above to who reads "_" as "-", as CGI does.
	masked
)

const firstHopByHop = connection

// HopByHop reports whether a field concerns this connection only, by its name
// or because a Connection field names it, and so must not be passed on.
func (f *Field) HopByHop() bool { return f.hop || f.kind >= firstHopByHop }

// nameable reports whether a Connection field may make f one for this hop.
// What says where a message ends and who sent it may not vanish at the sender's
// word (CVE-2022-31813).
func (f *Field) nameable() bool { return f.kind == other }

const xForwarded = "x-forwarded-"

// kindOf returns the kind of a valid name.
func kindOf(name []byte) kind {
	if len(name) > len(xForwarded) {
		switch match(name[:len(xForwarded)], xForwarded, xForwardedOther) {
		case xForwardedOther:
			return kindOfSuffix(name[len(xForwarded):])
		case masked:
			return masked
		}
	}
	switch len(name) { // no other name is known of any length
	case 2:
		return match(name, "te", te)
	case 4:
		return match(name, "host", host)
	case 5:
		return match(name, "proxy", masked)
	case 6:
		return match(name, "expect", expect)
	case 7:
		return match(name, "upgrade", upgrade) + match(name, "trailer", trailer)
	case 9:
		return match(name, "forwarded", forwarded)
	case 10:
		return match(name, "connection", connection) + match(name, "keep-alive", keepAlive)
	case 14:
		return match(name, "content-length", contentLength) + match(name, "http2-settings", http2Settings)
	case 16:
		return match(name, "proxy-connection", proxyConnection)
	case 17:
		return match(name, "transfer-encoding", transferEncoding)
	case 18:
		return match(name, "proxy-authenticate", proxyAuthenticate)
	case 19:
		return match(name, "proxy-authorization", proxyAuthorization)
	}
	return other
}

func kindOfSuffix(suffix []byte) kind {
	switch {
	case equalFold(suffix, "for"):
		return xForwardedFor
	case equalFold(suffix, "proto"):
		return xForwardedProto
	case equalFold(suffix, "host"):
		return xForwardedHost
	case equalFold(suffix, "port"):
		return xForwardedPort
	}
	return xForwardedOther
}

// match returns k if name is the known one, which is as long, masked if it is
// with "-" for "_", and else other, which is zero.
func match(name []byte, known string, k kind) kind {
	for i, b := range name {
		switch want := known[i]; {
		case b|0x20 == want: // as in equalFold
		case b == '_' && want == '-':
			k = masked
		default:
			return other
		}
	}
	return k
}

// parse reads the one line that p starts with and returns its length.
func (f *Field) parse(p []byte) (n int, err error) {
	colon := span(p, 0, isToken)
	if colon == 0 || colon == len(p) || p[colon] != ':' {
		return 0, badName(p, colon)
	}
	start := colon + 1
	for start < len(p) && (p[start] == ' ' || p[start] == '\t') {
		start++
	}
	end := valueEnd(p, start)
	if end+2 > len(p) || p[end] != '\r' || p[end+1] != '\n' {
		return 0, badValue(p, end)
	}
	f.Name, f.Value = p[:colon], p[start:end]
	f.plain = start == colon+2 && p[colon+1] == ' '
	if last := p[end-1]; start < end && (last == ' ' || last == '\t') {
		f.Value, f.plain = trim(f.Value), false
	}
	f.kind, f.hop = kindOf(f.Name), false
	return end + 2, nil
}

func badName(p []byte, i int) error {
	switch {
	case i == 0 && len(p) > 0 && (p[0] == ' ' || p[0] == '\t'):
		return errFolding
	case i < len(p) && (p[i] == '\r' || p[i] == '\n'):
		return errLineEnd
	}
	return errFieldName
}

func badValue(p []byte, i int) error {
	if i >= len(p) || p[i] == '\r' || p[i] == '\n' {
		return errLineEnd
	}
	return errFieldValue
}

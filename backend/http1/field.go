package http1

import "strings"

// A Field is one line of a head or trailer. Its slices point into the parsed bytes.
type Field struct {
	Name  []byte
	Value []byte // without the white space around it

	kind  kind
	hop   bool // named by a Connection field
	plain bool // colon, space, Value and CRLF follow Name in memory, and in its capacity
}

// Is reports whether the field has this name, ignoring case.
func (f *Field) Is(name string) bool {
	return len(f.Name) == len(name) && strings.EqualFold(string(f.Name), name)
}

// kind classifies the names that matter to a gateway, so that each is compared once.
type kind uint8

const (
	other kind = iota

	// For the message as a whole.
	host
	date
	contentLength
	expect
	xForwardedFor
	xForwardedProto
	xForwardedHost
	xForwardedPort
	xForwardedOther // with another suffix
	forwarded
	vouched // other names for statements about the client

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

	// Never passed on: Proxy, which CGI passes on as HTTP_PROXY (CVE-2016-5385), and names that
	// equal one above to a recipient that reads another byte as "-": CGI does so with "_", and its
	// descendants with every byte other than a letter or digit.
	masked
)

const firstHopByHop = connection

// HopByHop reports whether a field concerns this connection only, by its name or because a
// Connection field names it, and so must not be passed on.
func (f *Field) HopByHop() bool { return f.hop || f.kind >= firstHopByHop }

// Vouched reports whether a field is a proxy's statement about the client, so that only those of a
// trusted client may be passed on.
func (f *Field) Vouched() bool { return xForwardedFor <= f.kind && f.kind <= vouched }

const xForwarded = "x-forwarded-"

// vouchedPrefixes begin names of statements about the client's TLS.
var vouchedPrefixes = [...]string{"x-ssl-", "ssl-client-", "x-client-cert"}

// kindOf returns the kind of a valid name.
func kindOf(name []byte) kind {
	switch name[0] {
	case 'x', 'X', 's', 'S':
		if k := kindOfPrefix(name); k != other {
			return k
		}
	}
	switch len(name) { // other lengths have no known name
	case 2:
		return is(name, "te", te)
	case 4:
		return is(name, "host", host) + is(name, "date", date)
	case 5:
		return is(name, "proxy", masked)
	case 6:
		return is(name, "expect", expect)
	case 7:
		return is(name, "upgrade", upgrade) + is(name, "trailer", trailer)
	case 8:
		return is(name, "x-scheme", vouched)
	case 9:
		return is(name, "forwarded", forwarded) + is(name, "x-real-ip", vouched) +
			is(name, "client-ip", vouched)
	case 10:
		return is(name, "connection", connection) + is(name, "keep-alive", keepAlive)
	case 11:
		// RFC 9440, Section 2.4
		return is(name, "x-client-ip", vouched) + is(name, "x-forwarded", vouched) +
			is(name, "client-cert", vouched)
	case 12:
		return is(name, "x-url-scheme", vouched)
	case 14:
		return is(name, "content-length", contentLength) +
			is(name, "http2-settings", http2Settings) + is(name, "true-client-ip", vouched)
	case 15:
		return is(name, "front-end-https", vouched)
	case 16:
		return is(name, "proxy-connection", proxyConnection)
	case 17:
		return is(name, "transfer-encoding", transferEncoding) +
			is(name, "client-cert-chain", vouched)
	case 18:
		return is(name, "proxy-authenticate", proxyAuthenticate)
	case 19:
		return is(name, "proxy-authorization", proxyAuthorization) +
			is(name, "x-cluster-client-ip", vouched)
	}
	return other
}

func kindOfPrefix(name []byte) kind {
	if len(name) > len(xForwarded) {
		switch is(name[:len(xForwarded)], xForwarded, xForwardedOther) {
		case xForwardedOther:
			return kindOfSuffix(name[len(xForwarded):])
		case masked:
			return masked
		}
	}
	for _, prefix := range vouchedPrefixes {
		if len(name) >= len(prefix) {
			if k := is(name[:len(prefix)], prefix, vouched); k != other {
				return unlessMasked(name[len(prefix):], k)
			}
		}
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
	return unlessMasked(suffix, xForwardedOther)
}

// unlessMasked returns k for a name whose prefix matched, or masked if some recipients read a byte
// of rest as "-".
func unlessMasked(rest []byte, k kind) kind {
	for _, b := range rest {
		if b != '-' && folded[b] == '-' {
			return masked
		}
	}
	return k
}

// is is match for names that mostly differ in their first byte.
func is(name []byte, known string, k kind) kind {
	if name[0]|0x20 != known[0] {
		return other
	}
	return match(name, known, k)
}

// match returns k if name equals the known one of the same length, masked if it does once bytes
// other than letters and digits are read as "-", and else other, which is zero.
func match(name []byte, known string, k kind) kind {
	for i, b := range name {
		switch want := known[i]; {
		case b|0x20 == want: // as in equalFold
		case want == '-' && folded[b] == '-':
			k = masked
		default:
			return other
		}
	}
	return k
}

// folded maps the bytes of names as CGI and less careful recipients compare them: letters to lower
// case, and all but letters and digits to "-".
var folded = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case 'A' <= c && c <= 'Z':
			t[i] = c | 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			t[i] = c
		default:
			t[i] = '-'
		}
	}
	return t
}()

// parse reads the line at the start of p and returns its length.
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

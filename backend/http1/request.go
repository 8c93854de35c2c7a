package http1

import "bytes"

// A Request is the head of a request. Its slices point into the parsed bytes and are valid as long
// as those are. It is reused from request to request, with its array of fields.
type Request struct {
	Method []byte
	Target []byte // as sent
	Path   []byte // of the target, with every percent sign as sent; "*" of OPTIONS
	Query  []byte // what follows the first "?"; nil if there is none
	Host   []byte // with the port, if any; nil only if an HTTP/1.0 client names no host
	Minor  int    // of the version: 0 or 1
	Fields []Field

	Framing Framing // NoBody, ByLength or Chunked
	Length  int64   // of a body ByLength

	KeepAlive bool // the client accepts another response on this connection
	// Expect100 says that the client waits for a 100 (Continue). Code that sends one clears it, so
	// that the expectation is not passed on.
	Expect100 bool
	Upgrade   []byte // the protocols offered instead; nil if none
}

// maxMethodLen exceeds every registered method.
const maxMethodLen = 32

// Parse reads a head whose length [HeadLen] has returned. An error is an *[Error]; the connection
// then has no further requests, and of r only Method, Target, Minor and Host have a meaning, for
// the log of a refused request. Each is what was read of it, nil if nothing; Target is as it came,
// up to the limit, including the bytes that made it malformed. For this purpose a head without an
// end may be parsed too, once something else has refused it.
func (r *Request) Parse(head []byte, l *Limits) error {
	*r = Request{Fields: r.Fields[:0]}
	var s section
	err := r.parse(head, &s, l)
	if err != nil {
		*r = Request{
			Method: r.Method, Target: r.Target, Minor: r.Minor, Host: s.onlyHost(),
			Fields: r.Fields[:0],
		}
	}
	return err
}

func (r *Request) parse(head []byte, s *section, l *Limits) error {
	lines, err := r.parseLine(skipEmptyLine(head), l)
	if err != nil {
		return err
	}
	if len(head) > l.HeadLen {
		return errHeadLen
	}
	if r.Fields, err = s.parse(lines, r.Fields, l); err != nil {
		return err
	}
	if r.Framing, r.Length, err = s.framing(r.Minor); err != nil {
		return err
	}
	if err := r.parseTarget(s); err != nil {
		return err
	}
	return r.parseIntent(s)
}

// parseLine reads the request line and returns what follows it.
func (r *Request) parseLine(p []byte, l *Limits) (rest []byte, err error) {
	n := span(p, 0, isToken)
	switch {
	case n == 0 && len(p) > 0 && (p[0] == '\r' || p[0] == '\n'):
		return nil, errEmptyLine
	case n > maxMethodLen:
		return nil, errMethodLen
	case n == 0 || n == len(p) || p[n] != ' ':
		return nil, errMethod
	}
	r.Method, p = p[:n], p[n+1:]

	n = span(p, 0, isTarget)
	r.Target = p[:min(targetEnd(p, n), l.TargetLen)]
	switch {
	case n > l.TargetLen:
		return nil, errTargetLen
	case n == 0 || n == len(p) || p[n] > ' ':
		return nil, errTarget
	case p[n] != ' ':
		return nil, errRequestLine // HTTP/0.9 ends here
	}
	p = p[n+1:]

	if len(p) < len("HTTP/1.1\r\n") {
		return nil, errVersion
	}
	if r.Minor, err = parseVersion(p[:8]); err != nil {
		return nil, err
	}
	if p[8] != '\r' || p[9] != '\n' {
		return nil, errLineEnd
	}
	return p[10:], nil
}

// targetEnd is the end of the target, malformed or not; its first n bytes are valid.
func targetEnd(p []byte, n int) int {
	for n < len(p) && p[n] != ' ' && p[n] != '\r' && p[n] != '\n' {
		n++
	}
	return n
}

// parseTarget reads the target in each of its forms (RFC 9112, Section 3.2)
// together with the Host field.
func (r *Request) parseTarget(s *section) error {
	switch {
	case s.hosts > 1:
		return errManyHosts
	case s.hosts == 0 && r.Minor > 0:
		return errNoHost
	case s.hosts == 1 && hostNameLen(s.host) == 0:
		return errHost
	case string(r.Method) == "CONNECT":
		return errConnect
	}
	r.Host = s.host
	switch {
	case r.Target[0] == '/':
		r.cutQuery(r.Target)
		return nil
	case string(r.Target) == "*" && string(r.Method) == "OPTIONS":
		r.Path = r.Target
		return nil
	}
	return r.parseAbsolute()
}

var root, asterisk = []byte("/"), []byte("*")

// parseAbsolute reads a target in absolute form. Its authority overrules the Host field, but some
// recipients do not know that: the two must be the same.
func (r *Request) parseAbsolute() error {
	rest := r.Target
	port := int64(80) // of the scheme
	switch {
	case len(rest) > 7 && equalFold(rest[:7], "http://"):
		rest = rest[7:]
	case len(rest) > 8 && equalFold(rest[:8], "https://"):
		rest, port = rest[8:], 443
	default:
		return errTarget
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if hostNameLen(authority) == 0 {
		return errTarget
	}
	if r.Host != nil && !sameAuthority(authority, r.Host, port) {
		return errOtherHost
	}
	r.Host = authority
	r.cutQuery(rest)
	if len(r.Path) == 0 {
		r.Path = root
		if string(r.Method) == "OPTIONS" && r.Query == nil {
			r.Path = asterisk // RFC 9112, Section 3.2.4
		}
	}
	return nil
}

// sameAuthority compares two valid authorities, one of which may omit the scheme's default port
// (RFC 9110, Section 4.2.3).
func sameAuthority(a, b []byte, byDefault int64) bool {
	if bytes.EqualFold(a, b) {
		return true
	}
	n, m := hostNameLen(a), hostNameLen(b)
	return bytes.EqualFold(a[:n], b[:m]) && portOf(a[n:], byDefault) == portOf(b[m:], byDefault)
}

// portOf reads the [ ":" port ] of a valid authority.
func portOf(p []byte, byDefault int64) int64 {
	if len(p) == 0 {
		return byDefault
	}
	port, _ := parseDecimal(p[1:])
	return port
}

func (r *Request) cutQuery(p []byte) { r.Path, r.Query, _ = bytes.Cut(p, []byte("?")) }

// IsHost reports whether s is a valid value of a Host field.
func IsHost(s string) bool { return hostNameLen([]byte(s)) > 0 }

// hostNameLen returns the length of the host in host [ ":" port ], 0 if that is malformed. It
// accepts registered names that can be a DNS name or an IPv4 address, though RFC 3986 allows more.
func hostNameLen(p []byte) int {
	n := span(p, 0, isHost)
	if len(p) > 0 && p[0] == '[' {
		n = ipLiteralLen(p)
	}
	if rest := p[n:]; len(rest) > 0 && !(rest[0] == ':' && isPort(rest[1:])) {
		return 0
	}
	return n
}

func ipLiteralLen(p []byte) int {
	colons := 0
	for i, b := range p[1:] {
		switch {
		case b == ']' && colons >= 2:
			return i + 2
		case b == ':':
			colons++
		case b == '.', '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'f':
		default:
			return 0
		}
	}
	return 0
}

func isPort(p []byte) bool {
	port, ok := parseDecimal(p)
	return ok && len(p) <= 5 && port <= 65535
}

// parseIntent reads what the request asks of the connection.
func (r *Request) parseIntent(s *section) error {
	o, err := s.options(r.Fields)
	if err != nil {
		return err
	}
	hasBody := r.Framing == Chunked || r.Length > 0
	if s.expects > 0 && r.Minor > 0 { // RFC 9110, Section 10.1.1: not for HTTP/1.0
		if s.expects > 1 || !equalFold(s.expect, "100-continue") {
			return errExpectation
		}
		r.Expect100 = hasBody
	}
	r.KeepAlive = !o.close && (r.Minor > 0 || o.keepAlive)
	// A switch follows the body, if there is one, as in Docker's exec.
	if o.upgrade && s.upgrades == 1 && r.Minor > 0 && mayUpgrade(s.upgrade) {
		r.Upgrade = s.upgrade
	}
	return nil
}

// mayUpgrade reports whether a request for a switch to one of the listed protocols may be passed
// on. After a switch to HTTP/2, requests would bypass this gateway.
func mayUpgrade(list []byte) bool {
	if len(list) == 0 {
		return false
	}
	for len(list) > 0 {
		var protocol []byte
		protocol, list = cutElement(list)
		name, _, _ := bytes.Cut(protocol, []byte("/"))
		if equalFold(name, "h2c") || equalFold(name, "h2") || equalFold(name, "http") ||
			equalFold(name, "tls") {
			return false
		}
	}
	return true
}

// HostName returns the name or address in Host, without the port and otherwise as sent.
func (r *Request) HostName() []byte {
	if len(r.Host) > 0 && r.Host[0] == '[' {
		return r.Host[:bytes.IndexByte(r.Host, ']')+1]
	}
	name, _, _ := bytes.Cut(r.Host, []byte(":"))
	return name
}

// Idempotent reports whether the request may be sent again if no answer came (RFC 9110, Section
// 9.2.2).
func (r *Request) Idempotent() bool {
	switch string(r.Method) {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

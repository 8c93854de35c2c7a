package http1

import "bytes"

// Limits bound what a peer can make us hold and examine. All must be set.
type Limits struct {
	HeadLen    int // bytes of a head, with its empty line
	TargetLen  int // bytes of a request target
	FieldLen   int // fields in a head
	TrailerLen int // bytes of a trailer section
}

// HeadLen returns the length of the head at the start of p, including the empty line that ends it,
// or 0 if it is incomplete. An earlier call has seen the first from bytes of p, so that a head that
// arrives byte by byte is examined once. A bare LF ends lines here, so that Parse refuses the head,
// which would otherwise seem incomplete until a timer ends it.
func HeadLen(p []byte, from int) int {
	for i := max(from-2, 0); ; i++ {
		lf := bytes.IndexByte(p[i:], '\n')
		if lf < 0 {
			return 0
		}
		i += lf
		switch rest := p[i+1:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 2
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 3
		}
	}
}

// Partial reports whether an incomplete request head must be refused already; from is that of
// [HeadLen].
func (l *Limits) Partial(p []byte, from int) error {
	line := skipEmptyLine(p)
	if len(line) > 0 && line[0] != '\r' && classes[line[0]]&isToken == 0 {
		return errMethod // for example a TLS record within TLS
	}
	longest := maxMethodLen + l.TargetLen + len("  HTTP/1.1\r\n")
	unchecked := from <= longest+len("\r\n")
	if unchecked && len(line) > longest && bytes.IndexByte(line[:longest], '\n') < 0 {
		return errTargetLen
	}
	if len(p) > l.HeadLen {
		return errHeadLen
	}
	return nil
}

// skipEmptyLine skips the one CRLF before a request that RFC 9112, Section 2.2, asks servers to
// tolerate.
func skipEmptyLine(p []byte) []byte {
	if len(p) >= 2 && p[0] == '\r' && p[1] == '\n' {
		return p[2:]
	}
	return p
}

// parseVersion reads the eight bytes of an HTTP-version. A later 1.x is served like 1.1 (RFC 9110,
// Section 2.5).
func parseVersion(p []byte) (minor int, err error) {
	switch {
	case len(p) != 8 || string(p[:5]) != "HTTP/" || classes[p[5]]&isDigit == 0 || p[6] != '.' ||
		classes[p[7]]&isDigit == 0:
		return 0, errVersion
	case p[5] != '1':
		return 0, errUnknownVersion
	}
	return min(int(p[7]-'0'), 1), nil
}

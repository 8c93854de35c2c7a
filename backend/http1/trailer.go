package http1

import "bytes"

// trailerByte collects the trailer section line by line. It is the only part of a body that is
// held, since it must be checked before it is passed on; so it is bounded.
func (b *Body) trailerByte(c byte) *Error {
	line := b.trailer[b.lineStart:]
	if len(line) == 0 && c == '\r' {
		b.state = lastLF
		return nil
	}
	if b.trailerLen++; b.trailerLen > b.maxTrailer {
		return errTrailerLen
	}
	b.trailer = append(b.trailer, c)
	if c != '\n' {
		return nil
	}
	line = b.trailer[b.lineStart:]
	var f Field
	if n, err := f.parse(line); err != nil || n != len(line) {
		return errTrailer
	}
	if !mayTrail(&f) || b.rules.Drops(f.Name) {
		b.trailer = b.trailer[:b.lineStart]
	}
	b.lineStart = uint32(len(b.trailer))
	return nil
}

// WithoutDropped returns the lines of a trailer section without the fields that rules drop. It
// modifies lines.
func (r *Rules) WithoutDropped(lines []byte) []byte {
	if r == nil || len(r.drops) == 0 {
		return lines
	}
	kept := lines[:0]
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n') + 1
		if n == 0 {
			break
		}
		if name, _, _ := bytes.Cut(lines[:n], []byte(":")); !r.Drops(name) {
			kept = append(kept, lines[:n]...)
		}
		lines = lines[n:]
	}
	return kept
}

// maxUntrailingLen is the length of the longest name that mayTrail lists.
const maxUntrailingLen = len("strict-transport-security")

// mayTrail reports whether a field may be in a trailer section: none that concerns framing,
// routing, authentication, control of the request or the response, or how to read the content (RFC
// 9110, Section 6.5.1). A recipient that merges trailers into heads must not get fields there that
// this gateway checks in heads.
func mayTrail(f *Field) bool {
	if f.kind != other {
		return false
	}
	if len(f.Name) > maxUntrailingLen {
		return true
	}
	var lower [maxUntrailingLen]byte
	for i, b := range f.Name {
		if lower[i] = b; 'A' <= b && b <= 'Z' {
			lower[i] = b | 0x20
		}
	}
	switch string(lower[:len(f.Name)]) {
	case "authorization", "authentication-info", "proxy-authentication-info", "www-authenticate",
		"cookie", "set-cookie",
		"cache-control", "max-forwards", "pragma", "range", "if-match", "if-none-match",
		"if-modified-since",
		"if-unmodified-since", "if-range", "age", "date", "expires", "location", "retry-after",
		"vary", "warning",
		"content-encoding", "content-type", "content-range", "content-location",
		"strict-transport-security":
		return false
	}
	return true
}

package backend

import "encoding/hex"

// appendHost appends the name in a Host field in the form that rules have, and returns the length
// of the port after it with its colon. An invalid host yields no name, and so does a name with an
// empty label: some servers read "a..b" as another name.
func appendHost(b, host []byte) (name []byte, port int) {
	end := len(host)
	for i := len(host) - 1; i >= 0 && host[i] != ']'; i-- {
		if host[i] == ':' {
			end = i
			break
		}
	}
	if end > 0 && host[0] == '[' { // an IPv6 address
		return appendLower(b, host[:end]), len(host) - end
	}
	return appendName(b, host[:end]), len(host) - end
}

// appendName appends a name in lower case and without a final dot; it appends nothing if the name
// has an empty label or is longer than a DNS name can be.
func appendName[T string | []byte](b []byte, name T) []byte {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1] // without the root, in which every name ends
	}
	label := 0
	for i := range len(name) {
		if name[i] != '.' {
			label++
		} else if label == 0 {
			return b
		} else {
			label = 0
		}
	}
	if label == 0 {
		return b
	}
	return appendLower(b, name)
}

func appendLower[T string | []byte](b []byte, name T) []byte {
	if len(name) > maxName {
		return b
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// appendPath appends the beginning of a path as most servers read it, so that no other spelling of
// a path evades its rule: percent-encoded octets are decoded once (RFC 3986, Section 6.2.2.2; also
// %2F, as nginx and WSGI servers do), the parameters of a segment, from a semicolon on, are dropped
// as servlet containers do (Section 3.3: to Tomcat "/a/..;x/b" is "/b"), segments "." and ".." are
// resolved (Section 5.2.4), and empty segments and the final slash are dropped. Whole segments are
// written while they fit into b's capacity, or into MaxRulePath bytes: more than any rule compares.
//
// The backend gets the path as it was sent.
func appendPath(b, path []byte) []byte {
	if cap(b) == 0 {
		b = make([]byte, 0, MaxRulePath+1)
	}
	if len(path) == 1 && path[0] == '*' { // of OPTIONS: no path
		return b
	}
	deeper := 0 // segments that did not fit
	for i := 0; i < len(path); {
		start, length, dots, inParameter := len(b), 0, 0, false
		fits := deeper == 0 && len(b) < cap(b)
		if fits {
			b = append(b, '/')
		}
		for i < len(path) {
			c, n := decode(path[i:])
			if i += n; c == '/' {
				break
			}
			// Parameters are cut off before anything is decoded: "%3B" does not begin one.
			if inParameter = inParameter || c == ';' && n == 1; inParameter {
				continue
			}
			length++
			if c == '.' {
				dots++
			}
			if fits = fits && len(b) < cap(b); fits {
				b = append(b, c)
			}
		}
		switch {
		case length == 0, length == 1 && dots == 1:
			b = b[:start]
		case length == 2 && dots == 2:
			if b = b[:start]; deeper > 0 {
				deeper--
			} else {
				b = dropSegment(b)
			}
		case !fits:
			b = b[:start]
			deeper++
		}
	}
	return b
}

func dropSegment(b []byte) []byte {
	for n := len(b) - 1; n >= 0; n-- {
		if b[n] == '/' {
			return b[:n]
		}
	}
	return b
}

// decode returns the first octet of p and the number of bytes that encode it.
func decode(p []byte) (c byte, n int) {
	if p[0] != '%' || len(p) < 3 {
		return p[0], 1
	}
	var octet [1]byte
	if _, err := hex.Decode(octet[:], p[1:3]); err != nil {
		return p[0], 1
	}
	return octet[0], 3
}

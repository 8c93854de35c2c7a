package http1

import (
	"encoding/binary"
	"math/bits"
)

// class is a set of the character classes of RFC 9110, Section 5.6.2, and RFC 3986, as bits.
type class uint8

const (
	isToken  class = 1 << iota // tchar: methods, field names
	isTarget                   // what a request target may contain
	isHost                     // a host name, as used in practice
	isValue                    // field content: no control but the tab
	isDigit
)

// classes has the classes of each byte.
var classes = func() (t [256]class) {
	for i := range t {
		c := byte(i)
		alphanumeric := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if alphanumeric || contains("!#$%&'*+-.^_`|~", c) {
			t[i] |= isToken
		}
		// Bytes that no URI has, such as "|", are common in queries; but "#" would cut the target
		// short for a recipient that reads it as a fragment.
		if ' ' < c && c < 0x7f && c != '#' {
			t[i] |= isTarget
		}
		if alphanumeric || contains("-._~", c) {
			t[i] |= isHost
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[i] |= isValue
		}
		if '0' <= c && c <= '9' {
			t[i] |= isDigit
		}
	}
	return t
}()

func contains(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

// span is the number of consecutive bytes from p[i] on that are of class c.
func span(p []byte, i int, c class) int {
	start := i
	for i < len(p) && classes[p[i]]&c != 0 {
		i++
	}
	return i - start
}

// valueEnd is the index of the first byte from p[i] on that a field value may not contain: in a
// valid field, the CR that ends it. It examines eight bytes at a time, since values are most of a
// head.
func valueEnd(p []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(p) {
		w := binary.LittleEndian.Uint64(p[i:])
		// Both terms are exact up to and including their lowest set bit.
		del := w ^ 0x7f*ones
		suspects := ((w-' '*ones)&^w | (del-ones)&^del) & highs
		if suspects == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(suspects) / 8
		if p[i] != '\t' {
			return i
		}
		i++
	}
	return i + span(p, i, isValue)
}

// equalFold compares a token with a constant in lower case. Of the bytes allowed in tokens, only
// the same letter in upper case differs from b in that one bit alone.
func equalFold(token []byte, lower string) bool {
	if len(token) != len(lower) {
		return false
	}
	for i, b := range token {
		if b|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// trim cuts optional white space (RFC 9110, Section 5.6.3) off both ends.
func trim(p []byte) []byte {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	for len(p) > 0 && (p[len(p)-1] == ' ' || p[len(p)-1] == '\t') {
		p = p[:len(p)-1]
	}
	return p
}

// cutElement splits the first element off a comma-separated list (RFC 9110,
// Section 5.6.1), which may be an empty one.
func cutElement(list []byte) (element, rest []byte) {
	for i, b := range list {
		if b == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// parseDecimal reads digits only. It refuses signs, white space and values beyond int64, which
// recipients are known to read in different ways.
func parseDecimal(p []byte) (n int64, ok bool) {
	if len(p) == 0 || len(p) > 19 {
		return 0, false
	}
	for _, b := range p {
		if classes[b]&isDigit == 0 {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, n >= 0 // 19 digits overflow at most once, into the sign
}

package uwsgi

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"reprise/backend/http1"
)

// appendFields appends the request's fields as CGI names them (RFC 3875, Section 4.1.18), those of
// one name in one variable, and then those of the rules. It stops when p exceeds maxLen, from where
// on lengths are wrong.
func appendFields(p []byte, r *http1.Request, v *Vars, maxLen int) []byte {
	if r.Host != nil {
		p = appendVar(p, "HTTP_HOST", r.Host)
	}
	if r.Upgrade != nil { // uWSGI's WebSocket functions check both
		p = appendVar(p, "HTTP_CONNECTION", "Upgrade")
		p = appendVar(p, "HTTP_UPGRADE", r.Upgrade)
	}
	first := len(p)
	for i := 0; i < len(r.Fields) && len(p) <= maxLen; i++ {
		f := &r.Fields[i]
		if f.HopByHop() || isOurs(f.Name) || !v.Trusted && f.Vouched() || v.Rules.Drops(f.Name) {
			continue
		}
		p = appendField(p, first, f)
	}
	for i := 0; i < v.Rules.Len() && len(p) <= maxLen; i++ {
		p = appendRule(p, first, v, i)
	}
	return p
}

// appendRule appends the rules' ith field, unless its value is empty.
func appendRule(p []byte, first int, v *Vars, i int) []byte {
	end := len(p)
	p = appendRuleKey(p, v.Rules.Name(i))
	key := p[end+2:]
	p = append(p, 0, 0)
	start := len(p)
	p = v.Rules.AppendValue(p, i, v.Facts, v.Nth)
	if len(p) == start {
		return p[:end]
	}
	if other := find(p[:end], first, key); other >= 0 {
		var scratch [512]byte
		value := append(scratch[:0], p[start:]...)
		return join(p[:end], other, value, separatorOf(v.Rules.Name(i)))
	}
	return endVar(p, start)
}

// appendRuleKey appends the key for a name chosen by an operator.
func appendRuleKey(p []byte, name string) []byte {
	p = append(p, 0, 0)
	start := len(p)
	if !isName(name, "Content-Type") {
		p = append(p, "HTTP_"...)
	}
	for i := range len(name) {
		b := keyBytes[name[i]]
		if b == 0 {
			b = '_' // a client's field of an equal name is dropped, so this one is the only one
		}
		p = append(p, b)
	}
	binary.LittleEndian.PutUint16(p[start-2:], uint16(len(p)-start))
	return p
}

// appendField appends a field, or appends its value to the variable of that name in p[first:].
func appendField(p []byte, first int, f *http1.Field) []byte {
	end := len(p)
	p, ok := appendKey(p, f.Name)
	if !ok {
		return p[:end]
	}
	start := find(p[:end], first, p[end+2:])
	if start < 0 {
		p = append(p, 0, 0)
		start = len(p)
		return endVar(append(p, f.Value...), start)
	}
	return join(p[:end], start, f.Value, separatorOf(f.Name))
}

// join adds a value to the one that starts at p[start:].
func join(p []byte, start int, value, separator []byte) []byte {
	valueLen := int(binary.LittleEndian.Uint16(p[start-2:]))
	p = slices.Insert(p, start+valueLen, value...)
	p = slices.Insert(p, start+valueLen, separator...)
	binary.LittleEndian.PutUint16(p[start-2:], uint16(valueLen+len(separator)+len(value)))
	return p
}

func separatorOf[N string | []byte](name N) []byte {
	if isName(name, "Cookie") {
		return semicolon
	}
	return comma
}

// The separators of joined values (RFC 9110, Section 5.3), and of Cookie's, which do not use commas
// (RFC 9113, Section 8.2.3).
var comma, semicolon = []byte(", "), []byte("; ")

// find returns the start of key's value among the variables in p[first:], or -1. Comparing keys is
// much cheaper than comparing names, whose case varies, and with a hundred fields it dominates the
// cost of a request.
func find(p []byte, first int, key []byte) int {
	for i := first; i < len(p); {
		value := i + 2 + int(binary.LittleEndian.Uint16(p[i:])) + 2
		if bytes.Equal(p[i+2:value-2], key) {
			return value
		}
		i = value + int(binary.LittleEndian.Uint16(p[value-2:]))
	}
	return -1
}

// isOurs reports whether a field is in a variable already, or concerns only the client and us.
func isOurs(name []byte) bool {
	switch len(name) {
	case len("Host"):
		return isName(name, "Host")
	case len("Expect"):
		return isName(name, "Expect")
	case len("Content-Length"):
		return isName(name, "Content-Length")
	}
	return false
}

func isName[N string | []byte](name N, known string) bool {
	return len(name) == len(known) && strings.EqualFold(string(name), known)
}

// appendKey appends the key for a field; it returns false if its name must not become a key.
func appendKey(p, name []byte) ([]byte, bool) {
	p = append(p, 0, 0)
	start := len(p)
	if !isName(name, "Content-Type") {
		p = append(p, "HTTP_"...)
	}
	for _, b := range name {
		b = keyBytes[b]
		if b == 0 {
			return p, false
		}
		p = append(p, b)
	}
	binary.LittleEndian.PutUint16(p[start-2:], uint16(len(p)-start))
	return p, true
}

// keyBytes maps the bytes of a field's name to those of a key: 0 for bytes that could make two
// names equal.
var keyBytes = func() (t [256]byte) {
	for b := byte('0'); b <= '9'; b++ {
		t[b] = b
	}
	for b := byte('A'); b <= 'Z'; b++ {
		t[b], t[b|0x20] = b, b
	}
	t['-'] = '_'
	return t
}()

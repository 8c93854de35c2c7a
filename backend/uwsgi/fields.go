package uwsgi

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"reprise/backend/http1"
)

// appendFields appends the request's fields as CGI names them (RFC 3875,
// Section 4.1.18), those of one name in one variable, and then those of the rules. It
// stops when p is longer than maxLen, where lengths begin to be wrong.
func appendFields(p []byte, r *http1.Request, v *Vars, maxLen int) []byte {
	if r.Host != nil {
		p = appendVar(p, "HTTP_HOST", r.Host)
	}
	if r.Upgrade != nil { // uWSGI's WebSocket functions look for both
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

// appendRule appends the ith field that rules have, unless its value is empty.
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

// appendRuleKey appends the key for a name that an operator has chosen.
func appendRuleKey(p []byte, name string) []byte {
	p = append(p, 0, 0)
	start := len(p)
	if !isName(name, "Content-Type") {
		p = append(p, "HTTP_"...)
	}
	for i := range len(name) {
		b := keyBytes[name[i]]
		if b == 0 {
			b = '_' // the client's name of the kind is dropped, so that it is the only one
		}
		p = append(p, b)
	}
	binary.LittleEndian.PutUint16(p[start-2:], uint16(len(p)-start))
	return p
}

// appendField appends a field, or its value to that of the variable in p[first:]
// that has its name.
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

// What joins values (RFC 9110, Section 5.3), and those of Cookie, which knows no
// comma (RFC 9113, Section 8.2.3).
var comma, semicolon = []byte(", "), []byte("; ")

// find returns where the value of key starts, of the variables in p[first:], or
// -1. To compare keys is much cheaper than names, of which any case is the same,
// and with a hundred fields it is what a request costs.
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

// isOurs reports whether a field is in a variable already, or settled between
// the client and us.
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

// appendKey appends the key for a field, and reports false if its name must not
// become one.
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

// keyBytes holds what the bytes of a field's name become in a key: 0 for those
// that could make it equal to another name's.
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

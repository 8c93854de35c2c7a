package http2

import (
	"bytes"
	"strconv"
)

// The encoder (RFC 7541) uses the static table for names and common statuses, has no dynamic table,
// and writes strings uncompressed: Huffman coding would save a quarter of a head's bytes but take
// more time than all the rest.

// appendInt appends an integer whose first byte has prefix bits left for it (RFC 7541,
// Section 5.1).
func appendInt(dst []byte, first byte, prefix uint8, n int) []byte {
	limit := 1<<prefix - 1
	if n < limit {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(limit))
	for n -= limit; n >= 128; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// appendTableSize announces that the encoder's table is, and stays, empty. A decoder whose table
// was reduced in size waits for that (RFC 7541, Section 4.2).
func appendTableSize(dst []byte) []byte { return appendInt(dst, 0x20, 5, 0) }

func appendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0x80|8)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	dst = append(dst, 8, 3) // a literal, without indexing, whose name is that of entry 8
	return strconv.AppendInt(dst, int64(status), 10)
}

// maxNameLen bounds the names to look up: the static table has no longer one.
const maxNameLen = len("strict-transport-security")

// appendLiteral appends a field without indexing. The name is written in lower case, as HTTP/2
// requires.
func appendLiteral(dst, name, value []byte) []byte {
	var lower [maxNameLen]byte
	index := uint8(0)
	if len(name) <= maxNameLen {
		for i, b := range name {
			lower[i] = toLower(b)
		}
		index = staticNames[string(lower[:len(name)])]
	}
	first := byte(0)
	if index == setCookieIndex || index == authorizationIndex {
		first = 0x10 // never indexed, by any intermediary
	}
	dst = appendInt(dst, first, 4, int(index))
	if index == 0 {
		dst = appendInt(dst, 0, 7, len(name))
		for _, b := range name {
			dst = append(dst, toLower(b))
		}
	}
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

// appendIndexed appends a literal value with the name of a static table entry.
func appendIndexed(dst []byte, index uint8, value []byte) []byte {
	dst = appendInt(dst, 0, 4, int(index))
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

// appendLines appends fields from lines, each of which ends in CR LF.
func appendLines(dst, lines []byte) []byte {
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, crlf)
		if name, value, ok := bytes.Cut(line, colon); ok {
			dst = appendLiteral(dst, name, bytes.TrimSpace(value))
		}
	}
	return dst
}

func appendMethod(dst, method []byte) []byte {
	switch string(method) {
	case "GET":
		return append(dst, 0x80|2)
	case "POST":
		return append(dst, 0x80|3)
	}
	return appendIndexed(dst, 2, method)
}

func toLower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b | 0x20
	}
	return b
}

const authorizationIndex, setCookieIndex = 23, 55

// staticNames holds those names of the static table (RFC 7541, Appendix A) that a message may have.
var staticNames = map[string]uint8{
	"accept-charset": 15, "accept-encoding": 16, "accept-language": 17, "accept": 19, "cookie": 32,
	"expect": 35, "from": 37,
	"if-match": 39, "if-modified-since": 40, "if-none-match": 41, "if-range": 42,
	"if-unmodified-since": 43, "max-forwards": 47,
	"proxy-authorization": 49, "range": 50, "referer": 51, "user-agent": 58,
	"accept-ranges": 18, "access-control-allow-origin": 20, "age": 21, "allow": 22,
	"authorization": authorizationIndex,
	"cache-control": 24, "content-disposition": 25, "content-encoding": 26, "content-language": 27,
	"content-length": 28, "content-location": 29, "content-range": 30, "content-type": 31,
	"date": 33,
	"etag": 34, "expires": 36, "last-modified": 44, "link": 45, "location": 46,
	"proxy-authenticate": 48,
	"refresh":            52, "retry-after": 53, "server": 54, "set-cookie": setCookieIndex,
	"strict-transport-security": 56, "transfer-encoding": 57, "vary": 59, "via": 60,
	"www-authenticate": 61,
}

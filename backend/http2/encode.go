package http2

import "strconv"

// The responses' encoder (RFC 7541) uses the static table for names and common statuses
// and no dynamic one, and writes strings as they are: Huffman coding would save a
// quarter of a head's bytes for more time than all the rest of it takes.

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

// appendTableSize tells that the encoder's table is, and stays, empty. A decoder whose
// table was made smaller than it had been waits for that (RFC 7541, Section 4.2).
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

// maxNameLen bounds the names that are looked up: no longer one is in the static table.
const maxNameLen = len("strict-transport-security")

// appendLiteral appends a field that goes into no table. The name is written in lower
// case, as HTTP/2 has it.
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
	if index == setCookieIndex {
		first = 0x10 // never to be indexed by whoever passes it on
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

func toLower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b | 0x20
	}
	return b
}

const setCookieIndex = 55

// staticNames holds the names of the static table (RFC 7541, Appendix A) that a response
// may have.
var staticNames = map[string]uint8{
	"accept-ranges": 18, "access-control-allow-origin": 20, "age": 21, "allow": 22, "authorization": 23,
	"cache-control": 24, "content-disposition": 25, "content-encoding": 26, "content-language": 27,
	"content-length": 28, "content-location": 29, "content-range": 30, "content-type": 31, "date": 33,
	"etag": 34, "expires": 36, "last-modified": 44, "link": 45, "location": 46, "proxy-authenticate": 48,
	"refresh": 52, "retry-after": 53, "server": 54, "set-cookie": setCookieIndex,
	"strict-transport-security": 56, "transfer-encoding": 57, "vary": 59, "via": 60, "www-authenticate": 61,
}

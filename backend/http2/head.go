package http2

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
)

// pseudoFieldLen is the number of pseudo-header fields that a request may have.
const pseudoFieldLen = 5

// form is the kind of text that a header block becomes.
type form uint8

const (
	requestHead form = iota
	responseHead
	trailerSection
)

// head makes the head of an HTTP/1.1 message, or a trailer section, from decoded fields.
type head struct {
	scratch *Scratch
	form    form
	text    []byte // so far
	cookie  []byte // crumbs, joined (RFC 9113, Section 8.2.3)
	kept    bool   // text and cookie are our own copies, not the scratch's

	method, scheme, authority, path, protocol string

	status    int   // of a response, 0 while unknown
	length    int64 // Content-Length of a request, -1 for none
	began     bool  // a pseudo-header field may not follow
	tunnel    bool  // extended CONNECT
	unknown   bool  // an extended CONNECT with an unknown protocol
	malformed bool  // RFC 9113, Section 8.1.1
	tooLong   bool
	tooMany   bool
}

func (h *head) reset(s *Scratch, as form) {
	*h = head{scratch: s, form: as, text: s.head[:0], cookie: s.cookie[:0], length: -1}
}

// keep copies the unfinished text before CONTINUATION: other connections use the scratch meanwhile.
func (h *head) keep() {
	if h.kept {
		return
	}
	h.kept = true
	h.text, h.cookie = append([]byte(nil), h.text...), append([]byte(nil), h.cookie...)
}

// drop releases the text, which stays valid until the scratch is used again.
func (h *head) drop() {
	if !h.kept {
		h.scratch.head, h.scratch.cookie = h.text[:0], h.cookie[:0]
	}
	*h = head{}
}

// add takes a field. Names and values are checked for bytes that could end a line of the text;
// package http1 checks everything else.
func (h *head) add(name, value string) {
	switch {
	case name == "" || !isValue(value):
		h.malformed = true
	case name[0] == ':':
		h.addPseudo(name, value)
	case !isLowerToken(name):
		h.malformed = true // RFC 9113, Section 8.2.1, also if it is in upper case
	default:
		if !h.began && h.form != trailerSection {
			h.begin()
		}
		h.addField(name, value)
	}
}

func (h *head) addPseudo(name, value string) {
	if h.form == responseHead {
		h.addStatus(name, value)
		return
	}
	var field *string
	switch name {
	case ":method":
		field = &h.method
	case ":scheme":
		field = &h.scheme
	case ":authority":
		field = &h.authority
	case ":path":
		field = &h.path
	case ":protocol":
		field = &h.protocol
	}
	if field == nil || *field != "" || value == "" || h.began || h.form == trailerSection {
		h.malformed = true // RFC 9113, Section 8.3
		return
	}
	*field = value
}

// begin writes the first line, after the last pseudo-header field.
func (h *head) begin() {
	h.began = true
	if h.form == responseHead {
		h.beginResponse()
	} else {
		h.beginRequest()
	}
}

// beginRequest writes the request line (RFC 9113, Sections 8.3.1 and 8.5; RFC 8441,
// Section 4).
func (h *head) beginRequest() {
	method, path := h.method, h.path
	switch {
	case !isToken(method) || !isText(h.authority) || !isText(path):
		h.malformed = true
	case method == "CONNECT" && h.protocol == "":
		// The parser of this text refuses it with a response.
		h.malformed = h.scheme != "" || path != "" || h.authority == ""
		path = h.authority
	case h.scheme != "https" && h.scheme != "http":
		h.malformed = true
	case path == "" || path[0] != '/' && (path != "*" || method != "OPTIONS"):
		h.malformed = true
	case h.protocol != "" && (method != "CONNECT" || h.authority == ""):
		h.malformed = true
	case h.protocol != "":
		h.tunnel, method = true, "GET"
		h.unknown = !strings.EqualFold(h.protocol, "websocket")
	}
	if h.malformed {
		return
	}
	p := append(h.text, method...)
	p = append(append(p, ' '), path...)
	p = append(p, " HTTP/1.1\r\n"...)
	if h.authority != "" {
		p = appendField(p, "Host", h.authority)
	}
	if h.tunnel {
		p = append(p, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
		p = appendField(p, "Sec-WebSocket-Key", webSocketKey())
	}
	h.text = p
}

// webSocketKey makes the key that HTTP/1.1 requires and HTTP/2 lacks.
func webSocketKey() string {
	var key [16]byte
	_, _ = rand.Read(key[:]) // it cannot fail
	return base64.StdEncoding.EncodeToString(key[:])
}

func (h *head) addField(name, value string) {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		h.malformed = true // RFC 9113, Section 8.2.2
		return
	case "te":
		h.malformed = h.malformed || h.form == trailerSection || h.form == requestHead &&
			value != "trailers"
	}
	if h.form != requestHead {
		h.text = appendField(h.text, name, value)
		return
	}
	switch name {
	case "host":
		if h.authority != "" {
			h.malformed = h.malformed || !strings.EqualFold(value, h.authority)
			return // it is there already
		}
	case "content-length":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || h.length >= 0 || h.tunnel {
			h.malformed = true
			return
		}
		h.length = int64(n)
	case "cookie":
		if len(h.cookie) > 0 {
			h.cookie = append(h.cookie, "; "...)
		}
		h.cookie = append(h.cookie, value...)
		return
	case "sec-websocket-key":
		if h.tunnel {
			return
		}
	}
	h.text = appendField(h.text, name, value)
}

// complete ends the text and returns it: nil if the request is malformed, or if its essential
// fields did not fit.
func (h *head) complete(end bool) []byte {
	if !h.began && h.tooLong {
		return nil
	}
	if !h.began && !h.malformed {
		h.begin()
	}
	if h.malformed || end && h.length > 0 {
		return nil
	}
	if len(h.cookie) > 0 {
		h.text = append(h.text, "Cookie: "...)
		h.text = append(append(h.text, h.cookie...), "\r\n"...)
	}
	if !end && h.length < 0 && !h.tunnel {
		h.text = append(h.text, "Transfer-Encoding: chunked\r\n"...)
	}
	h.text = append(h.text, "\r\n"...)
	return h.text
}

func appendField(p []byte, name, value string) []byte {
	p = append(append(p, name...), ": "...)
	return append(append(p, value...), "\r\n"...)
}

// The byte classes distinguished here, as bits.
const (
	classLowerToken = 1 << iota // of a field name (RFC 9113, Section 8.2.1)
	classToken                  // of a method
	classText                   // of a path or an authority: no white space, no control
)

var classes = func() (t [256]uint8) {
	for i := range t {
		b := byte(i)
		lower := 'a' <= b && b <= 'z' || '0' <= b && b <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
		if lower {
			t[i] |= classLowerToken
		}
		if lower || 'A' <= b && b <= 'Z' {
			t[i] |= classToken
		}
		if ' ' < b && b < 0x7f {
			t[i] |= classText
		}
	}
	return t
}()

func allOf(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

func isLowerToken(s string) bool { return allOf(s, classLowerToken) }
func isToken(s string) bool      { return s != "" && allOf(s, classToken) }
func isText(s string) bool       { return allOf(s, classText) }

// isValue reports whether s may be a field's value (RFC 9113, Section 8.2.1).
func isValue(s string) bool {
	if s == "" {
		return true
	}
	if isSpace(s[0]) || isSpace(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if b := s[i]; b == '\r' || b == '\n' || b == 0 {
			return false
		}
	}
	return true
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' }

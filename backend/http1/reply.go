package http1

import (
	"net/http"
	"strconv"
)

// Outgoing describes how a response is sent to the client.
type Outgoing struct {
	Close   bool    // the connection ends with this response
	Head    bool    // the request is a HEAD: errors and redirects have no body
	Minor   int     // of the client's version
	Framing Framing // to the client; UntilClose needs Close
	// Length is the length of the body ByLength. With NoBody it is the value of Content-Length all
	// the same ([Response.Length]), -1 for none.
	Length int64
	// Date is the line of a [Clock], for a response that has none (RFC 9110, Section 6.6.1); nil to
	// add none.
	Date []byte

	RetryAfter int // seconds, for a temporary error; 0 to add none

	Rules *Rules // further changes to the response's fields
	Facts *Facts // for their values
	Nth   uint32 // number of the request on its connection
}

// AppendResponse appends the head of r for the client: with normal spacing, one framing field and
// no fields for the backend's hop. Nothing is added to an interim response (1xx).
func AppendResponse(dst []byte, r *Response, o *Outgoing) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, "\r\n"...)
	dated := false
	for i := range r.Fields {
		if f := &r.Fields[i]; r.passes(f, o) && !o.Rules.Drops(f.Name) {
			dst = f.append(dst)
			dated = dated || f.kind == date
		}
	}
	switch {
	case r.Status == 101: // final, though 1xx
		dst = o.Rules.append(dst, o.Facts, o.Nth)
		dst = appendLine(dst, "Connection: Upgrade\r\nUpgrade: ", r.Upgrade)
	case r.Status >= 200:
		if !dated {
			dst = o.appendDate(dst)
		}
		if r.Status != 204 {
			dst = appendLength(dst, o)
		}
		dst = appendClosing(dst, o)
	}
	return append(dst, "\r\n"...)
}

func (r *Response) passes(f *Field, o *Outgoing) bool {
	switch f.kind {
	case trailer:
		return o.Framing == Chunked
	case contentLength:
		return false
	}
	return !f.HopByHop()
}

// appendLength appends the framing field; an empty body has one too.
func appendLength(dst []byte, o *Outgoing) []byte {
	if o.Framing == NoBody && o.Length >= 0 {
		return appendFraming(dst, ByLength, o.Length)
	}
	return appendFraming(dst, o.Framing, o.Length)
}

// appendClosing appends the Connection field and the fields that rules add.
func appendClosing(dst []byte, o *Outgoing) []byte {
	switch {
	case o.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case o.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return o.Rules.append(dst, o.Facts, o.Nth)
}

// AppendChunk appends data as one chunk, and nothing for empty data, since an empty chunk would be
// the last.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body; trailer is nil or what
// [Body.Trailer] returned.
func AppendLastChunk(dst, trailer []byte) []byte {
	dst = append(dst, "0\r\n"...)
	dst = append(dst, trailer...)
	return append(dst, "\r\n"...)
}

// AppendError appends a whole response with a short text.
func AppendError(dst []byte, status int, o *Outgoing) []byte {
	return AppendText(dst, status, http.StatusText(status), o)
}

// AppendText appends a whole response with a line of text.
func AppendText(dst []byte, status int, text string, o *Outgoing) []byte {
	dst = appendStatus(dst, status, http.StatusText(status))
	dst = o.appendDate(dst)
	if o.RetryAfter > 0 { // RFC 9110, Section 10.2.3
		dst = append(dst, "Retry-After: "...)
		dst = strconv.AppendInt(dst, int64(o.RetryAfter), 10)
		dst = append(dst, "\r\n"...)
	}
	return appendText(dst, text, o)
}

// AppendRedirect appends a whole response that redirects the client to the same target by https at
// a port, and a 400 if the request names no host.
func AppendRedirect(dst []byte, r *Request, port int, o *Outgoing) []byte {
	name := hostNameLen(r.Host)
	if name == 0 {
		return AppendError(dst, http.StatusBadRequest, o)
	}
	text := http.StatusText(http.StatusMovedPermanently)
	dst = appendStatus(dst, http.StatusMovedPermanently, text)
	dst = o.appendDate(dst)
	dst = append(dst, "Location: https://"...)
	dst = append(dst, r.Host[:name]...)
	if port != 443 {
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, int64(port), 10)
	}
	if r.Path[0] == '/' {
		dst = appendTarget(dst, r)
	} else {
		dst = append(dst, '/')
	}
	dst = append(dst, "\r\n"...)
	return appendText(dst, text, o)
}

func (o *Outgoing) appendDate(dst []byte) []byte {
	if o.Rules.writes(date) {
		return dst
	}
	return append(dst, o.Date...)
}

func appendStatus(dst []byte, status int, reason string) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}

var contentType = []byte("Content-Type")

// appendText ends a head and appends a body of one line.
func appendText(dst []byte, text string, o *Outgoing) []byte {
	if !o.Rules.Drops(contentType) {
		dst = append(dst, "Content-Type: text/plain\r\n"...)
	}
	dst = appendFraming(dst, ByLength, int64(len(text)+len("\n")))
	dst = appendClosing(dst, o)
	dst = append(dst, "\r\n"...)
	if o.Head {
		return dst
	}
	dst = append(dst, text...)
	return append(dst, '\n')
}

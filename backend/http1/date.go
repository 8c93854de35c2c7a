package http1

import (
	"net/http"
	"time"
)

// A Clock makes the Date line of responses, once for each second. It belongs to one goroutine.
type Clock struct {
	second int64
	line   []byte
}

// Line returns the Date field (RFC 9110, Section 6.6.1) with its CRLF. It is valid until the next
// call.
func (c *Clock) Line(now time.Time) []byte {
	if second := now.Unix(); c.line == nil || second != c.second {
		c.second = second
		c.line = append(c.line[:0], "Date: "...)
		c.line = now.UTC().AppendFormat(c.line, http.TimeFormat)
		c.line = append(c.line, "\r\n"...)
	}
	return c.line
}

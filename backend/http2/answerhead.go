package http2

import (
	"net/http"
	"strconv"
)

// addStatus takes the one pseudo-header field of a response (RFC 9113, Section 8.3.2).
func (h *head) addStatus(name, value string) {
	n, err := strconv.Atoi(value)
	if name != ":status" || h.status != 0 || h.began || len(value) != 3 || err != nil || n < 100 ||
		n > 599 {
		h.malformed = true
		return
	}
	h.status = n
}

// beginResponse writes the status line. Switching protocols is not for HTTP/2 (RFC 9113,
// Section 8.6).
func (h *head) beginResponse() {
	if h.status == 0 || h.status == http.StatusSwitchingProtocols {
		h.malformed = true
		return
	}
	p := append(h.text, "HTTP/1.1 "...)
	p = append(strconv.AppendInt(p, int64(h.status), 10), ' ')
	h.text = append(append(p, http.StatusText(h.status)...), "\r\n"...)
}

// completeResponse ends the text and returns it: nil if the response is malformed.
func (h *head) completeResponse() []byte {
	if !h.began && !h.malformed {
		h.begin()
	}
	if h.malformed {
		return nil
	}
	h.text = append(h.text, "\r\n"...)
	return h.text
}

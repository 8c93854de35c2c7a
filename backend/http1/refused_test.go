package http1

import (
	"fmt"
	"strings"
	"testing"
)

// TestRefusedRequests checks what a log gets of refused requests.
func TestRefusedRequests(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		want       string // method, target, version, host; then why
	}{
		{"bad field", "GET /a?b HTTP/1.0|Host: h|X\x00: y||", "GET /a?b 0 h; malformed field name"},
		{"bad field before the Host", "GET /a HTTP/1.1|X Y: z|Host: h||", "GET /a 1 ; malformed field name"},
		{"no Host", "GET /a HTTP/1.1||", "GET /a 1 ; no Host"},
		{"two hosts", "GET /a HTTP/1.1|Host: a|Host: b||", "GET /a 1 ; several Host fields"},
		{"bad Host", "GET /a HTTP/1.1|Host: a@b||", "GET /a 1 ; malformed Host"},
		{"two framings", "POST /a HTTP/1.1|Host: h|Content-Length: 1|Transfer-Encoding: chunked||", "POST /a 1 h; Transfer-Encoding and Content-Length"},
		{"other host", "GET http://a/ HTTP/1.1|Host: b||", "GET http://a/ 1 b; target and Host name different hosts"},
		{"bad target", "GET a#b HTTP/1.1|Host: h||", "GET a#b 0 ; malformed request target"},
		{"control characters in the target", "GET /a\x1b[2J\tb HTTP/1.1|Host: h||", "GET /a\x1b[2J\tb 0 ; malformed request line"},
		{"no target", "GET  HTTP/1.1||", "GET  0 ; malformed request target"},
		{"HTTP/0.9", "GET /a||", "GET /a 0 ; malformed request line"},
		{"HTTP/2", "PRI * HTTP/2.0||", "PRI * 0 ; unknown version"},
		{"no HTTP", "\x16\x03\x01||", "  0 ; malformed method"},
		{"long method", strings.Repeat("A", 40) + " / HTTP/1.1||", "  0 ; long method"},
		{"long target", "GET /" + strings.Repeat("a", 2000), "GET /" + strings.Repeat("a", 1023) + " 0 ; long request target"},
		{"long head", "GET /a HTTP/1.1|Host: h|X: " + strings.Repeat("x", 4100), "GET /a 1 ; long head"},
		{"half a head", "GET /a HTTP/1.1|Host: h|X: y", "GET /a 1 h; line does not end in CR LF"},
		{"half a line", "GET /a", "GET /a 0 ; malformed request target"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Request{Host: []byte("earlier"), Fields: make([]Field, 3)}
			err := r.Parse(lines(tc.head), &testLimits)
			if err == nil {
				t.Fatal("it is accepted")
			}
			got := fmt.Sprintf("%s %s %d %s; %s", r.Method, r.Target, r.Minor, r.Host, err)
			if got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if len(r.Fields) > 0 || r.Path != nil || r.KeepAlive || r.Upgrade != nil || r.Framing != NoBody {
				t.Errorf("more is left: %+v", r)
			}
		})
	}
}

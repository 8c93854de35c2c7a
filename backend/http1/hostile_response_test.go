package http1

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostileResponses says what each response leads to that can be read in two ways. It is
// long because it is a table.
func TestHostileResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tc := range []struct {
		name, method, head string
		want               string // "502: reason", or what was read
	}{
		{"by length", "GET", ok + "Content-Length: 5\r\n\r\n", "200 length=5"},
		{"chunked", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n", "200 chunked"},
		{"until close", "GET", ok + "\r\n", "200 until-close close"},
		{"until close in spite of keep-alive", "GET", ok + "Connection: keep-alive\r\n\r\n", "200 until-close close"},
		{"HEAD", "HEAD", ok + "Content-Length: 5\r\n\r\n", "200 no-body states 5"},
		{"HEAD chunked", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", "200 no-body"},
		{"head of lower case has a body", "head", ok + "Content-Length: 5\r\n\r\n", "200 length=5"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 no-body"},
		{"204 with length 0", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 no-body"},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 no-body close"},
		{"204 chunked", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "204 no-body close"},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 no-body states 5"},
		{"100", "POST", "HTTP/1.1 100 Continue\r\n\r\n", "100 no-body"},
		{"103", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "103 no-body"},
		{"101", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "101 no-body upgrade=websocket"},
		{"101 to nothing", "GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "502: 101 without Upgrade"},
		{"101 not named by Connection", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "502: 101 without Upgrade"},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length=5 close"},
		{"HTTP/1.0 keep-alive", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", "200 length=5"},
		{"close", "GET", ok + "Content-Length: 5\r\nConnection: close\r\n\r\n", "200 length=5 close"},
		{"no reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 length=0"},
		{"no space either", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 length=0"},

		{"both lengths", "GET", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "502: Transfer-Encoding and Content-Length"},
		{"two lengths", "GET", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "502: several Content-Length fields"},
		{"two lengths to HEAD", "HEAD", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "502: several Content-Length fields"},
		{"signed length", "GET", ok + "Content-Length: +5\r\n\r\n", "502: malformed Content-Length"},
		{"unknown coding", "GET", ok + "Transfer-Encoding: gzip\r\n\r\n", "502: unknown transfer coding"},
		{"two codings", "GET", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "502: unknown transfer coding"},
		{"coding in HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "502: Transfer-Encoding in HTTP/1.0"},
		{"folded", "GET", ok + "X: x\r\n y\r\n\r\n", "502: folded field"},
		{"bare LF", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "502: line does not end in CR LF"},
		{"bare CR in the reason", "GET", "HTTP/1.1 200 O\rK\r\n\r\n", "502: line does not end in CR LF"},
		{"NUL in the reason", "GET", "HTTP/1.1 200 O\x00K\r\n\r\n", "502: control character in a field"},
		{"NUL in a value", "GET", ok + "X: \x00\r\n\r\n", "502: control character in a field"},
		{"space before the colon", "GET", ok + "Content-Length : 5\r\n\r\n", "502: malformed field name"},
		{"status 099", "GET", "HTTP/1.1 099 X\r\n\r\n", "502: status out of range"},
		{"status 600", "GET", "HTTP/1.1 600 X\r\n\r\n", "502: status out of range"},
		{"status of four digits", "GET", "HTTP/1.1 2000 X\r\n\r\n", "502: malformed status line"},
		{"status of two digits", "GET", "HTTP/1.1 20 X\r\n\r\n", "502: malformed status line"},
		{"status signed", "GET", "HTTP/1.1 +20 X\r\n\r\n", "502: malformed status line"},
		{"HTTP/2.0", "GET", "HTTP/2.0 200 OK\r\n\r\n", "502: unknown version"},
		{"HTTP/1.2", "GET", "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", "200 length=5"},
		{"another protocol", "GET", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "502: malformed version"},
		{"HTTP/0.9", "GET", "<html>\r\n\r\n", "502: malformed status line"},
		{"empty line before", "GET", "\r\n" + ok + "Content-Length: 0\r\n\r\n", "502: malformed version"},
		{"too many connection options", "GET", ok + "Connection: " + strings.Repeat("x,", 33) + "\r\n\r\n", "502: too many connection options"},
		{"too many fields", "GET", ok + strings.Repeat("X: x\r\n", 33) + "\r\n", "502: too many fields"},
		{"long head", "GET", ok + "X: " + strings.Repeat("x", 4096) + "\r\n\r\n", "502: long head"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := readResponse([]byte(tc.head), tc.method); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func readResponse(p []byte, method string) string {
	n := HeadLen(p, 0)
	if n == 0 {
		return "incomplete"
	}
	var r Response
	if err := r.Parse(p[:n], []byte(method), &testLimits); err != nil {
		return describeError(err)
	}
	s := fmt.Sprintf("%d %s", r.Status, describeFraming(r.Framing, r.Length))
	if r.Framing == NoBody && r.Length >= 0 {
		s += fmt.Sprintf(" states %d", r.Length)
	}
	return s + describeConnection(r.KeepAlive, r.Upgrade)
}

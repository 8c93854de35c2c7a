package http2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"reprise/backend/http1"
)

// TestRequests checks the requests made from header lists, and which lists are malformed (RFC
// 9113, Section 8). It is long because it is a table.
func TestRequests(t *testing.T) {
	const malformed = "malformed"
	base := "GET / HTTP/1.1\r\nHost: a.test\r\n"
	for _, tc := range []struct {
		name   string
		fields []string
		body   bool
		want   string
	}{
		{name: "GET", fields: getFields, want: base + "\r\n"},
		{name: "fields", fields: getWith("user-agent", "x", "x-empty", ""), want: base + "user-agent: x\r\nx-empty: \r\n\r\n"},
		{name: "query", fields: getWith(":path", "/a?b=c%20d"), want: "GET /a?b=c%20d HTTP/1.1\r\nHost: a.test\r\n\r\n"},
		{name: "cookie crumbs", fields: getWith("cookie", "a=1", "x", "y", "cookie", "b=2"), want: base + "x: y\r\nCookie: a=1; b=2\r\n\r\n"},
		{name: "host alone", fields: append(getWithout(":authority"), "host", "b.test"), want: "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n"},
		{name: "host as authority", fields: getWith("host", "A.test"), want: base + "\r\n"},
		{name: "te", fields: getWith("te", "trailers"), want: base + "te: trailers\r\n\r\n"},
		{name: "length", fields: getWith(":method", "PUT", "content-length", "3"), body: true, want: "PUT / HTTP/1.1\r\nHost: a.test\r\ncontent-length: 3\r\n\r\n"},
		{name: "no length", fields: getWith(":method", "PUT"), body: true, want: "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "length 0 at the end", fields: getWith("content-length", "0"), want: base + "content-length: 0\r\n\r\n"},
		{name: "OPTIONS *", fields: getWith(":method", "OPTIONS", ":path", "*"), want: "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"},
		{name: "CONNECT", fields: []string{":method", "CONNECT", ":authority", "a.test:443"}, want: "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"},

		{name: "no method", fields: getWithout(":method"), want: malformed},
		{name: "no scheme", fields: getWithout(":scheme"), want: malformed},
		{name: "no path", fields: getWithout(":path"), want: malformed},
		{name: "empty path", fields: getWith(":path", ""), want: malformed},
		{name: "relative path", fields: getWith(":path", "a"), want: malformed},
		{name: "absolute path", fields: getWith(":path", "https://b.test/"), want: malformed},
		{name: "asterisk", fields: getWith(":path", "*"), want: malformed},
		{name: "method twice", fields: append([]string{":method", "GET"}, getFields...), want: malformed},
		{name: "path twice", fields: append([]string{":path", "/b"}, getFields...), want: malformed},
		{name: "unknown pseudo-header", fields: append([]string{":foo", "x"}, getFields...), want: malformed},
		{name: "pseudo-header of responses", fields: append([]string{":status", "200"}, getFields...), want: malformed},
		{name: "pseudo-header after a field", fields: append([]string{"x", "y"}, getFields...), want: malformed},
		{name: "other scheme", fields: getWith(":scheme", "ftp"), want: malformed},
		{name: "protocol without CONNECT", fields: append([]string{":protocol", "websocket"}, getFields...), want: malformed},
		{name: "CONNECT with a path", fields: getWith(":method", "CONNECT"), want: malformed},
		{name: "upper case", fields: getWith("X-Field", "y"), want: malformed},
		{name: "empty name", fields: getWith("", "y"), want: malformed},
		{name: "name with a space", fields: getWith("a b", "y"), want: malformed},
		{name: "name with a colon", fields: getWith("a:b", "y"), want: malformed},
		{name: "name with a line end", fields: getWith("a\r\nb", "y"), want: malformed},
		{name: "value with a line end", fields: getWith("a", "x\r\nTransfer-Encoding: chunked"), want: malformed},
		{name: "value with a line feed", fields: getWith("a", "x\ny"), want: malformed},
		{name: "value with NUL", fields: getWith("a", "x\x00y"), want: malformed},
		{name: "value begins with a space", fields: getWith("a", " x"), want: malformed},
		{name: "value ends with a tab", fields: getWith("a", "x\t"), want: malformed},
		{name: "method with a space", fields: getWith(":method", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"), want: malformed},
		{name: "path with a space", fields: getWith(":path", "/ HTTP/1.1"), want: malformed},
		{name: "authority with a line end", fields: getWith(":authority", "a\r\nX: y"), want: malformed},
		{name: "authority with a space", fields: getWith(":authority", "a b"), want: malformed},
		{name: "other host", fields: getWith("host", "b.test"), want: malformed},
		{name: "connection", fields: getWith("connection", "close"), want: malformed},
		{name: "keep-alive", fields: getWith("keep-alive", "1"), want: malformed},
		{name: "proxy-connection", fields: getWith("proxy-connection", "x"), want: malformed},
		{name: "transfer-encoding", fields: getWith("transfer-encoding", "chunked"), body: true, want: malformed},
		{name: "upgrade", fields: getWith("upgrade", "h2c"), want: malformed},
		{name: "te: gzip", fields: getWith("te", "gzip"), want: malformed},
		{name: "length twice", fields: getWith("content-length", "1", "content-length", "1"), body: true, want: malformed},
		{name: "length with a sign", fields: getWith("content-length", "+1"), body: true, want: malformed},
		{name: "length too large", fields: getWith("content-length", "9223372036854775808"), body: true, want: malformed},
		{name: "length without a body", fields: getWith("content-length", "5"), want: malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.got, p.events = nil, nil
			p.headers(1, !tc.body, tc.fields...)
			e := p.event()
			if tc.want == malformed {
				if e.Kind != Reset || e.Stream != nil || e.Reason == "" || p.last() != "RST_STREAM 1 PROTOCOL_ERROR" {
					t.Errorf("got %+v, frames %q; want a reset", e, p.got)
				}
				p.get(3) // the connection goes on
				if e := p.event(); e.Kind != Request {
					t.Errorf("the next request led to %+v", e)
				}
				return
			}
			if e.Kind != Request || string(e.Head) != tc.want || e.End == tc.body || e.Refusal != nil {
				t.Errorf("got  %q, %+v\nwant %q", e.Head, e, tc.want)
			}
			var r http1.Request
			if err := r.Parse(e.Head, &testLimits); (err != nil) != (tc.name == "CONNECT") {
				t.Errorf("package http1: %v", err)
			}
		})
	}
}

// getWithout returns the fields of a GET but for one.
func getWithout(name string) []string {
	var fields []string
	for j := 0; j < len(getFields); j += 2 {
		if getFields[j] != name {
			fields = append(fields, getFields[j], getFields[j+1])
		}
	}
	return fields
}

// getWith returns the fields of a GET with changes.
func getWith(list ...string) []string {
	fields := append([]string(nil), getFields...)
	for i := 0; i+1 < len(list); i += 2 {
		name, value := list[i], list[i+1]
		found := false
		for j := 0; j < len(fields); j += 2 {
			if fields[j] == name && strings.HasPrefix(name, ":") {
				fields[j+1], found = value, true
			}
		}
		if !found {
			fields = append(fields, name, value)
		}
	}
	return fields
}

// TestLongRequests holds that a request that is too long gets an answer while the connection goes
// on, and that its header table is right afterwards.
func TestLongRequests(t *testing.T) {
	many := append([]string(nil), getFields...)
	for range testLimits.FieldLen + pseudoFieldLen {
		many = append(many, "a", "b")
	}
	for _, tc := range []struct {
		name   string
		fields []string
		want   *http1.Error
	}{
		{"a long value", append(getFields[:8:8], "x", strings.Repeat("v", testLimits.HeadLen)), errHeadLen},
		{"a long path", []string{":method", "GET", ":scheme", "https", ":path", "/" + strings.Repeat("v", testLimits.HeadLen)}, errHeadLen},
		{"many fields", many, errFieldLen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.headers(1, true, tc.fields...)
			if e := p.event(); e.Kind != Request || e.Refusal != tc.want {
				t.Fatalf("got %+v, want a refusal", e)
			}
			p.answer(1)
			p.headers(3, true, append(getFields[:8:8], "x-indexed", "1")...)
			p.headers(5, true, append(getFields[:8:8], "x-indexed", "1")...)
			if e := p.event(); !strings.Contains(string(e.Head), "x-indexed: 1\r\n") {
				t.Errorf("afterwards: %q", e.Head)
			}
		})
	}
}

// TestBodies compares bodies with Content-Length, whichever frame ends them.
func TestBodies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length string
		pieces []string
		how    string // how the request ends: data, empty, trailers
		want   string
	}{
		{"with the last data", "5", []string{"he", "llo"}, "data", "end"},
		{"with an empty frame", "5", []string{"hello"}, "empty", "end"},
		{"with trailers", "5", []string{"hello"}, "trailers", "end"},
		{"without a length", "", []string{"hello"}, "data", "end"},
		{"too short", "6", []string{"hello"}, "data", "reset"},
		{"too short, with an empty frame", "6", []string{"hello"}, "empty", "reset"},
		{"too short, with trailers", "6", []string{"hello"}, "trailers", "reset"},
		{"too long", "4", []string{"hello"}, "", "reset"},
		{"nothing announced", "0", []string{"h"}, "", "reset"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t, nil)
			fields := postFields
			if tc.length != "" {
				fields = append(postFields[:8:8], "content-length", tc.length)
			}
			p.headers(1, false, fields...)
			for i, piece := range tc.pieces {
				p.data(1, tc.how == "data" && i == len(tc.pieces)-1, piece)
			}
			switch tc.how {
			case "empty":
				p.data(1, true, "")
			case "trailers":
				p.headers(1, true, "x-checksum", "1", "content-length", "7", "authorization", "x")
			}
			e := p.event()
			switch {
			case tc.want == "reset":
				if e.Kind != Reset || e.Reason != errLength.reason {
					t.Errorf("got %+v, want a reset", e)
				}
			case !e.End:
				t.Errorf("got %+v, want the end", e)
			case tc.how == "trailers" && string(e.Trailer) != "x-checksum: 1\r\n":
				t.Errorf("got the trailers %q", e.Trailer)
			}
		})
	}
}

func TestMalformedTrailers(t *testing.T) {
	for name, fields := range map[string][]string{
		"pseudo-header": {":path", "/"},
		"upper case":    {"X", "y"},
		"line end":      {"x", "y\r\nz: w"},
		"connection":    {"connection", "close"},
		"too long":      {"x", strings.Repeat("y", testLimits.TrailerLen)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, nil)
			p.post(1)
			p.headers(1, true, fields...)
			if e := p.event(); e.Kind != Reset || e.Stream == nil || e.Reason != errTrailers.reason {
				t.Errorf("got %+v, want a reset", e)
			}
		})
	}
	p := newPeer(t, nil)
	p.post(1)
	p.headers(1, false, "x", "y")
	if e := p.event(); e.Kind != Reset || e.Reason != errTrailers.reason {
		t.Errorf("trailers that do not end the stream: got %+v, want a reset", e)
	}
}

// TestContinuation decodes a header block in parts, while another connection uses the same scratch.
func TestContinuation(t *testing.T) {
	p, other := newPeer(t, nil), newPeer(t, nil)
	other.conn.scratch = p.conn.scratch
	block := p.fields(append(getFields[:8:8], "x-long", strings.Repeat("v", 100), "cookie", "a", "cookie", "b")...)
	_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block[:20],
		EndStream: true,
	})
	p.run()
	other.headers(1, true, append(getFields[:8:8], "x-other", strings.Repeat("o", 200))...)
	_ = p.framer.WriteContinuation(1, false, block[20:60])
	p.run()
	other.headers(3, true, append(getFields[:8:8], "cookie", strings.Repeat("o", 200))...)
	_ = p.framer.WriteContinuation(1, true, block[60:])
	p.run()
	want := "GET / HTTP/1.1\r\nHost: a.test\r\nx-long: " + strings.Repeat("v", 100) + "\r\nCookie: a; b\r\n\r\n"
	if e := p.event(); e.Kind != Request || !e.End || string(e.Head) != want {
		t.Errorf("got %q, want %q", e.Head, want)
	}
}

// TestWebSocket checks RFC 8441: an extended CONNECT asks the backend for an upgrade, and only a
// switch of protocols makes it a tunnel.
func TestWebSocket(t *testing.T) {
	connect := []string{
		":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a.test", ":path", "/chat",
		"sec-websocket-version", "13", "sec-websocket-key", "dGhlIGNsaWVudCdzIG93biE=",
	}
	p := newPeer(t, nil)
	p.got = nil
	p.headers(1, false, connect...)
	var r http1.Request
	if err := r.Parse(p.event().Head, &testLimits); err != nil {
		t.Fatal(err)
	}
	keys := 0
	for i := range r.Fields {
		if r.Fields[i].Is("Sec-WebSocket-Key") {
			keys++
		}
	}
	if string(r.Method) != "GET" || string(r.Upgrade) != "websocket" || keys != 1 || r.Framing != http1.NoBody {
		t.Errorf("got %q", p.event().Head)
	}
	p.head(1, 101, false, "sec-websocket-accept", "x")
	p.send(p.conn.AppendData(nil, p.stream(1), []byte("from the backend"), false))
	p.data(1, false, "from the client")
	if e := p.event(); e.Kind != Data || string(e.Data) != "from the client" {
		t.Errorf("got %+v", e)
	}
	p.send(p.conn.AppendEnd(nil, p.stream(1), nil))
	p.data(1, false, "more") // the other direction is still open
	p.data(1, true, "")
	if e := p.event(); e.Kind != Data || !e.End {
		t.Errorf("got %+v, want the end", e)
	}
	p.want("HEADERS 1 :status=200 sec-websocket-accept=x", `DATA 1 "from the backend"`, `DATA 1 "" END`)
	if p.conn.Len() != 0 {
		t.Errorf("%d streams are open, want none", p.conn.Len())
	}

	p.headers(3, false, connect...)
	p.head(3, 200, true) // a backend without this upgrade
	p.headers(5, false, connect...)
	p.head(5, 403, true)
	p.want("HEADERS 3 :status=502 END", "RST_STREAM 3 NO_ERROR", "HEADERS 5 :status=403 END", "RST_STREAM 5 NO_ERROR")

	connect[3] = "connect-udp"
	p.headers(7, false, connect...)
	if e := p.event(); e.Refusal == nil || e.Refusal.Status != 501 {
		t.Errorf("another protocol: got %+v, want 501", e)
	}
}

package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var testLimits = Limits{HeadLen: 4096, TargetLen: 1024, FieldLen: 32, TrailerLen: 256}

// TestHostileRequests checks the result of requests that recipients are known to read in two ways,
// together with harmless ones like them. It is long because it is a table.
func TestHostileRequests(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: example.com\r\n"
	const post = "POST / HTTP/1.1\r\nHost: example.com\r\n"
	for _, tc := range []struct {
		name string
		head string
		want string // "status: reason", or what was read
	}{
		// Which framing: request smuggling proper.
		{"CL.TE", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n", "400: Transfer-Encoding and Content-Length"},
		{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", "400: Transfer-Encoding and Content-Length"},
		{"TE.CL with an unknown coding", post + "Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\n", "400: Transfer-Encoding and Content-Length"},
		{"TE.TE two fields", post + "Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n", "400: several Transfer-Encoding fields"},
		{"TE.TE the same twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400: several Transfer-Encoding fields"},
		{"TE.TE unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n", "501: unknown transfer coding"},
		{"TE.TE space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n", "400: malformed field name"},
		{"TE.TE tab before the colon", post + "Transfer-Encoding\t: chunked\r\n\r\n", "400: malformed field name"},
		{"TE.TE tab after the colon", post + "Transfer-Encoding:\tchunked\r\n\r\n", "POST / example.com chunked"},
		{"TE.TE vertical tab", post + "Transfer-Encoding:\vchunked\r\n\r\n", "400: control character in a field"},
		{"TE.TE form feed after", post + "Transfer-Encoding: chunked\f\r\n\r\n", "400: control character in a field"},
		{"TE.TE NUL after", post + "Transfer-Encoding: chunked\x00\r\n\r\n", "400: control character in a field"},
		{"TE.TE no-break space", post + "Transfer-Encoding: \xa0chunked\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE.TE upper case", post + "TRANSFER-ENCODING: CHUNKED\r\n\r\n", "POST / example.com chunked"},
		{"TE.TE leading space", post + " Transfer-Encoding: chunked\r\n\r\n", "400: folded field"},
		{"TE.TE folded value", post + "Transfer-Encoding:\r\n chunked\r\n\r\n", "400: folded field"},
		{"TE.TE folded to nothing", post + "X: x\r\n Transfer-Encoding: chunked\r\n\r\n", "400: folded field"},
		{"TE.TE quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE.TE with parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE.TE bare LF inside", post + "X: x\nTransfer-Encoding: chunked\r\n\r\n", "400: line does not end in CR LF"},
		{"TE.TE bare CR inside", post + "X: x\rTransfer-Encoding: chunked\r\n\r\n", "400: line does not end in CR LF"},
		{"TE.TE underscore", post + "Transfer_Encoding: chunked\r\n\r\n", "POST / example.com no-body"},
		{"TE chunked not last", post + "Transfer-Encoding: chunked, identity\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE chunked then nothing", post + "Transfer-Encoding: chunked,\r\n\r\n", "501: unknown transfer coding"},
		{"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", "501: unknown transfer coding"},
		{"TE chunked twice in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n", "501: unknown transfer coding"},
		{"TE identity", post + "Transfer-Encoding: identity\r\n\r\n", "501: unknown transfer coding"},
		{"TE gzip", post + "Transfer-Encoding: gzip\r\n\r\n", "501: unknown transfer coding"},
		{"TE deflate, gzip", post + "Transfer-Encoding: deflate,\tGZip\r\n\r\n", "501: unknown transfer coding"},
		{"TE gzip with a parameter", post + "Transfer-Encoding: gzip;level=9\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE chunked not last, of three", post + "Transfer-Encoding: chunked, gzip, br\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE of nothing but commas", post + "Transfer-Encoding: ,,\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE gzip twice", post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: gzip\r\n\r\n", "400: several Transfer-Encoding fields"},
		{"TE gzip in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", "400: Transfer-Encoding in HTTP/1.0"},
		{"TE empty", post + "Transfer-Encoding:\r\n\r\n", "400: transfer coding does not end in chunked"},
		{"TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400: Transfer-Encoding in HTTP/1.0"},
		{"CL.0 on GET", get + "Content-Length: 44\r\n\r\n", "GET / example.com length=44"},
		{"CL zero", post + "Content-Length: 0\r\n\r\n", "POST / example.com length=0"},
		{"CL duplicated", post + "Content-Length: 6\r\nContent-Length: 5\r\n\r\n", "400: several Content-Length fields"},
		{"CL duplicated alike", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "400: several Content-Length fields"},
		{"CL duplicated in other case", post + "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", "400: several Content-Length fields"},
		{"CL list", post + "Content-Length: 5, 5\r\n\r\n", "400: malformed Content-Length"},
		{"CL plus", post + "Content-Length: +5\r\n\r\n", "400: malformed Content-Length"},
		{"CL minus", post + "Content-Length: -5\r\n\r\n", "400: malformed Content-Length"},
		{"CL minus zero", post + "Content-Length: -0\r\n\r\n", "400: malformed Content-Length"},
		{"CL hexadecimal", post + "Content-Length: 0x5\r\n\r\n", "400: malformed Content-Length"},
		{"CL fraction", post + "Content-Length: 5.0\r\n\r\n", "400: malformed Content-Length"},
		{"CL space inside", post + "Content-Length: 5 0\r\n\r\n", "400: malformed Content-Length"},
		{"CL underscore inside", post + "Content-Length: 1_0\r\n\r\n", "400: malformed Content-Length"},
		{"CL space around", post + "Content-Length: \t 5 \t\r\n\r\n", "POST / example.com length=5"},
		{"CL leading zeros", post + "Content-Length: 005\r\n\r\n", "POST / example.com length=5"},
		{"CL empty", post + "Content-Length:\r\n\r\n", "400: malformed Content-Length"},
		{"CL largest", post + "Content-Length: 9223372036854775807\r\n\r\n", "POST / example.com length=9223372036854775807"},
		{"CL overflows into the sign", post + "Content-Length: 9223372036854775808\r\n\r\n", "400: malformed Content-Length"},
		{"CL overflows to small", post + "Content-Length: 18446744073709551621\r\n\r\n", "400: malformed Content-Length"},
		{"CL other digits", post + "Content-Length: \u0665\r\n\r\n", "400: malformed Content-Length"},
		{"CL named by Connection", post + "Content-Length: 5\r\nConnection: content-length\r\n\r\n", "POST / example.com length=5"},

		// Lines.
		{"bare LF everywhere", "GET / HTTP/1.1\nHost: example.com\n\n", "400: line does not end in CR LF"},
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: example.com\r\n\r\n", "400: line does not end in CR LF"},
		{"bare LF at the end", get + "\n", "400: line does not end in CR LF"},
		{"bare CR after the request line", "GET / HTTP/1.1\rHost: example.com\r\n\r\n", "400: line does not end in CR LF"},
		{"CR CR LF", "GET / HTTP/1.1\r\nHost: example.com\r\r\n\r\n", "400: line does not end in CR LF"},
		{"CR LF before the request", "\r\n" + get + "\r\n", "GET / example.com no-body"},
		{"two CR LF before the request", "\r\n\r\n" + get + "\r\n", "400: empty line instead of a message"},
		{"LF before the request", "\n" + get + "\r\n", "400: empty line instead of a message"},
		{"space before the request", " " + get + "\r\n", "400: malformed method"},
		{"folded with a tab", get + "X: x\r\n\tx\r\n\r\n", "400: folded field"},
		{"folded first field", "GET / HTTP/1.1\r\n Host: example.com\r\n\r\n", "400: folded field"},

		// Fields.
		{"NUL in a value", get + "X: a\x00b\r\n\r\n", "400: control character in a field"},
		{"DEL in a value", get + "X: a\x7fb\r\n\r\n", "400: control character in a field"},
		{"escape in a long value", get + "X: 0123456789abcdef\x1b0123456789abcdef\r\n\r\n", "400: control character in a field"},
		{"tab in a value", get + "X: 0123\t4567\t8\r\n\r\n", "GET / example.com no-body"},
		{"UTF-8 in a value", get + "X: gr\u00fc\u00df dich\r\n\r\n", "GET / example.com no-body"},
		{"empty name", get + ": x\r\n\r\n", "400: malformed field name"},
		{"no colon", get + "X\r\n\r\n", "400: line does not end in CR LF"},
		{"NUL in a name", get + "X\x00: x\r\n\r\n", "400: malformed field name"},
		{"UTF-8 in a name", get + "\u00fc: x\r\n\r\n", "400: malformed field name"},
		{"bracket in a name", get + "X[]: x\r\n\r\n", "400: malformed field name"},
		{"space in a name", get + "X Y: x\r\n\r\n", "400: malformed field name"},
		{"empty value", get + "X:\r\n\r\n", "GET / example.com no-body"},
		{"too many fields", get + strings.Repeat("X: x\r\n", 32) + "\r\n", "431: too many fields"},
		{"long head", get + "X: " + strings.Repeat("x", 4096) + "\r\n\r\n", "431: long head"},
		{"too many connection options", get + "Connection: " + strings.Repeat("x,", 33) + "\r\n\r\n", "400: too many connection options"},
		{"expectation", get + "Expect: 200-ok\r\n\r\n", "417: unknown expectation"},
		{"two expectations", post + "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "417: unknown expectation"},
		{"expectation of HTTP/1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "POST /  length=1 close"},

		// Host.
		{"no Host", "GET / HTTP/1.1\r\n\r\n", "400: no Host"},
		{"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET /  no-body close"},
		{"two hosts", get + "Host: other.com\r\n\r\n", "400: several Host fields"},
		{"the same host twice", get + "Host: example.com\r\n\r\n", "400: several Host fields"},
		{"two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400: several Host fields"},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400: malformed Host"},
		{"Host with a user", "GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n", "400: malformed Host"},
		{"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400: malformed Host"},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400: malformed Host"},
		{"Host with a quote", "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", "400: malformed Host"},
		{"Host with an escape", "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", "400: malformed Host"},
		{"Host with a port", "GET / HTTP/1.1\r\nHost: a:8443\r\n\r\n", "GET / a:8443 no-body"},
		{"Host with an empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "400: malformed Host"},
		{"Host with a named port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", "400: malformed Host"},
		{"Host with a port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400: malformed Host"},
		{"Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400: malformed Host"},
		{"Host IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n", "GET / [2001:db8::1]:443 no-body"},
		{"Host IPv6 open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400: malformed Host"},
		{"Host IPv6 and more", "GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", "400: malformed Host"},
		{"Host IPv6 with a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", "400: malformed Host"},
		{"Host in brackets", "GET / HTTP/1.1\r\nHost: [abc]\r\n\r\n", "400: malformed Host"},
		{"Host named by Connection", get + "Connection: host\r\n\r\n", "GET / example.com no-body"},

		// Targets.
		{"absolute", "GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /a?b example.com no-body"},
		{"absolute in other case", "GET HTTPS://EXAMPLE.com/a HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /a EXAMPLE.com no-body"},
		{"absolute without path", "GET http://example.com?b HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /?b example.com no-body"},
		{"absolute for the server", "OPTIONS http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n", "OPTIONS * example.com no-body"},
		{"absolute, another host", "GET http://other.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute, another port", "GET http://example.com:81/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute, default port of http", "GET http://example.com:80/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET / example.com:80 no-body"},
		{"absolute, default port of https", "GET https://example.com:443/ HTTP/1.1\r\nHost: Example.com\r\n\r\n", "GET / example.com:443 no-body"},
		{"absolute, default port in Host", "GET http://example.com/ HTTP/1.1\r\nHost: example.com:80\r\n\r\n", "GET / example.com no-body"},
		{"absolute, default port in Host of https", "GET HTTPS://[::1]?a HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "GET /?a [::1] no-body"},
		{"absolute, leading zeros in a port", "GET http://example.com:0080/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET / example.com:0080 no-body"},
		{"absolute, the same port otherwise", "GET http://example.com:081/ HTTP/1.1\r\nHost: example.com:81\r\n\r\n", "GET / example.com:081 no-body"},
		{"absolute, default port of the other scheme", "GET http://example.com:443/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute, port of the other scheme in Host", "GET https://example.com/ HTTP/1.1\r\nHost: example.com:80\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute, default port of another host", "GET http://other.com:80/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute, a host that begins the same", "GET http://example.com:80/ HTTP/1.1\r\nHost: example.co\r\n\r\n", "400: target and Host name different hosts"},
		{"absolute without Host", "GET http://example.com/ HTTP/1.1\r\n\r\n", "400: no Host"},
		{"absolute without Host in HTTP/1.0", "GET http://example.com/ HTTP/1.0\r\n\r\n", "GET / example.com no-body close"},
		{"absolute with a user", "GET http://u:p@example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"absolute, empty authority", "GET http:///a HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"absolute, other scheme", "GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"relative", "GET index.html HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", "OPTIONS * example.com no-body"},
		{"asterisk of GET", "GET * HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", "501: CONNECT"},
		{"authority of GET", "GET example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", "400: malformed request target"},
		{"two slashes", "GET //other.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET //other.com/ example.com no-body"},
		{"percent signs stay", "GET /%2e%2E/%zz%?%00 HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET /%2e%2E/%zz%?%00 example.com no-body"},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request line"},
		{"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request line"},
		{"UTF-8 in the target", "GET /\u00fc HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed version"},
		{"no target", "GET HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request line"},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed request target"},
		{"long target", "GET /" + strings.Repeat("a", 1024) + " HTTP/1.1\r\nHost: example.com\r\n\r\n", "414: long request target"},

		// Methods and versions.
		{"no method", "/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed method"},
		{"method with a parenthesis", "GET( / HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed method"},
		{"method then tab", "GET\t/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400: malformed method"},
		{"long method", strings.Repeat("G", 33) + " / HTTP/1.1\r\nHost: example.com\r\n\r\n", "501: long method"},
		{"method of lower case", "get / HTTP/1.1\r\nHost: example.com\r\n\r\n", "get / example.com no-body"},
		{"TLS instead", "\x16\x03\x01\x02\x00\x01\n\n", "400: malformed method"},
		{"HTTP/0.9", "GET /\r\n\r\n", "400: malformed request line"},
		{"no version", "GET / \r\n\r\n", "400: malformed version"},
		{"HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: example.com\r\n\r\n", "505: unknown version"},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: example.com\r\n\r\n", "GET / example.com no-body"},
		{"HTTP/1.9 with chunks", "POST / HTTP/1.9\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / example.com chunked"},
		{"HTTP/1.2 without Host", "GET / HTTP/1.2\r\n\r\n", "400: no Host"},
		{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\n", "505: unknown version"},
		{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: example.com\r\n\r\n", "400: line does not end in CR LF"},
		{"HTTP/1", "GET / HTTP/1\r\nHost: example.com\r\n\r\n", "400: malformed version"},
		{"HTTP of lower case", "GET / http/1.1\r\nHost: example.com\r\n\r\n", "400: malformed version"},
		{"space after the version", "GET / HTTP/1.1 \r\nHost: example.com\r\n\r\n", "400: line does not end in CR LF"},
		{"nothing after the version", "GET / HTTP/1.1\n\n", "400: line does not end in CR LF"},

		// The connection afterwards.
		{"close", get + "Connection: close\r\n\r\n", "GET / example.com no-body close"},
		{"close and keep-alive", get + "Connection: keep-alive, CLOSE\r\n\r\n", "GET / example.com no-body close"},
		{"close in a second field", get + "Connection: x\r\nConnection: close\r\n\r\n", "GET / example.com no-body close"},
		{"close as part of a word", get + "Connection: enclosed\r\n\r\n", "GET / example.com no-body"},
		{"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /  no-body"},
		{"upgrade", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / example.com no-body upgrade=websocket"},
		{"upgrade, not named", get + "Upgrade: websocket\r\n\r\n", "GET / example.com no-body"},
		{"upgrade to h2c", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "GET / example.com no-body"},
		{"upgrade to h2c in a list", get + "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n", "GET / example.com no-body"},
		{"upgrade to HTTP/2.0", get + "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n", "GET / example.com no-body"},
		{"upgrade, two fields", get + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", "GET / example.com no-body"},
		{"upgrade with a body", post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n", "POST / example.com length=5 upgrade=websocket"},
		{"upgrade to nothing", get + "Connection: Upgrade\r\nUpgrade:\r\n\r\n", "GET / example.com no-body"},
		{"upgrade of HTTP/1.0", "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET /  no-body close"},
		{"continue", post + "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", "POST / example.com length=5 100"},
		{"continue without a body", post + "Expect: 100-continue\r\n\r\n", "POST / example.com no-body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := readRequest([]byte(tc.head)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// readRequest reads one head as an engine does and describes the result.
func readRequest(p []byte) string {
	n := HeadLen(p, 0)
	if n == 0 {
		return "incomplete"
	}
	var r Request
	if err := r.Parse(p[:n], &testLimits); err != nil {
		return describeError(err)
	}
	s := fmt.Sprintf("%s %s %s %s", r.Method, appendTarget(nil, &r), r.Host, describeFraming(r.Framing, r.Length))
	if r.Expect100 {
		s += " 100"
	}
	return s + describeConnection(r.KeepAlive, r.Upgrade)
}

func describeError(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "not of this package: " + err.Error()
	}
	return fmt.Sprintf("%d: %s", e.Status, e.Reason)
}

func describeFraming(f Framing, length int64) string {
	switch f {
	case ByLength:
		return fmt.Sprintf("length=%d", length)
	case Chunked:
		return "chunked"
	case UntilClose:
		return "until-close"
	}
	return "no-body"
}

func describeConnection(keepAlive bool, upgrade []byte) (s string) {
	if !keepAlive {
		s += " close"
	}
	if upgrade != nil {
		s += " upgrade=" + string(upgrade)
	}
	return s
}

package http1

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAppendRequest checks what a backend gets of a request. It is long because it is a table.
func TestAppendRequest(t *testing.T) {
	client := netip.MustParseAddrPort("192.0.2.1:1234")
	direct := Forward{Client: client, Secure: true, ListenPort: 443, KeepAlive: true}
	trusted := direct
	trusted.Trusted = true
	const told = "X-Forwarded-For: 192.0.2.1|X-Forwarded-Proto: https|X-Forwarded-Host: h|X-Forwarded-Port: 443|Forwarded: for=192.0.2.1;host=h;proto=https|"
	for _, tc := range []struct {
		name    string
		head    string // lines end in "|"
		forward Forward
		want    string
	}{
		{"plain", "GET /a?b=c HTTP/1.1|Host: h|Accept: */*|", direct, "GET /a?b=c HTTP/1.1|Host: h|Accept: */*|" + told},
		{"empty query", "GET /a? HTTP/1.1|Host: h|", direct, "GET /a? HTTP/1.1|Host: h|" + told},
		{"absolute", "GET http://h?b HTTP/1.1|Host: h|", direct, "GET /?b HTTP/1.1|Host: h|" + told},
		{"asterisk", "OPTIONS http://h HTTP/1.1|Host: h|", direct, "OPTIONS * HTTP/1.1|Host: h|" + told},
		{"spacing", "GET / HTTP/1.1|host:h|A:b|C: \td\t |E:|", direct, "GET / HTTP/1.1|Host: h|A: b|C: d|E: |" + told},
		{"close to the backend", "GET / HTTP/1.1|Host: h|", Forward{Client: client, Secure: true, ListenPort: 443}, "GET / HTTP/1.1|Host: h|" + told + "Connection: close|"},
		{"HTTP/1.0", "GET / HTTP/1.0|Host: h|", direct, "GET / HTTP/1.1|Host: h|" + told},
		{"by length", "POST / HTTP/1.1|Content-Length:  007|Host: h|", direct, "POST / HTTP/1.1|Host: h|Content-Length: 7|" + told},
		{"length 0", "POST / HTTP/1.1|Content-Length: 0|Host: h|", direct, "POST / HTTP/1.1|Host: h|Content-Length: 0|" + told},
		{"chunked", "POST / HTTP/1.1|Host: h|Transfer-Encoding:\tCHUNKED|Trailer: X-Sum|", direct, "POST / HTTP/1.1|Host: h|Trailer: X-Sum|Transfer-Encoding: chunked|" + told},
		{"Trailer without chunks", "POST / HTTP/1.1|Host: h|Trailer: X-Sum|", direct, "POST / HTTP/1.1|Host: h|" + told},
		{
			"for this hop", "GET / HTTP/1.1|Host: h|Connection: keep-alive, X-A,,x-b|X-A: 1|X-B: 2|X-C: 3|Keep-Alive: timeout=5|Proxy-Connection: keep-alive|TE: trailers|Upgrade: websocket|Proxy-Authorization: x|HTTP2-Settings: x|",
			direct, "GET / HTTP/1.1|Host: h|X-C: 3|" + told,
		},
		{"named, but not for this hop", "POST / HTTP/1.1|Host: h|Connection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For|Content-Length: 5|", direct, "POST / HTTP/1.1|Host: h|Content-Length: 5|" + told},
		{"masked", "GET / HTTP/1.1|Host: h|X_Forwarded-For: 1|Content_Length: 5|Proxy: evil|TRANSFER_ENCODING: chunked|My_Field: x|", direct, "GET / HTTP/1.1|Host: h|My_Field: x|" + told},
		{
			"masked otherwise", "GET / HTTP/1.1|Host: h|X.Forwarded.For: 1|X!Forwarded-For: 1|x-forwarded~for: 1|X^Forwarded*Proto: http|Content.Length: 5|Content!Length: 5|Transfer'Encoding: chunked|For.warded: x|X_Real_IP: 1|x.ssl.client-cn: 1|X-Forwarded.New: 1|X-Forwarded-New_One: 1|",
			trusted, "GET / HTTP/1.1|Host: h|For.warded: x|" + told,
		},
		{
			"who the client is", "GET / HTTP/1.1|Host: h|X-Real-IP: 1|x-client-ip: 1|Client-IP: 1|True-Client-IP: 1|X-Cluster-Client-IP: 1|X-Forwarded: 1|X-Scheme: https|X-URL-Scheme: https|Front-End-Https: on|Client-Cert: x|Client-Cert-Chain: x|X-SSL-Client-CN: x|X-Ssl-Cert: x|SSL-Client-Verify: SUCCESS|X-Client-Cert: x|X-Client-Cert-DN: x|X-Client: y|X-SSL: y|",
			direct, "GET / HTTP/1.1|Host: h|X-Client: y|X-SSL: y|" + told,
		},
		{
			"who the client is, by a proxy", "GET / HTTP/1.1|Host: h|X-Real-IP: 1|Client-Cert: x|X-SSL-Client-CN: x|X_SSL_Client-CN: x|Connection: X-Real-IP, client-cert|",
			trusted, "GET / HTTP/1.1|Host: h|X-Real-IP: 1|Client-Cert: x|X-SSL-Client-CN: x|" + told,
		},
		{
			"named, but for all recipients", "GET / HTTP/1.1|Host: h|Connection: cookie, authorization, AUTHORIZATION, if-match, Accept-Encoding, content-type, range, Sec-WebSocket-Key, X-Mine|Cookie: a|Authorization: b|If-Match: c|Accept-Encoding: d|Content-Type: e|Range: f|Sec-WebSocket-Key: g|X-Mine: h|",
			direct, "GET / HTTP/1.1|Host: h|Cookie: a|Authorization: b|If-Match: c|Accept-Encoding: d|Content-Type: e|Range: f|Sec-WebSocket-Key: g|" + told,
		},
		{"upgrade", "GET / HTTP/1.1|Host: h|Connection: keep-alive, Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|", direct, "GET / HTTP/1.1|Host: h|Sec-WebSocket-Version: 13|" + told + "Connection: Upgrade|Upgrade: websocket|"},
		{"upgrade to h2c", "GET / HTTP/1.1|Host: h|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: x|", direct, "GET / HTTP/1.1|Host: h|" + told},
		{"expectation", "POST / HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 1|", direct, "POST / HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 1|" + told},
		{"expectation of nothing", "POST / HTTP/1.1|Host: h|Expect: 100-continue|", direct, "POST / HTTP/1.1|Host: h|" + told},

		{"spoofed", "GET / HTTP/1.1|Host: h|X-Forwarded-For: 1|X-Forwarded-Proto: 2|X-Forwarded-Host: 3|X-Forwarded-Port: 4|Forwarded: for=5|X-Forwarded-Ssl: on|X-Forwarded_For: 6|", direct, "GET / HTTP/1.1|Host: h|" + told},
		{
			"trusted", "GET / HTTP/1.1|Host: h|X-Forwarded-For: 1, 2|X-Forwarded-Proto: http|X-Forwarded-Host: other|X-Forwarded-Port: 80|Forwarded: for=5|X-Forwarded-For: 3|X-FORWARDED-SSL: on|",
			trusted, "GET / HTTP/1.1|Host: h|X-Forwarded-Proto: http|X-Forwarded-Host: other|X-Forwarded-Port: 80|X-FORWARDED-SSL: on|X-Forwarded-For: 1, 2, 3, 192.0.2.1|Forwarded: for=5, for=192.0.2.1;host=h;proto=https|",
		},
		{"trusted, silent", "GET / HTTP/1.1|Host: h|X-Forwarded-For:|", trusted, "GET / HTTP/1.1|Host: h|" + told},
		{
			"IPv6", "GET / HTTP/1.1|Host: [2001:db8::2]:8443|",
			Forward{Client: netip.MustParseAddrPort("[2001:db8::1%eth0]:1"), ListenPort: 8443, KeepAlive: true},
			"GET / HTTP/1.1|Host: [2001:db8::2]:8443|X-Forwarded-For: 2001:db8::1|X-Forwarded-Proto: http|X-Forwarded-Host: [2001:db8::2]:8443|X-Forwarded-Port: 8443|" +
				`Forwarded: for="[2001:db8::1]";host="[2001:db8::2]:8443";proto=http|`,
		},
		{
			"IPv4 in IPv6", "GET / HTTP/1.1|Host: h:81|",
			Forward{Client: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1"), ListenPort: 81, KeepAlive: true},
			"GET / HTTP/1.1|Host: h:81|X-Forwarded-For: 192.0.2.1|X-Forwarded-Proto: http|X-Forwarded-Host: h:81|X-Forwarded-Port: 81|" + `Forwarded: for=192.0.2.1;host="h:81";proto=http|`,
		},
		{"trusted, but nothing known", "GET / HTTP/1.0|X-Forwarded-For: 1|", Forward{Trusted: true, KeepAlive: true}, "GET / HTTP/1.1|Host: |X-Forwarded-For: 1, unknown|X-Forwarded-Proto: http|Forwarded: for=unknown;proto=http|"},
		{"nothing known", "GET / HTTP/1.0|", Forward{KeepAlive: true}, "GET / HTTP/1.1|Host: |X-Forwarded-Proto: http|Forwarded: for=unknown;proto=http|"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Request
			if err := r.Parse(lines(tc.head+"|"), &testLimits); err != nil {
				t.Fatal(describeError(err))
			}
			got := string(AppendRequest([]byte("before "), &r, &tc.forward))
			if want := "before " + string(lines(tc.want+"|")); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// lines replaces each bar by CR LF, which keeps heads legible.
func lines(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\r\n")) }

// TestAnsweredExpectation: a second 100 is not asked for.
func TestAnsweredExpectation(t *testing.T) {
	var r Request
	if err := r.Parse(lines("POST / HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 1||"), &testLimits); err != nil || !r.Expect100 {
		t.Fatalf("got %v, %t", err, r.Expect100)
	}
	r.Expect100 = false
	if got := string(AppendRequest(nil, &r, &Forward{})); strings.Contains(got, "Expect") {
		t.Errorf("got %q", got)
	}
}

func TestIdempotent(t *testing.T) {
	for method, want := range map[string]bool{
		"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
		"POST": false, "PATCH": false, "get": false, "MKCOL": false,
	} {
		r := Request{Method: []byte(method)}
		if got := r.Idempotent(); got != want {
			t.Errorf("%s: got %t, want %t", method, got, want)
		}
	}
}

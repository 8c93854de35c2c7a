package uwsgi_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// The packet on the wire for the shortest request.
func TestWireFormat(t *testing.T) {
	v := &uwsgi.Vars{ServerPort: 80, Length: -1}
	got, err := uwsgi.AppendRequest([]byte("before"), parse(t, "GET / HTTP/1.0"), v)
	want := "before" + "\x00\xa1\x00\x00" +
		"\x0e\x00REQUEST_METHOD\x03\x00GET" +
		"\x09\x00PATH_INFO\x01\x00/" +
		"\x0b\x00REQUEST_URI\x01\x00/" +
		"\x0c\x00QUERY_STRING\x00\x00" +
		"\x0f\x00SERVER_PROTOCOL\x08\x00HTTP/1.0" +
		"\x0b\x00SCRIPT_NAME\x00\x00" +
		"\x0b\x00SERVER_NAME\x00\x00" +
		"\x0b\x00SERVER_PORT\x02\x0080" +
		"\x0c\x00UWSGI_ROUTER\x04\x00http"
	if err != nil || string(got) != want {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
}

func TestVariables(t *testing.T) {
	r := parse(t, "POST /caf%C3%A9?q=%20 HTTP/1.1", "Host: www.example.test:8443", "Content-Type: text/plain",
		"Content-Length: 7", "Accept: */*", "X-Request-ID: 1")
	v := plain()
	v.ServerPort, v.Length = 8443, 7
	v.TLS = &uwsgi.TLS{Protocol: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "www.example.test", Resumed: true}
	want := []variable{
		{"REQUEST_METHOD", "POST"},
		{"PATH_INFO", "/café"},
		{"REQUEST_URI", "/caf%C3%A9?q=%20"},
		{"QUERY_STRING", "q=%20"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"SCRIPT_NAME", ""},
		{"SERVER_NAME", "www.example.test"},
		{"SERVER_PORT", "8443"},
		{"UWSGI_ROUTER", "http"},
		{"HTTPS", "on"},
		{"SSL_PROTOCOL", "TLSv1.3"},
		{"SSL_CIPHER", "TLS_AES_128_GCM_SHA256"},
		{"SSL_SESSION_RESUMED", "Resumed"},
		{"SSL_SERVER_NAME", "www.example.test"},
		{"SSL_CLIENT_VERIFY", "NONE"},
		{"REMOTE_ADDR", "203.0.113.7"},
		{"REMOTE_PORT", "52930"},
		{"CONTENT_LENGTH", "7"},
		{"HTTP_HOST", "www.example.test:8443"},
		{"CONTENT_TYPE", "text/plain"},
		{"HTTP_ACCEPT", "*/*"},
		{"HTTP_X_REQUEST_ID", "1"},
	}
	if got := variables(t, r, v); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

const absent = "absent"

// Each request and its sender give a variable the value wanted; it must be absent if that is
// absent. It is long because it is a table.
func TestVariable(t *testing.T) {
	get := func(fields ...string) []string {
		return append([]string{"GET / HTTP/1.1", "Host: a"}, fields...)
	}
	tests := []struct {
		name   string
		lines  []string
		change func(*uwsgi.Vars)
		key    string
		want   string
	}{
		{"no TLS", get(), nil, "HTTPS", absent},
		{"no TLS", get(), nil, "SSL_CLIENT_VERIFY", absent},
		{"full handshake", get(), func(v *uwsgi.Vars) { v.TLS = &uwsgi.TLS{} }, "SSL_SESSION_RESUMED", "Initial"},
		{"no SNI", get(), func(v *uwsgi.Vars) { v.TLS = &uwsgi.TLS{} }, "SSL_SERVER_NAME", absent},
		{"server name of one's own", get(), func(v *uwsgi.Vars) { v.ServerName = "edge" }, "SERVER_NAME", "edge"},
		{"IPv6 host with a port", []string{"GET / HTTP/1.1", "Host: [::1]:8080"}, nil, "SERVER_NAME", "[::1]"},
		{"IPv6 host", []string{"GET / HTTP/1.1", "Host: [::1]"}, nil, "SERVER_NAME", "[::1]"},
		{"IPv6 client", get(), func(v *uwsgi.Vars) { v.Remote = netip.MustParseAddrPort("[2001:db8::7]:1") }, "REMOTE_ADDR", "2001:db8::7"},
		{"mapped client", get(), func(v *uwsgi.Vars) { v.Remote = netip.MustParseAddrPort("[::ffff:203.0.113.7]:1") }, "REMOTE_ADDR", "203.0.113.7"},
		{"client without an address", get(), func(v *uwsgi.Vars) { v.Remote = netip.AddrPort{} }, "REMOTE_ADDR", absent},
		{"client without an address", get(), func(v *uwsgi.Vars) { v.Remote = netip.AddrPort{} }, "REMOTE_PORT", absent},
		{"no body", get(), nil, "CONTENT_LENGTH", absent},
		{"empty body", get(), func(v *uwsgi.Vars) { v.Length = 0 }, "CONTENT_LENGTH", "0"},
		{"length stated is not the client's", get("Content-Length: 5"), func(v *uwsgi.Vars) { v.Length = 3 }, "CONTENT_LENGTH", "3"},
		{"length is not a field", get("Content-Length: 5"), nil, "HTTP_CONTENT_LENGTH", absent},
		{"no query", get(), nil, "REQUEST_URI", "/"},
		{"empty query", []string{"GET /? HTTP/1.1", "Host: a"}, nil, "REQUEST_URI", "/?"},
		{"second question mark", []string{"GET /?a?b HTTP/1.1", "Host: a"}, nil, "QUERY_STRING", "a?b"},
		{"absolute form", []string{"GET http://a/b?c HTTP/1.1", "Host: a"}, nil, "REQUEST_URI", "/b?c"},
		{"absolute form without Host", []string{"GET http://a:1/b HTTP/1.0"}, nil, "HTTP_HOST", "a:1"},
		{"no Host", []string{"GET / HTTP/1.0"}, nil, "HTTP_HOST", absent},
		{"asterisk", []string{"OPTIONS * HTTP/1.1", "Host: a"}, nil, "PATH_INFO", "*"},

		{"repeated field", get("Accept: a", "X: b", "ACCEPT: c", "accept: "), nil, "HTTP_ACCEPT", "a, c, "},
		{"repeated cookie", get("Cookie: a=1", "cookie: b=2"), nil, "HTTP_COOKIE", "a=1; b=2"},
		{"white space and high bytes", get("X:  \xe9 b\t"), nil, "HTTP_X", "\xe9 b"},
		{"Host is there once", get(), nil, "HTTP_HOST", "a"},
		{"WebSocket", get("Connection: Upgrade", "Upgrade: websocket"), nil, "HTTP_UPGRADE", "websocket"},
		{"WebSocket", get("Connection: keep-alive, Upgrade", "Upgrade: websocket"), nil, "HTTP_CONNECTION", "Upgrade"},
		{"upgrade that was not requested", get("Upgrade: websocket"), nil, "HTTP_UPGRADE", absent},
		{"settled with the client", get("Expect: 100-continue"), nil, "HTTP_EXPECT", absent},

		// What a client could make an application believe.
		{"httpoxy", get("Proxy: http://evil"), nil, "HTTP_PROXY", absent},
		{"underscore", get("X_User: root", "X-User: me"), nil, "HTTP_X_USER", "me"},
		{"only an underscore", get("X_User: root"), nil, "HTTP_X_USER", absent},
		{"dot, an underscore to PHP", get("X.User: root"), nil, "HTTP_X.USER", absent},
		{"length with an underscore", get("Content_Length: 9"), nil, "CONTENT_LENGTH", absent},
		{"variable of the router's", get("Remote-Addr: 10.0.0.1"), nil, "REMOTE_ADDR", "203.0.113.7"},
		{"variable of the router's", get("Remote-Addr: 10.0.0.1"), nil, "HTTP_REMOTE_ADDR", "10.0.0.1"},
		{"HTTPS", get("HTTPS: on"), nil, "HTTPS", absent},
		{"certificate", get("SSL-Client-Verify: SUCCESS"), func(v *uwsgi.Vars) { v.TLS = &uwsgi.TLS{} }, "SSL_CLIENT_VERIFY", "NONE"},
		{"spoofed address", get("X-Forwarded-For: 10.0.0.1"), nil, "HTTP_X_FORWARDED_FOR", absent},
		{"spoofed scheme", get("x-forwarded-ssl: on"), nil, "HTTP_X_FORWARDED_SSL", absent},
		{"spoofed hop", get("Forwarded: for=10.0.0.1"), nil, "HTTP_FORWARDED", absent},
		{"trusted address", get("X-Forwarded-For: 10.0.0.1"), func(v *uwsgi.Vars) { v.Trusted = true }, "HTTP_X_FORWARDED_FOR", "10.0.0.1"},
		{"trusted hop", get("Forwarded: for=10.0.0.1"), func(v *uwsgi.Vars) { v.Trusted = true }, "HTTP_FORWARDED", "for=10.0.0.1"},
		{"forwarded something else", get("X-Forwarding: a"), nil, "HTTP_X_FORWARDING", "a"},
		{"spoofed address by another name", get("X-Real-IP: 10.0.0.1"), nil, "HTTP_X_REAL_IP", absent},
		{"spoofed certificate", get("X-SSL-Client-CN: root"), nil, "HTTP_X_SSL_CLIENT_CN", absent},
		{"trusted address by another name", get("X-Real-IP: 10.0.0.1"), func(v *uwsgi.Vars) { v.Trusted = true }, "HTTP_X_REAL_IP", "10.0.0.1"},
		{"cookie named by Connection", get("Connection: Cookie", "Cookie: a"), nil, "HTTP_COOKIE", "a"},
		{"transfer coding", get("Transfer-Encoding: chunked"), nil, "HTTP_TRANSFER_ENCODING", absent},
		{"connection", get("Connection: close"), nil, "HTTP_CONNECTION", absent},
		{"named by Connection", get("Connection: X", "X: a"), nil, "HTTP_X", absent},
		{"proxy's password", get("Proxy-Authorization: Basic a"), nil, "HTTP_PROXY_AUTHORIZATION", absent},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.key, func(t *testing.T) {
			v := plain()
			if tt.change != nil {
				tt.change(v)
			}
			got, found := lookUp(t, variables(t, parse(t, tt.lines...), v), tt.key)
			if !found {
				got = absent
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPath(t *testing.T) {
	tests := []struct {
		path, want string // the reason it is refused for, if it does not begin with a slash
	}{
		{"/", "/"},
		{"//a///b/", "//a///b/"},
		{"/a+b", "/a+b"},
		{"/%41%7a%7A", "/Azz"},
		{"/a%2Fb", "/a/b"},
		{"/%25%34%31", "/%41"},
		{"/%ff", "/\xff"},
		{"/%0d%0a", "/\r\n"},
		{"/.", "/."},
		{"/...", "/..."},
		{"/a..b/..c/d../.", "/a..b/..c/d../."},
		{"/%00", "NUL in the path"},
		{"/a%00.html", "NUL in the path"},
		{"/%", "malformed escape in the path"},
		{"/%4", "malformed escape in the path"},
		{"/%4g", "malformed escape in the path"},
		{"/%g4", "malformed escape in the path"},
		{"/%%41", "malformed escape in the path"},
		{"/%u0041", "malformed escape in the path"},
		{"/..", "dot-dot segment in the path"},
		{"/../etc/passwd", "dot-dot segment in the path"},
		{"/a/../b", "dot-dot segment in the path"},
		{"/a/%2e%2E/b", "dot-dot segment in the path"},
		{"/a/.%2e", "dot-dot segment in the path"},
		{"/a%2f..%2fb", "dot-dot segment in the path"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			r := parse(t, "GET "+tt.path+" HTTP/1.1", "Host: a")
			p, err := uwsgi.AppendRequest([]byte("before"), r, plain())
			if !strings.HasPrefix(tt.want, "/") {
				var refused *http1.Error
				if !errors.As(err, &refused) || refused.Status != 400 || refused.Reason != tt.want ||
					string(p) != "before" {
					t.Errorf("got %q, %v, want status 400, %s", p, err, tt.want)
				}
				return
			}
			if got, _ := lookUp(t, variables(t, r, plain()), "PATH_INFO"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got, _ := lookUp(t, variables(t, r, plain()), "REQUEST_URI"); got != tt.path {
				t.Errorf("REQUEST_URI: got %q, want %q", got, tt.path)
			}
		})
	}
}

// A packet holds 65535 bytes of variables and no more, in one value or many.
func TestPacketLen(t *testing.T) {
	base, err := uwsgi.AppendRequest(nil, parse(t, "GET / HTTP/1.1", "Host: a", "X: "), plain())
	if err != nil {
		t.Fatal(err)
	}
	room := 65535 - (len(base) - 4)
	half := strings.Repeat("x", room/2)
	tests := []struct {
		name  string
		lines []string
		fits  bool
	}{
		{"one value", []string{"X: " + strings.Repeat("x", room)}, true},
		{"one value too long", []string{"X: " + strings.Repeat("x", room+1)}, false},
		{"one value longer than any, and more", []string{"X: " + strings.Repeat("x", 65536+10), "X: y", "Y: z"}, false},
		{"joined values", []string{"X: " + half, "X: " + half[:len(half)-4]}, true},
		{"joined values too long, and more", []string{"X: " + half, "X: " + half + "xxxx", "Y: z", "X: y"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := parse(t, append([]string{"GET / HTTP/1.1", "Host: a"}, tt.lines...)...)
			p, err := uwsgi.AppendRequest([]byte("before"), r, plain())
			if tt.fits {
				if _, decodeErr := decode(p[len("before"):]); err != nil || decodeErr != nil {
					t.Errorf("got %v, %v", err, decodeErr)
				}
				return
			}
			var refused *http1.Error
			if !errors.As(err, &refused) || refused.Status != 431 || string(p) != "before" {
				t.Errorf("got %d bytes, %v, want status 431", len(p), err)
			}
		})
	}
}

// TestHTTP2Version holds that an application is told of HTTP/2, although the head is written as one
// of HTTP/1.1 on its way.
func TestHTTP2Version(t *testing.T) {
	v := plain()
	v.HTTP2 = true
	if got := variables(t, parse(t, "GET / HTTP/1.1", "Host: a"), v); !slices.Contains(got, variable{"SERVER_PROTOCOL", "HTTP/2.0"}) {
		t.Errorf("got %v", got)
	}
}

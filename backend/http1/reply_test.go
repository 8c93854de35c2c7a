package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAppendResponse checks what a client gets of a response.
func TestAppendResponse(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method string
		head   string // lines end in "|"
		out    Outgoing
		want   string
	}{
		{"by length", "GET", "HTTP/1.1 200 OK|Content-Length: 05|Server: x|", Outgoing{Minor: 1, Framing: ByLength, Length: 5}, "HTTP/1.1 200 OK|Server: x|Content-Length: 5|"},
		{"chunked", "GET", "HTTP/1.1 200 OK|Transfer-Encoding: Chunked|Trailer: X|", Outgoing{Minor: 1, Framing: Chunked}, "HTTP/1.1 200 OK|Trailer: X|Transfer-Encoding: chunked|"},
		{"until close to chunked", "GET", "HTTP/1.0 200 OK|", Outgoing{Minor: 1, Framing: Chunked}, "HTTP/1.1 200 OK|Transfer-Encoding: chunked|"},
		{"chunked to until close", "GET", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: X|", Outgoing{Close: true, Framing: UntilClose}, "HTTP/1.1 200 OK|Connection: close|"},
		{"close", "GET", "HTTP/1.1 200 OK|Content-Length: 5|", Outgoing{Close: true, Minor: 1, Framing: ByLength, Length: 5}, "HTTP/1.1 200 OK|Content-Length: 5|Connection: close|"},
		{"keep-alive in HTTP/1.0", "GET", "HTTP/1.1 200 OK|Content-Length: 5|", Outgoing{Framing: ByLength, Length: 5}, "HTTP/1.1 200 OK|Content-Length: 5|Connection: keep-alive|"},
		{"for this hop", "GET", "HTTP/1.1 200 OK|Connection: close, X-A|X-A: 1|X-B: 2|Keep-Alive: timeout=5|Proxy-Connection: x|Upgrade: h2c|TE: x|Proxy-Authenticate: x|Content-Length: 0|", Outgoing{Minor: 1, Framing: ByLength}, "HTTP/1.1 200 OK|X-B: 2|Content-Length: 0|"},
		{"named, but for all recipients", "GET", "HTTP/1.1 200 OK|Connection: set-cookie, strict-transport-security, content-security-policy, X-A|Set-Cookie: a|Strict-Transport-Security: b|Content-Security-Policy: c|X-A: d|Content-Length: 0|", Outgoing{Minor: 1, Framing: ByLength}, "HTTP/1.1 200 OK|Set-Cookie: a|Strict-Transport-Security: b|Content-Security-Policy: c|Content-Length: 0|"},
		{"repeated fields", "GET", "HTTP/1.1 200 OK|Set-Cookie: a=b|Set-Cookie:c=d|Content-Length: 0|", Outgoing{Minor: 1, Framing: ByLength}, "HTTP/1.1 200 OK|Set-Cookie: a=b|Set-Cookie: c=d|Content-Length: 0|"},
		{"more fields", "GET", "HTTP/1.1 200 OK|Content-Length: 0|", Outgoing{Minor: 1, Framing: ByLength, Rules: rules(t, "set Strict-Transport-Security: max-age=1")}, "HTTP/1.1 200 OK|Content-Length: 0|Strict-Transport-Security: max-age=1|"},
		{"no reason", "GET", "HTTP/1.1 200|Content-Length: 0|", Outgoing{Minor: 1, Framing: ByLength}, "HTTP/1.1 200 |Content-Length: 0|"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK|Content-Length: 5|", Outgoing{Minor: 1, Length: 5}, "HTTP/1.1 200 OK|Content-Length: 5|"},
		{"HEAD of unknown length", "HEAD", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|", Outgoing{Minor: 1, Length: -1}, "HTTP/1.1 200 OK|"},
		{"204", "GET", "HTTP/1.1 204 No Content|Content-Length: 0|", Outgoing{Minor: 1}, "HTTP/1.1 204 No Content|"},
		{"304", "GET", "HTTP/1.1 304 Not Modified|ETag: x|", Outgoing{Minor: 1, Length: -1}, "HTTP/1.1 304 Not Modified|ETag: x|"},
		{"100", "POST", "HTTP/1.1 100 Continue|Connection: close|", Outgoing{Close: true, Minor: 1, Rules: rules(t, "set A: b")}, "HTTP/1.1 100 Continue|"},
		{"101", "GET", "HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: websocket|Sec-WebSocket-Accept: x|", Outgoing{Minor: 1}, "HTTP/1.1 101 Switching Protocols|Sec-WebSocket-Accept: x|Connection: Upgrade|Upgrade: websocket|"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Response
			if err := r.Parse(lines(tc.head+"|"), []byte(tc.method), &testLimits); err != nil {
				t.Fatal(describeError(err))
			}
			if got, want := string(AppendResponse(nil, &r, &tc.out)), string(lines(tc.want+"|")); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestAppendError reads each of a gateway's errors with net/http.
func TestAppendError(t *testing.T) {
	for _, status := range []int{
		400, 403, 404, 405, 408, 411, 413, 414, 417, 431, 500, 501, 502, 503,
		504, 505,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			out := &Outgoing{Close: true, Head: method == "HEAD", Minor: 1, Rules: rules(t, "set A: b")}
			response, body := readBack(t, AppendError(nil, status, out), method)
			text := http.StatusText(status) + "\n"
			if response.StatusCode != status || response.ContentLength != int64(len(text)) ||
				!response.Close || response.Header.Get("A") != "b" {
				t.Errorf("%d to %s: got %+v", status, method, response)
			}
			if want := map[string]string{"GET": text}[method]; body != want {
				t.Errorf("%d to %s: got %q, want %q", status, method, body, want)
			}
		}
	}
}

// readBack reads a response with net/http; nothing may follow it.
func readBack(t *testing.T, p []byte, method string) (*http.Response, string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(p))
	response, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("%q follows the response", rest)
	}
	return response, string(body)
}

func TestAppendRedirect(t *testing.T) {
	for _, tc := range []struct {
		name, line, host string
		port             int
		want             string
	}{
		{"standard port", "GET /a?b=%20 HTTP/1.1", "h", 443, "https://h/a?b=%20"},
		{"another port", "GET / HTTP/1.1", "h:8080", 8443, "https://h:8443/"},
		{"IPv6", "GET / HTTP/1.1", "[::1]:80", 443, "https://[::1]/"},
		{"asterisk", "OPTIONS * HTTP/1.1", "h", 443, "https://h/"},
		{"another host in the path", "GET //evil/ HTTP/1.1", "h", 443, "https://h//evil/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Request
			if err := r.Parse(lines(tc.line+"|Host: "+tc.host+"||"), &testLimits); err != nil {
				t.Fatal(describeError(err))
			}
			response, _ := readBack(t, AppendRedirect(nil, &r, tc.port, &Outgoing{Minor: 1}), "GET")
			if got := response.Header.Get("Location"); response.StatusCode != 301 || got != tc.want {
				t.Errorf("got %d %s, want 301 %s", response.StatusCode, got, tc.want)
			}
		})
	}
	var r Request
	if err := r.Parse(lines("GET / HTTP/1.0||"), &testLimits); err != nil {
		t.Fatal(describeError(err))
	}
	if got := string(AppendRedirect(nil, &r, 443, &Outgoing{})); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("without a host: got %q", got)
	}
}

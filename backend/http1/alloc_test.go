package http1

import (
	"net/netip"
	"testing"
	"time"
)

// TestAllocations pins that a message on a kept connection allocates nothing.
func TestAllocations(t *testing.T) {
	var (
		request  Request
		refused  Request
		response Response
		body     Body
		dst      = make([]byte, 0, 4096)
		forward  = Forward{
			Client: netip.MustParseAddrPort("[2001:db8::1]:1234"), Secure: true, ListenPort: 443,
			Trusted: true, KeepAlive: true,
		}
		out    = Outgoing{Minor: 1, Framing: ByLength, Length: 5}
		get    = []byte("GET")
		chunks = []byte("5;a=b\r\nhello\r\n0\r\n\r\n")
		bad    = []byte("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
		answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\n")
	)
	r := rules(t, "set X-A: ${REMOTE_ADDR}:${REMOTE_PORT} ${REQUEST_ID} ${SSL_CLIENT_S_DN}", "remove Accept", "add Via: 1.1 us")
	forward.Rules, forward.Facts = r, &someFacts
	out.Rules, out.Facts = r, &someFacts
	var clock Clock
	now := time.Unix(1, 0)
	if err := request.Parse(browserHead, &testLimits); err != nil {
		t.Fatal(err)
	}
	if err := response.Parse(answer, get, &testLimits); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		call func()
	}{
		{"HeadLen", func() { HeadLen(browserHead, 0) }},
		{"Request.Parse", func() { _ = request.Parse(browserHead, &testLimits) }},
		{"AppendRequest", func() { AppendRequest(dst, &request, &forward) }},
		{"Response.Parse", func() { _ = response.Parse(answer, get, &testLimits) }},
		{"AppendResponse", func() { AppendResponse(dst, &response, &out) }},
		{"Body.Next", func() {
			body.Start(Chunked, 0, &testLimits)
			_, _, _ = body.Next(chunks)
		}},
		{"AppendChunk", func() { AppendLastChunk(AppendChunk(dst, get), nil) }},
		{"AppendError", func() { AppendError(dst, 400, &out) }},
		{"AppendRedirect", func() { AppendRedirect(dst, &request, 8443, &out) }},
		{"Clock.Line", func() { now = now.Add(time.Second); out.Date = clock.Line(now) }},
		{"a refused request", func() { _ = refused.Parse(bad, &testLimits) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, tc.call); got > 0 {
				t.Errorf("got %v allocations, want 0", got)
			}
		})
	}
}

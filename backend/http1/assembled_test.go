package http1

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Parts of messages: mostly well-formed, so that many messages are accepted, in combinations that a
// table would not have.
var (
	requestLines = []string{
		"GET / HTTP/1.1|", "POST /a?b HTTP/1.1|", "PUT /%2e%zz?? HTTP/1.1|", "HEAD //h/ HTTP/1.1|", "GET http://h/a HTTP/1.1|", "GET https://H?a HTTP/1.1|",
		"OPTIONS * HTTP/1.1|", "OPTIONS http://h HTTP/1.1|", "GET / HTTP/1.0|", "POST http://h HTTP/1.0|", "|TRACE / HTTP/1.1|", "GET /\"<>\\^`{} HTTP/1.1|",
	}
	statusLines = []string{
		"HTTP/1.1 200 OK|", "HTTP/1.0 200 OK|", "HTTP/1.1 204 No Content|", "HTTP/1.1 304 |", "HTTP/1.1 404|", "HTTP/1.1 100 Continue|",
		"HTTP/1.1 101 Switching Protocols|", "HTTP/1.1 500  Internal\tError |", "HTTP/1.1 599 \xfc|", "HTTP/1.1 206 Partial Content|",
	}
	fieldLines = []string{
		"Content-Length: 5|", "content-length:\t05 |", "Transfer-Encoding: chunked|", "TRANSFER-ENCODING:CHUNKED |", "Connection: close|", "Connection: Keep-Alive, X-A|",
		"Connection: upgrade|", "connection: ,x-b,, TE|", "Upgrade: websocket|", "Upgrade: h2c|", "X-A: 1|", "x-b:2|", "X-A: 3|", "Cookie: a=b; c=d|", "Expect: 100-continue|",
		"X-Forwarded-For: 1, 2|", "x-forwarded-for: [::1]|", "Forwarded: for=x|", "X-Forwarded-Proto: http|", "X_Forwarded_Host: y|", "Content_Length: 7|", "Proxy: z|",
		"Trailer: A|", "Trailer: Content-Length|", "TE: trailers|", "Keep-Alive: timeout=5|", "Pragma: no-cache|", "X-Long: " + strings.Repeat("long \t", 20) + "|",
		"X-Empty:|", "X-Empty: \t |", "X-Latin: gr\xfc\xdf|", "X!#$%&'*+-.^_`~: tchar|", "Set-Cookie: a|", "Set-Cookie: b|", "Content-Type: text/plain|",
	}
	hostLines = []string{"Host: h|", "host:\th |", "Host: h|", "Host: [::1]:80|", ""}
	contents  = []string{"", "hello", "5|hello|0||", "5;x=\"y\"|hello|00|A: b|Host: x||", "0||", "0||GET / HTTP/1.1||", "helloGET / HTTP/1.1|Host: h||", "5|hello|A|0123456789|0|A:b |||"}
)

// assemble puts a message together from a first line and up to five fields.
func assemble(r *rand.Rand, firstLines, hosts []string) []byte {
	var s strings.Builder
	s.WriteString(pick(r, firstLines) + pick(r, hosts))
	for range r.IntN(6) {
		s.WriteString(pick(r, fieldLines))
	}
	return lines(s.String() + "|" + pick(r, contents))
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// TestAssembled compares assembled messages with net/http's reading, as the fuzz tests do with
// their inputs.
func TestAssembled(t *testing.T) {
	const count = 3000
	random := rand.New(rand.NewPCG(1, 2))
	requests, responses := 0, 0
	for range count {
		if checkRequest(t, assemble(random, requestLines, hostLines)) {
			requests++
		}
		if checkResponse(t, assemble(random, statusLines, []string{""}), random.IntN(4) == 0) {
			responses++
		}
		if t.Failed() {
			return
		}
	}
	if requests < count/10 || responses < count/10 {
		t.Errorf("only %d requests and %d responses were accepted of %d", requests, responses, count)
	}
	t.Logf("accepted %d requests and %d responses of %d", requests, responses, count)
}

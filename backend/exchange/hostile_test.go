package exchange

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"reprise/backend"
)

// The request that an attacker wants a backend to see.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

// hostileRequests are sent unchanged, except that <s> stands for smuggled, <n> for its length and
// <c> for a chunk of it.
var hostileRequests = []struct {
	name string
	in   string
	want string   // the statuses of all responses, with "close" if the last one announces it
	seen []string // requests that the backend receives
}{
	// Two ways to mark the end of the request.
	{"CL.TE", post + "Content-Length: <n>\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n<c>0\r\n\r\n", "400 close", nil},
	{"TE.TE, second unknown", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, first unknown", post + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, space before the colon", post + "Content-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n<c>0\r\n\r\n", "400 close", nil},
	{"TE.TE, vertical tab", post + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, NUL", post + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, quoted", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, behind a bare LF", post + "X: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, behind a bare CR", post + "X: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, folded", post + "X: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, underscore", post + "Content-Length: <n>\r\nTransfer_Encoding: chunked\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"TE chunked not last", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n<s>", "501 close", nil},
	{"TE identity", post + "Transfer-Encoding: identity\r\n\r\n<s>", "501 close", nil},
	{"TE gzip", post + "Transfer-Encoding: gzip\r\n\r\n<s>", "501 close", nil},
	{"TE in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE named by Connection", post + "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n\r\n<c>0\r\n\r\n", "200", []string{"POST /a <s>"}},
	{"CL.0 on GET", get + "Content-Length: <n>\r\n\r\n<s>", "200", []string{"GET /a <s>"}},
	{"CL named by Connection", post + "Content-Length: <n>\r\nConnection: content-length\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"CL twice", post + "Content-Length: <n>\r\nContent-Length: 0\r\n\r\n<s>", "400 close", nil},
	{"CL twice alike", post + "Content-Length: <n>\r\nContent-Length: <n>\r\n\r\n<s>", "400 close", nil},
	{"CL list", post + "Content-Length: <n>, <n>\r\n\r\n<s>", "400 close", nil},
	{"CL plus", post + "Content-Length: +<n>\r\n\r\n<s>", "400 close", nil},
	{"CL minus zero", post + "Content-Length: -0\r\n\r\n<s>", "400 close", nil},
	{"CL hexadecimal", post + "Content-Length: 0x2c\r\n\r\n<s>", "400 close", nil},
	{"CL overflow", post + "Content-Length: 18446744073709551660\r\n\r\n<s>", "400 close", nil},
	{"CL empty", post + "Content-Length:\r\n\r\n<s>", "400 close", nil},
	{"CL space inside", post + "Content-Length: 4 4\r\n\r\n<s>", "400 close", nil},
	{"CL of HTTP/1.0", "POST /a HTTP/1.0\r\nContent-Length: <n>\r\n\r\n<s>", "200 close", []string{"POST /a <s>"}},

	// Chunks. By then the backend has the head, but not a whole request.
	{"chunk size signed", chunked + "+1\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size with 0x", chunked + "0x1\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size empty", chunked + "\r\n\r\n<s>", "400 close", nil},
	{"chunk size overflows", chunked + "10000000000000001\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size with a space", chunked + "1 \r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size, bare LF", chunked + "1\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension", chunked + "1;a=b\r\na\r\n0;c\r\n\r\n", "200", []string{"POST /a a"}},
	{"chunk extension, no name", chunked + "1;\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, no token", chunked + "1;bad[=x\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, bare LF", chunked + "1;a\nb\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, long", chunked + "1;" + strings.Repeat("a", 300) + "\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk too long for its size", chunked + "1\r\nab\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk end, bare LF", chunked + "1\r\na\n0\r\n\r\n<s>", "400 close", nil},
	{"trailer", chunked + "0\r\nX: x\r\n\r\n", "200", []string{"POST /a "}},
	{"trailer that frames", chunked + "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "200", []string{"POST /a "}},
	{"trailer, folded", chunked + "0\r\nX: x\r\n y\r\n\r\n<s>", "400 close", nil},
	{"trailer, bare LF", chunked + "0\r\nX: x\n\r\n<s>", "400 close", nil},
	{"trailer, long", chunked + "0\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n<s>", "431 close", nil},
	{"smuggled behind the last chunk", chunked + "0\r\n\r\n<s>", "200 200", []string{"POST /a ", "GET /smuggled "}}, // a pipelined request is allowed

	// Lines and fields.
	{"bare LF throughout", "GET /a HTTP/1.1\nHost: localhost\n\n<s>", "400 close", nil},
	{"CR CR LF", "GET /a HTTP/1.1\r\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"first field folded", "GET /a HTTP/1.1\r\n Host: localhost\r\n\r\n<s>", "400 close", nil},
	{"NUL in a value", get + "X: a\x00b\r\n\r\n<s>", "400 close", nil},
	{"NUL in a name", get + "X\x00: a\r\n\r\n<s>", "400 close", nil},
	{"no colon", get + "X\r\n\r\n<s>", "400 close", nil},
	{"no name", get + ": x\r\n\r\n<s>", "400 close", nil},
	{"space in a name", get + "X Y: x\r\n\r\n<s>", "400 close", nil},
	{"too many fields", get + strings.Repeat("X: x\r\n", 101) + "\r\n<s>", "431 close", nil},
	{"long head", get + "X: " + strings.Repeat("x", 33<<10) + "\r\n\r\n<s>", "431 close", nil},
	{"endless head", get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 1000), "431 close", nil},
	{"unknown expectation", post + "Expect: 200-maybe\r\nContent-Length: <n>\r\n\r\n<s>", "417 close", nil},

	// Hosts, targets, methods, versions.
	{"no Host", "GET /a HTTP/1.1\r\n\r\n<s>", "400 close", nil},
	{"two hosts", get + "Host: other\r\n\r\n<s>", "400 close", nil},
	{"Host with a user", "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n<s>", "400 close", nil},
	{"Host with a path", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n<s>", "400 close", nil},
	{"absolute form", "GET http://localhost/a HTTP/1.1\r\nHost: localhost\r\n\r\n", "200", []string{"GET /a "}},
	{"absolute form, other host", "GET http://other/a HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"absolute form, other scheme", "GET ftp://localhost/a HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"relative target", "GET a HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"target with a space", "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"target with a CR", "GET /a\rb HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"target with a fragment", "GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"endless target", "GET /" + strings.Repeat("a", 1<<20), "414 close", nil},
	{"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n<s>", "501 close", nil},
	{"long method", strings.Repeat("A", 40) + " /a HTTP/1.1\r\nHost: localhost\r\n\r\n<s>", "501 close", nil},
	{"endless method", strings.Repeat("A", 1<<20), "414 close", nil},
	{"HTTP/0.9", "GET /a\r\n\r\n<s>", "400 close", nil},
	{"HTTP/1.2", "GET /a HTTP/1.2\r\nHost: localhost\r\n\r\n", "200", []string{"GET /a "}},
	{"absolute form, default port", "GET http://localhost:80/a HTTP/1.1\r\nHost: localhost\r\n\r\n", "200", []string{"GET /a "}},
	{"HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n<s>", "505 close", nil},
	{"TLS in TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 close", nil},
	{"PROXY header", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + smuggled, "400 close", nil},
	{"empty lines", "\r\n\r\n<s>", "400 close", nil},

	// Switches without agreement.
	{"upgrade to h2c", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "200", []string{"GET /a "}},
	{"upgrade refused, more behind it", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello<s>", "200 400 close", []string{"GET /a "}},
	{"upgrade with a body", post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: <n>\r\n\r\n<s>", "200", []string{"POST /a <s>"}},

	// Ends.
	{"nothing", "", "", nil},
	{"head cut short", "GET /a HTTP/1.1\r\nHost", "", nil},
	{"body cut short", post + "Content-Length: 100\r\n\r\n<s>", "cut", nil},
	{"chunk cut short", chunked + "64\r\n<s>", "cut", nil},
	{"more behind the last request", get + "Connection: close\r\n\r\n<s>", "200 close", []string{"GET /a "}},
}

const (
	get     = "GET /a HTTP/1.1\r\nHost: localhost\r\n"
	post    = "POST /a HTTP/1.1\r\nHost: localhost\r\n"
	chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
)

// limited returns the options that the tables assume.
func limited() *Options {
	o := options()
	o.Limits.HeadLen, o.Limits.TrailerLen = 32<<10, 8<<10
	return o
}

// Each hostile request gets its status, the connection ends where the next request's beginning is
// uncertain, and the backend gets requests whole and as they were meant or not at all, however they
// are cut.
func TestHostileRequests(t *testing.T) {
	fill := strings.NewReplacer("<s>", smuggled, "<n>", fmt.Sprint(len(smuggled)), "<c>",
		fmt.Sprintf("%x\r\n%s\r\n", len(smuggled), smuggled))
	for _, test := range hostileRequests {
		t.Run(test.name, func(t *testing.T) {
			for i, cut := range cuts(3) {
				if len(test.in) > 4<<10 && i == 1 {
					continue
				}
				w := newWorld(t, limited(), backend.HTTP)
				w.run(fill.Replace(test.in), cut)
				if got := w.statuses(); got != test.want {
					t.Errorf("cut %d: got %s, want %s", i, got, test.want)
				}
				var want []string
				for _, request := range test.seen {
					want = append(want, fill.Replace(request))
				}
				var got []string
				for _, request := range w.seen() {
					if request != "broken" {
						request, _, _ = strings.Cut(request, " map[")
						got = append(got, request)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("cut %d: the backend got %q, want %q", i, got, want)
				}
				for _, c := range w.conns {
					if test.seen == nil && strings.Contains(c.got.String(), "smuggled HTTP") && test.want != "cut" {
						t.Errorf("cut %d: the backend read %q", i, c.got.String())
					}
				}
				if !w.holdsNothing() {
					t.Errorf("cut %d: something is held at the end", i)
				}
			}
		})
	}
}

// hostileResponses are a backend's answers to a GET of /hostile.
var hostileResponses = []struct {
	name string
	out  string
	hang bool   // the backend sends no more but does not close
	want string // as describeAnswers, for it and a following request for /ok
	body string // of the first answer, where it is a 200
}{
	{"good", ok + "Content-Length: 2\r\n\r\nok", true, "200 200", "ok"},
	{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: t\r\n\r\n", true, "200 200", "ok"},
	{"padded chunk sizes", ok + "Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\t \r\n\r\n", true, "200 200", "ok"},
	{"until close", ok + "\r\nok", false, "200 200", "ok"},
	{"HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nok", false, "200 200", "ok"},
	{"no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", true, "200 200", "ok"},
	{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", true, "204 200", ""},
	{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", true, "304 200", ""},
	{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", true, "103 200 200", ""},
	{"more than it announced", ok + "Content-Length: 2\r\n\r\nok" + evil, true, "200 200", "ok"},
	{"more behind the last chunk", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil, true, "200 200", "ok"},
	{"more behind a 204", "HTTP/1.1 204 No Content\r\n\r\n" + evil, true, "204 200", ""},
	{"more behind a bad one", "HTTP/1.1 200 O\x00K\r\n\r\n" + evil, true, "502 200", ""},
	{"more behind a bad length", ok + "Content-Length: x\r\n\r\n" + evil, true, "502 200", ""},

	{"both lengths", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true, "502 200", ""},
	{"two lengths", ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", true, "502 200", ""},
	{"the same length twice", ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"signed length", ok + "Content-Length: +2\r\n\r\nok", true, "502 200", ""},
	{"overflowing length", ok + "Content-Length: 18446744073709551618\r\n\r\nok", true, "502 200", ""},
	{"unknown coding", ok + "Transfer-Encoding: gzip\r\n\r\nok", true, "502 200", ""},
	{"two codings", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "502 200", ""},
	{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "502 200", ""},
	{"folded", ok + "X: x\r\n y\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", true, "502 200", ""},
	{"NUL in a value", ok + "X: \x00\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"space before the colon", ok + "Content-Length : 2\r\n\r\nok", true, "502 200", ""},
	{"status 99", "HTTP/1.1 099 X\r\n\r\n", true, "502 200", ""},
	{"status 1000", "HTTP/1.1 1000 X\r\n\r\n", true, "502 200", ""},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", true, "502 200", ""},
	{"HTTP/0.9", "<html>\r\n\r\n", true, "502 200", ""},
	{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", true, "502 200", ""},
	{"unasked switch", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, "502 200", ""},
	{"long head", ok + "X: " + strings.Repeat("x", 33<<10) + "\r\n\r\n", true, "502 200", ""},
	{"endless head", ok + "X: " + strings.Repeat("x", 1<<20), true, "502 200", ""},
	{"too many fields", ok + strings.Repeat("X: x\r\n", 101) + "\r\n", true, "502 200", ""},
	{"half a head", ok + "Content-Le", false, "502 200", ""},
	{"nothing, twice", "", false, "502 200", ""},

	{"body cut short", ok + "Content-Length: 10\r\n\r\nok", false, "200 cut", ""},
	{"chunk cut short", ok + "Transfer-Encoding: chunked\r\n\r\n9\r\nok", false, "200 cut", ""},
	{"last chunk missing", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", false, "200 cut", ""},
	{"bad chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n", true, "200 cut", ""},
	{"chunk without its end", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n0\r\n\r\n", true, "200 cut", ""},
}

const (
	ok   = "HTTP/1.1 200 OK\r\n"
	evil = ok + "Content-Length: 4\r\n\r\nevil"
)

// A malformed response is a 502, a truncated one is not taken for complete, and unsolicited bytes
// never reach a client, least of all as the answer to the next request, whether that waits behind
// the first or comes after its answer.
func TestHostileResponses(t *testing.T) {
	const first, second = "GET /hostile HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, test := range hostileResponses {
		t.Run(test.name, func(t *testing.T) {
			for i, cut := range cuts(3) {
				for _, pipelined := range []bool{true, false} {
					w := newWorld(t, limited(), backend.HTTP)
					w.cut = cut
					hostile := false
					w.answers = func(n int, r *http.Request) string {
						if hostile = r.RequestURI != "/ok"; !hostile {
							return ok + "Content-Length: 4\r\n\r\nnext"
						}
						return test.out
					}
					w.closes = func(int) bool { return hostile && !test.hang }
					if pipelined {
						w.sends([]byte(first + second))
						w.serve()
					} else {
						w.sends([]byte(first))
						w.serve()
						w.sends([]byte(second))
						w.serve()
					}
					got := w.got()
					if status := w.statuses(); status != test.want {
						t.Errorf("cut %d, pipelined %v: got %s %q, want %s", i, pipelined, status, got, test.want)
					}
					if strings.Contains(w.client.String(), "evil") {
						t.Errorf("cut %d, pipelined %v: the client got %q", i, pipelined, w.client.String())
					}
					if !strings.HasPrefix(got[0].body, test.body) {
						t.Errorf("cut %d, pipelined %v: got %q, want %q", i, pipelined, got[0].body, test.body)
					}
				}
			}
		})
	}
}

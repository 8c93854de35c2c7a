// Package hostile has requests of attackers and responses of broken backends, with the expected
// results, for the tests of package exchange and of the whole program.
package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// Smuggled is the request that an attacker wants a backend to see.
const Smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

// Beginnings of requests.
const (
	Get     = "GET /a HTTP/1.1\r\nHost: localhost\r\n"
	Post    = "POST /a HTTP/1.1\r\nHost: localhost\r\n"
	Chunked = Post + "Transfer-Encoding: chunked\r\n\r\n"
)

// A Request is sent unchanged once it has been filled.
type Request struct {
	Name string
	In   string
	Want string   // the statuses of all responses, with "close" if the last one announces it
	Seen []string // requests that the backend receives
}

var fill = strings.NewReplacer("<s>", Smuggled, "<n>", fmt.Sprint(len(Smuggled)),
	"<c>", fmt.Sprintf("%x\r\n%s\r\n", len(Smuggled), Smuggled))

// Requests returns those with the names, or all.
func Requests(names ...string) []Request {
	list := named(requests, names, func(r *Request) string { return r.Name })
	for i := range list {
		r := &list[i]
		r.In, r.Seen = fill.Replace(r.In), slices.Clone(r.Seen)
		for j := range r.Seen {
			r.Seen[j] = fill.Replace(r.Seen[j])
		}
	}
	return list
}

// named returns those of list with the names, or all. A name that is not there is a mistake.
func named[T any](list []T, names []string, nameOf func(*T) string) []T {
	if len(names) == 0 {
		return slices.Clone(list)
	}
	var some []T
	for _, name := range names {
		i := slices.IndexFunc(list, func(t T) bool { return nameOf(&t) == name })
		if i < 0 {
			panic("nothing hostile is called " + name)
		}
		some = append(some, list[i])
	}
	return some
}

// In requests <s> stands for Smuggled, <n> for its length and <c> for a chunk of it.
var requests = []Request{
	// Two ways to mark the end of the request.
	{"CL.TE", Post + "Content-Length: <n>\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.CL", Post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n<c>0\r\n\r\n", "400 close", nil},
	{"TE.TE, second unknown", Post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, first unknown", Post + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, space before the colon", Post + "Content-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n<c>0\r\n\r\n", "400 close", nil},
	{"TE.TE, vertical tab", Post + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, NUL", Post + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, quoted", Post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, behind a bare LF", Post + "X: x\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, behind a bare CR", Post + "X: x\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, folded", Post + "X: x\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.TE, underscore", Post + "Content-Length: <n>\r\nTransfer_Encoding: chunked\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"TE chunked not last", Post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE gzip, chunked", Post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n<s>", "501 close", nil},
	{"TE identity", Post + "Transfer-Encoding: identity\r\n\r\n<s>", "501 close", nil},
	{"TE gzip", Post + "Transfer-Encoding: gzip\r\n\r\n<s>", "501 close", nil},
	{"TE in HTTP/1.0", "POST /a HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE named by Connection", Post + "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n\r\n<c>0\r\n\r\n", "200", []string{"POST /a <s>"}},
	{"CL.0 on GET", Get + "Content-Length: <n>\r\n\r\n<s>", "200", []string{"GET /a <s>"}},
	{"CL named by Connection", Post + "Content-Length: <n>\r\nConnection: content-length\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"CL twice", Post + "Content-Length: <n>\r\nContent-Length: 0\r\n\r\n<s>", "400 close", nil},
	{"CL twice alike", Post + "Content-Length: <n>\r\nContent-Length: <n>\r\n\r\n<s>", "400 close", nil},
	{"CL list", Post + "Content-Length: <n>, <n>\r\n\r\n<s>", "400 close", nil},
	{"CL plus", Post + "Content-Length: +<n>\r\n\r\n<s>", "400 close", nil},
	{"CL minus zero", Post + "Content-Length: -0\r\n\r\n<s>", "400 close", nil},
	{"CL hexadecimal", Post + "Content-Length: 0x2c\r\n\r\n<s>", "400 close", nil},
	{"CL overflow", Post + "Content-Length: 18446744073709551660\r\n\r\n<s>", "400 close", nil},
	{"CL empty", Post + "Content-Length:\r\n\r\n<s>", "400 close", nil},
	{"CL space inside", Post + "Content-Length: 4 4\r\n\r\n<s>", "400 close", nil},
	{"CL of HTTP/1.0", "POST /a HTTP/1.0\r\nContent-Length: <n>\r\n\r\n<s>", "200 close", []string{"POST /a <s>"}},

	// Chunks. By then the backend has the head, but not a whole request.
	{"chunk size signed", Chunked + "+1\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size with 0x", Chunked + "0x1\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size empty", Chunked + "\r\n\r\n<s>", "400 close", nil},
	{"chunk size overflows", Chunked + "10000000000000001\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size with a space", Chunked + "1 \r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk size, bare LF", Chunked + "1\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension", Chunked + "1;a=b\r\na\r\n0;c\r\n\r\n", "200", []string{"POST /a a"}},
	{"chunk extension, no name", Chunked + "1;\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, no token", Chunked + "1;bad[=x\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, bare LF", Chunked + "1;a\nb\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension, long", Chunked + "1;" + strings.Repeat("a", 300) + "\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk too long for its size", Chunked + "1\r\nab\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk end, bare LF", Chunked + "1\r\na\n0\r\n\r\n<s>", "400 close", nil},
	{"trailer", Chunked + "0\r\nX: x\r\n\r\n", "200", []string{"POST /a "}},
	{"trailer that frames", Chunked + "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "200", []string{"POST /a "}},
	{"trailer, folded", Chunked + "0\r\nX: x\r\n y\r\n\r\n<s>", "400 close", nil},
	{"trailer, bare LF", Chunked + "0\r\nX: x\n\r\n<s>", "400 close", nil},
	{"trailer, long", Chunked + "0\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n<s>", "431 close", nil},
	{"smuggled behind the last chunk", Chunked + "0\r\n\r\n<s>", "200 200", []string{"POST /a ", "GET /smuggled "}}, // a pipelined request is allowed

	// Lines and fields.
	{"bare LF throughout", "GET /a HTTP/1.1\nHost: localhost\n\n<s>", "400 close", nil},
	{"CR CR LF", "GET /a HTTP/1.1\r\r\nHost: localhost\r\n\r\n<s>", "400 close", nil},
	{"first field folded", "GET /a HTTP/1.1\r\n Host: localhost\r\n\r\n<s>", "400 close", nil},
	{"NUL in a value", Get + "X: a\x00b\r\n\r\n<s>", "400 close", nil},
	{"NUL in a name", Get + "X\x00: a\r\n\r\n<s>", "400 close", nil},
	{"no colon", Get + "X\r\n\r\n<s>", "400 close", nil},
	{"no name", Get + ": x\r\n\r\n<s>", "400 close", nil},
	{"space in a name", Get + "X Y: x\r\n\r\n<s>", "400 close", nil},
	{"too many fields", Get + strings.Repeat("X: x\r\n", 101) + "\r\n<s>", "431 close", nil},
	{"long head", Get + "X: " + strings.Repeat("x", 33<<10) + "\r\n\r\n<s>", "431 close", nil},
	{"endless head", Get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 1000), "431 close", nil},
	{"unknown expectation", Post + "Expect: 200-maybe\r\nContent-Length: <n>\r\n\r\n<s>", "417 close", nil},

	// Hosts, targets, methods, versions.
	{"no Host", "GET /a HTTP/1.1\r\n\r\n<s>", "400 close", nil},
	{"two hosts", Get + "Host: other\r\n\r\n<s>", "400 close", nil},
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
	{"PROXY header", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + Smuggled, "400 close", nil},
	{"empty lines", "\r\n\r\n<s>", "400 close", nil},

	// Switches without agreement.
	{"upgrade to h2c", Get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "200", []string{"GET /a "}},
	{"upgrade refused, more behind it", Get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello<s>", "200 400 close", []string{"GET /a "}},
	{"upgrade with a body", Post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: <n>\r\n\r\n<s>", "200", []string{"POST /a <s>"}},

	// Ends.
	{"nothing", "", "", nil},
	{"head cut short", "GET /a HTTP/1.1\r\nHost", "", nil},
	{"body cut short", Post + "Content-Length: 100\r\n\r\n<s>", "cut", nil},
	{"chunk cut short", Chunked + "64\r\n<s>", "cut", nil},
	{"more behind the last request", Get + "Connection: close\r\n\r\n<s>", "200 close", []string{"GET /a "}},
}

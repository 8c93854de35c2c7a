package hostile

import "strings"

// Beginnings of responses.
const (
	OK   = "HTTP/1.1 200 OK\r\n"
	Evil = OK + "Content-Length: 4\r\n\r\nevil"
)

// A Response is a backend's answer to a GET of /hostile.
type Response struct {
	Name string
	Out  string
	Hang bool   // the backend sends no more but does not close
	Want string // statuses, "cut" if an end is missing, for it and a following request for /ok
	Body string // of the first answer, where it is a 200
}

// Responses returns those with the names, or all.
func Responses(names ...string) []Response {
	return named(responses, names, func(r *Response) string { return r.Name })
}

var responses = []Response{
	{"good", OK + "Content-Length: 2\r\n\r\nok", true, "200 200", "ok"},
	{"chunked", OK + "Transfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: t\r\n\r\n", true, "200 200", "ok"},
	{"padded chunk sizes", OK + "Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\t \r\n\r\n", true, "200 200", "ok"},
	{"until close", OK + "\r\nok", false, "200 200", "ok"},
	{"HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nok", false, "200 200", "ok"},
	{"no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", true, "200 200", "ok"},
	{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", true, "204 200", ""},
	{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", true, "304 200", ""},
	{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + "Content-Length: 2\r\n\r\nok", true, "103 200 200", ""},
	{"more than it announced", OK + "Content-Length: 2\r\n\r\nok" + Evil, true, "200 200", "ok"},
	{"more behind the last chunk", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + Evil, true, "200 200", "ok"},
	{"more behind a 204", "HTTP/1.1 204 No Content\r\n\r\n" + Evil, true, "204 200", ""},
	{"more behind a bad one", "HTTP/1.1 200 O\x00K\r\n\r\n" + Evil, true, "502 200", ""},
	{"more behind a bad length", OK + "Content-Length: x\r\n\r\n" + Evil, true, "502 200", ""},

	{"both lengths", OK + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true, "502 200", ""},
	{"two lengths", OK + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", true, "502 200", ""},
	{"the same length twice", OK + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"signed length", OK + "Content-Length: +2\r\n\r\nok", true, "502 200", ""},
	{"overflowing length", OK + "Content-Length: 18446744073709551618\r\n\r\nok", true, "502 200", ""},
	{"unknown coding", OK + "Transfer-Encoding: gzip\r\n\r\nok", true, "502 200", ""},
	{"two codings", OK + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "502 200", ""},
	{"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "502 200", ""},
	{"folded", OK + "X: x\r\n y\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", true, "502 200", ""},
	{"NUL in a value", OK + "X: \x00\r\nContent-Length: 2\r\n\r\nok", true, "502 200", ""},
	{"space before the colon", OK + "Content-Length : 2\r\n\r\nok", true, "502 200", ""},
	{"status 99", "HTTP/1.1 099 X\r\n\r\n", true, "502 200", ""},
	{"status 1000", "HTTP/1.1 1000 X\r\n\r\n", true, "502 200", ""},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", true, "502 200", ""},
	{"HTTP/0.9", "<html>\r\n\r\n", true, "502 200", ""},
	{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", true, "502 200", ""},
	{"unasked switch", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", true, "502 200", ""},
	{"long head", OK + "X: " + strings.Repeat("x", 33<<10) + "\r\n\r\n", true, "502 200", ""},
	{"endless head", OK + "X: " + strings.Repeat("x", 1<<20), true, "502 200", ""},
	{"too many fields", OK + strings.Repeat("X: x\r\n", 101) + "\r\n", true, "502 200", ""},
	{"half a head", OK + "Content-Le", false, "502 200", ""},
	{"nothing, twice", "", false, "502 200", ""},

	{"body cut short", OK + "Content-Length: 10\r\n\r\nok", false, "200 cut", ""},
	{"chunk cut short", OK + "Transfer-Encoding: chunked\r\n\r\n9\r\nok", false, "200 cut", ""},
	{"last chunk missing", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", false, "200 cut", ""},
	{"bad chunk size", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n", true, "200 cut", ""},
	{"chunk without its end", OK + "Transfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n0\r\n\r\n", true, "200 cut", ""},
}

package load

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// A response means the same however its bytes are cut.
func TestReceive(t *testing.T) {
	tests := []struct {
		name, response string
		wantLen        int64
		again          bool
		kind           string // of the error
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, true, ""},
		{"empty body", "HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n", 0, true, ""},
		{"goodbye", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", 5, false, ""},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 5, true, ""},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 5, true, ""},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 0, false, "response"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, false, "response"},
		{"no field", "HTTP/1.1 200 OK\r\nhello\r\n\r\n", 0, false, "response"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false, "response"},
		{"nothing", "", 0, false, "eof"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", 0, false, "eof"},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 3, false, "length"},
	}
	x := newExchange(Options{HTTP: true})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.response), "one by one": iotest.OneByteReader(strings.NewReader(tt.response)),
			} {
				n, again, err := x.receive(bufio.NewReader(r))
				kind := ""
				if err != nil {
					kind = errorKind(err)
				}
				if n != tt.wantLen || again != tt.again || kind != tt.kind {
					t.Errorf("%s: got %d bytes, again %v, %v, want %d, %v, kind %q", way, n, again, err, tt.wantLen, tt.again, tt.kind)
				}
			}
		})
	}
}

func TestSendUpload(t *testing.T) {
	var sent bytes.Buffer
	n, err := newExchange(Options{
		HTTP: true, Mode: Upload, Path: "/sink", ServerName: "a.test",
		Bytes: 200_000,
	}).send(&sent)
	head, body, _ := strings.Cut(sent.String(), "\r\n\r\n")
	if err != nil || n != 200_000 || len(body) != 200_000 || !strings.HasPrefix(head, "POST /sink HTTP/1.1\r\nHost: a.test\r\n") {
		t.Errorf("got %d, %v, a body of %d after %q", n, err, len(body), head)
	}
}

// FuzzReceive: a body that is accepted is as long as was wanted, and no more than it and its head
// is consumed.
func FuzzReceive(f *testing.F) {
	f.Fuzz(func(t *testing.T, response []byte, want int64) {
		x := &exchange{http: true, wantLen: max(want, 0)}
		from := bytes.NewReader(response)
		r := bufio.NewReader(from)
		n, _, err := x.receive(r)
		rest := from.Len() + r.Buffered()
		if n < 0 || n > int64(len(response)-rest) {
			t.Fatalf("a body of %d in %d bytes, %d left", n, len(response), rest)
		}
		if err != nil {
			return
		}
		if want > 0 && n != want {
			t.Fatalf("got a body of %d, want %d", n, want)
		}
		if !bytes.Contains(response, []byte(strconv.FormatInt(n, 10))) {
			t.Fatalf("a body of %d that the head does not announce", n)
		}
	})
}

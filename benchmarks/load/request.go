package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHead bounds the length of a response's head.
const maxHead = 16 << 10

// exchange is the request that every connection of a run makes: its bytes, made once, and how its
// response is checked. It is read-only and shared by all clients.
type exchange struct {
	http    bool
	head    []byte // HTTP: request line and fields; else what is echoed
	upload  int64  // length of the request's body
	wantLen int64  // of the response's body; 0 is any
}

// zeros are the body of uploads, four records at a time.
var zeros = make([]byte, 64<<10)

func newExchange(o Options) *exchange {
	if !o.HTTP {
		return &exchange{head: bytes.Repeat([]byte("reprise "), int(o.Bytes+7)/8)[:o.Bytes]}
	}
	if o.Mode == Upload {
		head := fmt.Sprintf(
			"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", o.Path, o.ServerName, o.Bytes)
		return &exchange{http: true, head: []byte(head), upload: o.Bytes}
	}
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", o.Path, o.ServerName)
	return &exchange{http: true, head: []byte(head), wantLen: o.Bytes}
}

// send writes the request and returns the length of its body.
func (x *exchange) send(w io.Writer) (int64, error) {
	if _, err := w.Write(x.head); err != nil {
		return 0, err
	}
	for left := x.upload; left > 0; {
		n, err := w.Write(zeros[:min(left, int64(len(zeros)))])
		if left -= int64(n); err != nil {
			return x.upload - left, err
		}
	}
	return x.upload, nil
}

// receive reads the response, checks it, and returns the length of its body. again reports whether
// the server keeps the connection open.
func (x *exchange) receive(r *bufio.Reader) (n int64, again bool, err error) {
	if !x.http {
		n, err = x.receiveEcho(r)
		return n, true, err
	}
	head, err := x.receiveHead(r)
	if err != nil {
		return 0, false, err
	}
	for n < head.bodyLen {
		skipped, err := r.Discard(int(min(head.bodyLen-n, 1<<30)))
		if n += int64(skipped); err != nil {
			return n, false, claimOfLength(n, head.bodyLen, err)
		}
	}
	return n, head.keepAlive, nil
}

func (x *exchange) receiveEcho(r *bufio.Reader) (int64, error) {
	for want := x.head; len(want) > 0; {
		if _, err := r.Peek(1); err != nil {
			return 0, err
		}
		part, _ := r.Peek(min(r.Buffered(), len(want)))
		if !bytes.Equal(part, want[:len(part)]) {
			return 0, claim("echo", "the echo differs from what was sent")
		}
		want = want[len(part):]
		_, _ = r.Discard(len(part))
	}
	return int64(len(x.head)), nil
}

type responseHead struct {
	bodyLen   int64
	keepAlive bool
}

// receiveHead reads a response's head (RFC 9112, Section 4). The body must have a Content-Length,
// the wanted one if there is one.
func (x *exchange) receiveHead(r *bufio.Reader) (responseHead, error) {
	head := responseHead{bodyLen: -1, keepAlive: true}
	status, err := readLine(r)
	if err != nil {
		return head, err
	}
	if len(status) < 12 || !bytes.HasPrefix(status, []byte("HTTP/1.1 ")) {
		return head, claim("response", "not a response of HTTP/1.1: %.40q", status)
	}
	if status[9] != '2' {
		return head, claim("status", "%.60s", status)
	}
	for length := len(status); ; {
		line, err := readLine(r)
		if err != nil {
			return head, err
		}
		if len(line) == 0 {
			break
		}
		if length += len(line); length > maxHead {
			return head, claim("response", "the head of the response is longer than %d bytes",
				maxHead)
		}
		if err := head.field(line); err != nil {
			return head, err
		}
	}
	switch {
	case head.bodyLen < 0:
		return head, claim("response", "the response has no Content-Length")
	case x.wantLen > 0 && head.bodyLen != x.wantLen:
		return head, claim("length", "the response has %d bytes, want %d", head.bodyLen, x.wantLen)
	}
	return head, nil
}

func (h *responseHead) field(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return claim("response", "not a header field: %.40q", line)
	}
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || h.bodyLen >= 0 && h.bodyLen != int64(n) {
			return claim("response", "Content-Length %.40q", value)
		}
		h.bodyLen = int64(n)
	case bytes.EqualFold(name, []byte("Connection")):
		h.keepAlive = !strings.EqualFold(string(value), "close")
	}
	return nil
}

// readLine returns a line without its end. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, claim("response", "a line of the response is longer than %d bytes", r.Size())
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// claimOfLength turns the early end of a stream into a body of the wrong length, and returns other
// errors unchanged.
func claimOfLength(got, want int64, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return claim("length", "the response ended after %d of %d bytes", got, want)
	}
	return err
}

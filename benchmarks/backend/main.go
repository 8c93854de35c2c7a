// Command backend is the backend of every measured server. It speaks as much HTTP/1.1 as the load
// generator needs, on connections that stay open:
//
//	GET /           answers 200 with two bytes
//	GET /bytes/N    answers 200 with N bytes
//	POST /          reads Content-Length bytes, then answers 200 with two bytes
//
// It reads every byte, since with a backend that answers before it has read an upload, the server's
// work would not be measured.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"runtime"
	"strconv"
	"strings"
)

const (
	maxLine  = 4 << 10
	chunkLen = 256 << 10
)

// chunk is the content of answers.
var chunk [chunkLen]byte

var errRequest = errors.New("not a request")

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "`address` to serve")
	flag.Parse()
	runtime.GOMAXPROCS(1) // one core, which the load generator needs too
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn)
	}
}

// serve answers requests until the connection ends or a request is malformed.
func serve(conn net.Conn) {
	defer conn.Close()
	in, out := bufio.NewReaderSize(conn, maxLine), bufio.NewWriter(conn)
	for {
		bodyLen, answerLen, err := readHead(in)
		if err != nil || discard(conn, in, bodyLen) != nil {
			return
		}
		if answer(out, answerLen) != nil {
			return
		}
	}
}

// readHead returns the length of the request's body and of the answer's. It uses each line before
// the next is read, so it allocates nothing.
func readHead(in *bufio.Reader) (bodyLen, answerLen int64, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok || string(method) != "GET" && string(method) != "POST" {
		return 0, 0, errRequest
	}
	answerLen = 2
	if n, ok := bytes.CutPrefix(path, []byte("/bytes/")); ok {
		if answerLen, err = strconv.ParseInt(string(n), 10, 64); err != nil || answerLen < 0 {
			return 0, 0, errRequest
		}
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		switch {
		case len(name) == 0:
			return bodyLen, answerLen, nil
		case strings.EqualFold(string(name), "Content-Length"):
			if bodyLen, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil ||
				bodyLen < 0 {
				return 0, 0, errRequest
			}
		}
	}
}

// discard reads n bytes: first those buffered in in, then from conn in large pieces.
func discard(conn io.Reader, in *bufio.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	held := min(n, int64(in.Buffered()))
	if _, err := in.Discard(int(held)); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(conn, n-held),
		make([]byte, chunkLen))
	return err
}

// answerHead has a Date, which some servers would add if it were missing (RFC 9110, Section 6.6.1),
// and others not.
const answerHead = "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: "

// answer writes the head and n bytes. Of a long answer, out buffers the first few KB and passes on
// the rest directly.
func answer(out *bufio.Writer, n int64) error {
	head := append(out.AvailableBuffer(), answerHead...)
	head = append(strconv.AppendInt(head, n, 10), "\r\n\r\n"...)
	if _, err := out.Write(head); err != nil {
		return err
	}
	for n > 0 {
		wrote, err := out.Write(chunk[:min(n, chunkLen)])
		if err != nil {
			return err
		}
		n -= int64(wrote)
	}
	return out.Flush()
}

package http2_test

import (
	"fmt"

	"reprise/backend/http1"
	"reprise/backend/http2"
)

// A connection is driven by the bytes available; each event belongs to a stream.
func Example() {
	limits := &http1.Limits{HeadLen: 32 << 10, TargetLen: 8 << 10, FieldLen: 100, TrailerLen: 8 << 10}
	c := http2.New(http2.DefaultOptions(limits), new(http2.Scratch))
	out := c.Start(nil)

	input := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x06\x01\x05\x00\x00\x00\x01" + "\x82\x87\x84\x41\x01a") // HEADERS: GET https://a/
	for {
		var n int
		var e http2.Event
		out, n, e = c.Next(out, input)
		input = input[n:]
		if e.Kind == http2.None {
			break
		}
		if e.Kind == http2.Request {
			fmt.Printf("%q\n", e.Head)
			c.BeginHead(e.Stream, 200)
			c.Field([]byte("Content-Type"), []byte("text/plain"))
			out = c.AppendHead(out, e.Stream, false)
			out = c.AppendData(out, e.Stream, []byte("hello\n"), e.End)
		}
	}
	fmt.Println(len(out), "bytes to send")
	// Output:
	// "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	// 100 bytes to send
}

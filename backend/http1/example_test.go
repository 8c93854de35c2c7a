package http1_test

import (
	"fmt"
	"net/netip"
	"strings"

	"reprise/backend/http1"
)

// A request in chunks arrives, and goes on to a backend.
func Example() {
	p := []byte("POST /upload HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"5;name=value\r\nhello\r\n0\r\n\r\n")
	limits := http1.Limits{HeadLen: 32 << 10, TargetLen: 8 << 10, FieldLen: 100, TrailerLen: 8 << 10}

	var r http1.Request
	head := http1.HeadLen(p, 0)
	if err := r.Parse(p[:head], &limits); err != nil {
		fmt.Println(err)
		return
	}
	out := http1.AppendRequest(nil, &r, &http1.Forward{
		Client: netip.MustParseAddrPort("192.0.2.1:1234"), Secure: true, ListenPort: 443, KeepAlive: true,
	})

	var b http1.Body
	b.Start(r.Framing, r.Length, &limits)
	for p = p[head:]; !b.Done(); {
		data, n, err := b.Next(p)
		if err != nil {
			fmt.Println(err)
			return
		}
		out = http1.AppendChunk(out, data)
		p = p[n:]
	}
	out = http1.AppendLastChunk(out, b.Trailer())
	fmt.Print(strings.ReplaceAll(string(out), "\r\n", "\n"))
	// Output:
	// POST /upload HTTP/1.1
	// Host: example.com
	// Transfer-Encoding: chunked
	// X-Forwarded-For: 192.0.2.1
	// X-Forwarded-Proto: https
	// X-Forwarded-Host: example.com
	// X-Forwarded-Port: 443
	// Forwarded: for=192.0.2.1;host=example.com;proto=https
	//
	// 5
	// hello
	// 0
}

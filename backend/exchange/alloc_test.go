//go:build !race

// Under the race detector sync.Pool, the source of buffers, drops some of those returned to it.

package exchange

import (
	"strings"
	"testing"

	"reprise/backend"
)

// A request and its response allocate nothing, and leave no buffer behind.
func TestAllocations(t *testing.T) {
	get := "GET /index.html?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	for _, test := range []struct {
		name, request, response string
	}{
		{"get", get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok"},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\na\r\n", 600) + "0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		{"refused", "GET /a b HTTP/1.1\r\n\r\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s Scratch
			c := new(Conn)
			c.Start(options(), new(Client))
			request, response := []byte(test.request), []byte(test.response)
			do := func(step Step) {
				switch step.Do {
				case Dial:
					c.Linked(&s, Link{Protocol: backend.HTTP, Keep: true})
				case Release:
					c.Released()
				}
			}
			serve := func() {
				c.part = awaitHead // also behind an answer that ends the connection
				c.Give(request)
				for {
					step := c.Next(&s, Around{Room: true})
					if step.Idle || step.Do == CloseClient {
						break
					}
					do(step)
				}
				c.Keep()
				if c.Serving() {
					do(c.FromBackend(&s, response))
				}
			}
			serve()
			if got := testing.AllocsPerRun(1000, serve); got > 0 {
				t.Errorf("%v allocations per request", got)
			}
			if c.Serving() || c.in.Len() > 0 || c.x.head.Len() > 0 {
				t.Error("the exchange is not over")
			}
		})
	}
}

package exchange

import (
	"testing"

	"reprise/backend"
)

// BenchmarkRequest is a small request and its response in an exchange. The codecs' share of the
// cost is in package http1's benchmarks.
func BenchmarkRequest(b *testing.B) {
	request := []byte("GET /index.html?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok")
	var s Scratch
	var c Conn
	c.Start(options(), new(Client))
	b.ReportAllocs()
	for b.Loop() {
		c.Give(request)
		c.Next(&s, Around{Room: true})
		c.Linked(&s, Link{Protocol: backend.HTTP, Keep: true})
		c.Next(&s, Around{Room: true})
		c.Keep()
		if step := c.FromBackend(&s, response); step.Do != Release || !step.Keep {
			b.Fatalf("got %+v", step)
		}
		c.Released()
	}
}

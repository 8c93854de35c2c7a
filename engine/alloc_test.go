//go:build !race

// Under the race detector sync.Pool, from which buffers come, drops some of what
// it is given.

package engine

import (
	"bytes"
	"net"
	"testing"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A request on a kept-alive connection to a kept-alive backend allocates nothing.
func TestKeepAliveAllocations(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok")
	addr := nettest.Serve(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
				_, _ = c.Write(answer)
			}
		}
	}).Addr
	o := testOptions()
	o.Loops = 1
	_, router := startListener(t, o, Listener{HTTP: httpOptions(), Backends: newPool(t, backend.HTTP, addr)}, true)
	c := dial(t, router)
	request := []byte("GET /index.html?a=b HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	ask := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\nok")) {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	for range 100 {
		ask()
	}
	// The client is measured as well: its crypto/tls allocates once for each read.
	if got := testing.AllocsPerRun(2000, ask); got > 1 {
		t.Errorf("%v allocations per request, want 1, the client's own", got)
	}
}

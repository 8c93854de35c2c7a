//go:build !race

// Under the race detector sync.Pool, the source of buffers, drops some of those returned to it.

package engine

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/valyala/bytebufferpool"
	"golang.org/x/net/http2"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/internal/nettest"
)

// A request on a kept-alive connection to a kept-alive backend allocates nothing,
// whatever rules do to its fields.
func TestKeepAliveAllocations(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testKeepAliveAllocations(t, httpOptions()) })
	t.Run("rules", func(t *testing.T) {
		o := httpOptions()
		var err error
		if o.RequestRules, err = http1.NewRules([]http1.Rule{
			{Name: "X-Client", Value: "${REMOTE_ADDR}:${REMOTE_PORT} ${SSL_PROTOCOL}"},
			{Name: "X-Request-ID", Value: "${REQUEST_ID}"},
			{Op: http1.Remove, Name: "User-Agent"},
		}); err != nil {
			t.Fatal(err)
		}
		if o.ResponseRules, err = http1.NewRules([]http1.Rule{
			{Name: "Server", Value: "edge"},
			{Name: "X-Request-ID", Value: "${REQUEST_ID}"},
		}); err != nil {
			t.Fatal(err)
		}
		testKeepAliveAllocations(t, o)
	})
}

func testKeepAliveAllocations(t *testing.T, options *HTTP) {
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
	_, router := startListener(t, o, Listener{HTTP: options, Pools: newRouter(t, backend.HTTP, addr)},
		true)
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
	keepBuffersOf(len(request))
	for range 100 {
		ask()
	}
	// The client is measured as well: its crypto/tls allocates once for each read.
	if got := testing.AllocsPerRun(2000, ask); got > 1 {
		t.Errorf("%v allocations per request, want 1, the client's own", got)
	}
}

// keepBuffersOf makes bytebufferpool keep buffers of a size. After 42,000 buffers of one class of
// sizes it decides anew which to keep, and earlier tests may have made it drop these.
func keepBuffersOf(size int) {
	for range 50_000 {
		b := bytebufferpool.Get()
		b.B = append(b.B[:0], make([]byte, size)...)
		bytebufferpool.Put(b)
	}
}

// A request by HTTP/2 on existing connections allocates its stream, and nothing else.
func TestHTTP2Allocations(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\nok")
	addr := nettest.Serve(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			_, _ = c.Write(answer)
		}
	}).Addr
	_, router := startListener(t, oneLoop(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, true)
	h := dialH2(t, router)
	h.get(1, "/")
	h.until("the end", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
	// :method GET, :scheme https, :path / and :authority localhost in entry 62.
	request := []byte{
		0, 0, 4, byte(http2.FrameHeaders),
		byte(http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream), 0, 0, 0, 0, 0x82, 0x87, 0x84,
		0x80 | 62,
	}
	id, buf := uint32(1), make([]byte, 4096)
	ask := func() {
		id += 2
		binary.BigEndian.PutUint32(request[5:], id)
		if _, err := h.conn.Write(request); err != nil {
			t.Fatal(err)
		}
		n, err := h.conn.Read(buf)
		if err != nil || !bytes.Contains(buf[:n], []byte("ok")) {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	for range 100 {
		ask()
	}
	if got := testing.AllocsPerRun(2000, ask); got > 2 {
		t.Errorf("%v allocations per request, want 2: its stream, and the client's own", got)
	}
}

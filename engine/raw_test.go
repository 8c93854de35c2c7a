package engine

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/proxy"
	"reprise/internal/nettest"
)

// Without TLS a flow relays bytes unchanged, many of them without reading them: all arrive, also at
// a reader that makes the relay's buffers fill.
func TestRawRelay(t *testing.T) {
	data := make([]byte, 64<<20)
	_, _ = rand.Read(data)
	for _, test := range []struct {
		name  string
		pause time.Duration
	}{{"fast reader", 0}, {"slow reader", 100 * time.Microsecond}} {
		t.Run(test.name, func(t *testing.T) {
			echo := nettest.Serve(t, nettest.Echo)
			e, addr := startListener(t, testOptions(), Listener{Pools: newRouter(t, backend.TCP, echo.Addr)},
				false)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go func() {
				_, _ = c.Write(data)
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			got, buf := make([]byte, 0, len(data)), make([]byte, 64<<10)
			for err == nil {
				var n int
				n, err = c.Read(buf)
				got = append(got, buf[:n]...)
				time.Sleep(test.pause)
			}
			if err != io.EOF || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back, %v; want the %d that were sent", len(got), err, len(data))
			}
			nettest.Eventually(t, 10*time.Second,
				func() bool { return e.Stats().Flows.Closed.Counts()["done"] == 1 }, "the flow did not end as done")
			if e.loops[0].splicer == nil && e.loops[1].splicer == nil {
				t.Error("nothing was spliced")
			}
		})
	}
}

// Each connection has its own identity in the backend's header.
func TestUniqueIDs(t *testing.T) {
	ids := make(chan string, 10)
	addr := nettest.Serve(t, func(c net.Conn) {
		p := make([]byte, 4096)
		for n := 0; ; {
			got, err := c.Read(p[n:])
			if err != nil {
				return
			}
			n += got
			if h, used, err := proxy.Parse(p[:n]); err != nil {
				t.Error(err)
				return
			} else if used > 0 {
				ids <- string(h.UniqueID)
				return
			}
		}
	}).Addr
	_, router := startListener(t, testOptions(), Listener{Pools: proxyRouter(t, 2, backend.TCP, addr)},
		false)
	seen := make(map[string]bool)
	for range cap(ids) {
		c, err := net.Dial("tcp", router)
		if err != nil {
			t.Fatal(err)
		}
		id := <-ids
		c.Close()
		if len(id) == 0 || seen[id] {
			t.Errorf("unique id %x is empty or was seen before", id)
		}
		seen[id] = true
	}
}

// Without TLS a FIN passes while nothing else moves.
func TestRawHalfClose(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	_, addr := startListener(t, testOptions(), Listener{Pools: newRouter(t, backend.TCP, echo.Addr)},
		false)
	c := dialRaw(t, addr)
	_, _ = io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %d bytes, %v; want the end", n, err)
	}
}

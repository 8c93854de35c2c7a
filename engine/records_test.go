package engine

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A client that breaks its TLS stream while it waits for a backend leaves the
// queue, and the others are served.
func TestBadRecordWhileQueued(t *testing.T) {
	for _, protocol := range []backend.Protocol{backend.TCP, backend.HTTP} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			gate := make(chan bool)
			var release sync.Once
			addr := nettest.Serve(t, func(c net.Conn) {
				_, _ = io.ReadAtLeast(c, make([]byte, 1000), 2)
				<-gate
				_, _ = io.WriteString(c, okAnswer)
			}).Addr
			t.Cleanup(func() { release.Do(func() { close(gate) }) })
			pool, err := backend.NewPool([]backend.Spec{{
				Network: "tcp", Address: addr, Protocol: protocol,
				MaxConns: 1,
			}}, backend.Options{QueueLen: 10, Retries: 3, ConnectTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			ln := Listener{Pools: routerOf(t, pool)}
			if protocol == backend.HTTP {
				ln.HTTP = httpOptions()
			}
			e, router := startListener(t, oneLoop(), ln, true)
			const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
			first := dial(t, router)
			_, _ = io.WriteString(first, request)
			bad := dial(t, router)
			_, _ = io.WriteString(bad, request)
			nettest.Eventually(t, 10*time.Second,
				func() bool { return e.Stats().Flows.PlainInBytes.Load() == 2*uint64(len(request)) }, "the requests did not arrive")
			_, _ = bad.NetConn().Write([]byte("\x17\x03\x03\x00\x20not encrypted with any known key"))
			nettest.Eventually(t, 10*time.Second,
				func() bool { return e.Stats().Flows.Closed.Counts()["bad_record"] == 1 }, "the record was taken")
			third := dial(t, router)
			_, _ = io.WriteString(third, request)
			release.Do(func() { close(gate) })
			for i, c := range []*tls.Conn{first, third} {
				if got := statuses(t, c, 1); got[0] != "200 ok" {
					t.Errorf("client %d got %q", i, got)
				}
				c.Close()
			}
		})
	}
}

// A TLS record that arrives byte by byte is not activity: the time limit of a head keeps running.
func TestSlowRecord(t *testing.T) {
	o := httpOptions()
	o.HeadersTimeout = 200 * time.Millisecond
	silent := nettest.Serve(t, nettest.Discard).Addr
	_, router := startListener(t, testOptions(),
		Listener{HTTP: o, Pools: newRouter(t, backend.HTTP, silent)}, true)
	c := dial(t, router).NetConn()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	_, _ = c.Write([]byte("\x17\x03\x03\x40\x00"))
	for range 400 {
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
			_, _ = c.Write([]byte{0})
		}
	}
	t.Error("the connection was kept")
}

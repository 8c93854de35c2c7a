package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/reactor"
)

// A backend that breaks off while the client uploads must not look like one that has finished: the
// kernel reports it to the write, and the read that follows sees an end.
func TestBackendResetDuringUpload(t *testing.T) {
	stuck := make(chan bool)
	backend := nettest.Serve(t, func(c net.Conn) {
		if _, err := c.Write([]byte("partial")); err != nil {
			return
		}
		<-stuck
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	e, addr := startEngine(t, testOptions(), backend.Addr)
	c := dial(t, addr)
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			break // it is not read: all buffers are full
		}
	}
	before := e.Stats().Flows.CipherOutBytes.Load()
	close(stuck)
	nettest.Eventually(t, 10*time.Second,
		func() bool { return e.Stats().Flows.Closed.Counts()["backend_reset"] == 1 }, "the reset was not noticed")
	if after := e.Stats().Flows.CipherOutBytes.Load(); after != before {
		t.Errorf("%d more bytes went out: a close_notify", after-before)
	}
}

// A client that ends its stream, closes and is gone: its upload arrives.
func TestUploadOutlivesTheClient(t *testing.T) {
	const size = 4 << 20
	gone, received := make(chan bool), make(chan int, 1)
	backend := nettest.Serve(t, func(c net.Conn) {
		<-gone
		total, buf := 0, make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			total += n
			if err != nil {
				received <- total
				return
			}
			_, _ = c.Write([]byte(".")) // not read
		}
	})
	o := testOptions()
	o.HighWatermark = 8 << 20 // all of it waits here
	e, addr := startEngine(t, o, backend.Addr)
	c := dial(t, addr)
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	// The loss of the client's kernel buffer would be the client's own doing.
	nettest.Eventually(t, 10*time.Second,
		func() bool { return e.Stats().Flows.PlainInBytes.Load() == size }, "the upload did not get here")
	close(gone)
	if got := <-received; got != size {
		t.Errorf("the backend got %d bytes of %d", got, size)
	}
}

// A client that has said all and sent its FIN gets the whole answer and a FIN, be the answer one
// that the kernel takes at once or not, relayed or parsed.
func TestAnswerAfterTheClientsEnd(t *testing.T) {
	const question = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, size := range []int{0, 1, 8 << 20} {
		body := bytes.Repeat([]byte("a"), size)
		answer := append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size),
			body...)
		server := nettest.Serve(t, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = c.Write(answer)
			}
		})
		_, relay := startEngine(t, testOptions(), server.Addr)
		_, parser := startListener(t, testOptions(), Listener{
			HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, server.Addr),
		}, true)
		for name, addr := range map[string]string{"relayed": relay, "parsed": parser} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				if got := answerToTheLast(t, addr, question); !bytes.HasSuffix(got, body) ||
					bytes.IndexByte(got, '\n') < 0 {
					t.Errorf("got %d bytes, want %d at the least", len(got), size)
				}
			})
		}
	}
}

// answerToTheLast asks, says that this was all in TLS and in TCP, and returns what comes before the
// FIN.
func answerToTheLast(t *testing.T, addr, question string) []byte {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, question); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	raw := c.NetConn().(*net.TCPConn)
	if err := raw.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("got %d bytes, then %v; want a proper end", len(got), err)
	}
	if n, err := raw.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %d bytes, %v; want a FIN", n, err)
	}
	return got
}

// Sending data that were read long ago counts as activity.
func TestSlowReaderIsNotIdle(t *testing.T) {
	const size = 400 << 10
	source := nettest.Serve(t, func(c net.Conn) {
		_, _ = c.Write(make([]byte, size))
		nettest.Discard(c)
	})
	o := testOptions()
	o.HighWatermark = 8 << 20
	_, addr := startListener(t, o, Listener{
		Pools:       newRouter(t, backend.TCP, source.Addr),
		IdleTimeout: 500 * time.Millisecond,
	}, true)
	c := dial(t, addr)
	if err := c.NetConn().(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	total, buf := 0, make([]byte, 16<<10)
	pace := time.NewTicker(8 * time.Millisecond) // longer than the idle time-out for all of it
	defer pace.Stop()
	for total < size {
		<-pace.C
		n, err := c.Read(buf)
		if total += n; err != nil {
			t.Fatalf("after %d bytes of %d: %v", total, size, err)
		}
	}
}

// An event that belongs to a descriptor's predecessor does not make a connection.
func TestStaleEventIsNotAConnection(t *testing.T) {
	o := testOptions()
	o.Loops = 1
	e, addr := startEngine(t, o, silentListener(t))
	dial(t, addr)
	l := e.loops[0]
	links := make(chan link, 1)
	nettest.Eventually(t, 10*time.Second, func() bool {
		found := make(chan bool)
		l.reactor.Post(func(any) {
			connects := false
			l.reactor.Each(func(_ int, h reactor.Handler) {
				if f, ok := h.(*flow); ok && f.link == connecting && !connects {
					f.OnEvent(f.backend.fd, reactor.Events(unix.EPOLLOUT|unix.EPOLLIN))
					connects = true
					links <- f.link
				}
			})
			found <- connects
		}, nil)
		return <-found
	}, "no flow connects")
	if got := <-links; got != connecting {
		t.Errorf("link is %v after a stale event, want connecting", got)
	}
}

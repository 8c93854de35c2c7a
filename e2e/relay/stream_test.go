package relay

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestBothWaysByteExact sends a stream to an echo and compares what comes back,
// with both directions under pressure at the same time.
func TestBothWaysByteExact(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, p := range harness.Paces {
			t.Run(fmt.Sprintf("%s/%s", tls.VersionName(version), p.Name), func(t *testing.T) {
				s, pki := harness.EchoServer(t, testpki.ECDSA)
				conn := harness.Connect(t, s.Addr(),
					harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.MaxVersion = version }))
				conn.SetDeadline(time.Now().Add(2 * harness.Patience))
				sent := make(chan error, 1)
				go func() {
					_, err := io.Copy(conn, nettest.NewPattern(1, p.N()))
					if err == nil {
						err = conn.CloseWrite()
					}
					sent <- err
				}()
				if err := nettest.CheckPattern(p.Read(s, conn), 1, p.N()); err != nil {
					t.Error(err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestBackendClosesWithMuchUnsent: when the backend is gone its answer still reaches a reader that
// has not begun to read.
func TestBackendClosesWithMuchUnsent(t *testing.T) {
	pki := testpki.New(t)
	const n = 10 * harness.MiB
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
		harness.To(nettest.Serve(t, nettest.Source(2, n)).Addr))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	harness.SetReadBuffer(conn, 64<<10)
	s.AwaitStill()
	if d := s.Document(); d.Engine.Flows.PlainOutBytes >= n {
		t.Logf("the kernel took all %d bytes", n)
	}
	if err := nettest.CheckPattern(harness.NewSlowReader(s, conn), 2, n); err != nil {
		t.Error(err)
	}
}

// TestSlowReaderKeepsTheEnd: the end of an answer may still be in the kernel when linger-timeout
// ends. Closing must not discard it.
func TestSlowReaderKeepsTheEnd(t *testing.T) {
	pki := testpki.New(t)
	const n = harness.MiB / 2
	s := harness.Start(t, "--linger-timeout", "200ms", harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
		harness.To(nettest.Serve(t, nettest.Source(3, n)).Addr))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	harness.SetReadBuffer(conn, 16<<10)
	s.AwaitIdle()
	if err := nettest.CheckPattern(conn, 3, n); err != nil {
		t.Error(err)
	}
}

// TestStoppedReadersCostBoundedMemory: backpressure reaches the backends when clients stop reading,
// so that their memory depends on the watermarks only.
func TestStoppedReadersCostBoundedMemory(t *testing.T) {
	const (
		readers       = 200
		highWatermark = 256 << 10
		readSize      = 48 << 10
	)
	// A flow holds at most the high watermark and one read. Its buffer grows
	// to that length by one read at a time, here five, and before the
	// collector runs the arrays outgrown, of 1/5, 2/5, 3/5 and 4/5 of it, add
	// as much as twice to that.
	const bound = readers * 3 * (highWatermark + readSize)

	pki := testpki.New(t)
	n := harness.Bulk()
	backend := nettest.Serve(t, func(conn net.Conn) {
		conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // the kernel has a bound for all together
		nettest.Source(4, n)(conn)
	})
	s := harness.Start(t, "--high-watermark", fmt.Sprint(highWatermark),
		harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(backend.Addr))
	harness.Connect(t, s.Addr(), harness.ClientConfig(pki)).NetConn().Close()
	s.AwaitIdle()
	before := harness.RSS(t, s)

	conns := make([]*tls.Conn, readers)
	for i := range conns {
		conns[i] = harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
		harness.SetReadBuffer(conns[i], 64<<10)
	}
	s.Await("all streams start", func(harness.Document) bool { return backend.Accepted() > readers })
	s.AwaitStill()
	harness.WantGrown(t, s, before, bound)
	if d := s.Document(); d.Engine.Flows.Open != readers ||
		d.Engine.Flows.PlainOutBytes >= uint64(readers)*uint64(n) {
		t.Errorf("%d connections open, %d bytes taken from backends: they have not stopped", d.Engine.Flows.Open, d.Engine.Flows.PlainOutBytes)
	}
	if err := nettest.CheckPattern(conns[readers/2], 4, n); err != nil {
		t.Error("one that goes on:", err)
	}
}

// TestAnswerAfterHalfClose: a client that has ended its input, by close_notify and perhaps FIN,
// still gets the backend's later answer.
func TestAnswerAfterHalfClose(t *testing.T) {
	const request, answer = "the whole request", "an answer that took its time"
	for _, test := range []struct {
		name string
		fin  bool
	}{{"close_notify", false}, {"close_notify and FIN", true}} {
		t.Run(test.name, func(t *testing.T) {
			heard, release := make(chan string, 1), make(chan struct{})
			backend := nettest.Serve(t, func(conn net.Conn) {
				got, _ := io.ReadAll(conn)
				heard <- string(got)
				<-release
				io.WriteString(conn, answer)
			})
			goOn := sync.OnceFunc(func() { close(release) })
			t.Cleanup(goOn)
			pki := testpki.New(t)
			s := harness.Start(t, "--linger-timeout", "100ms", harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(backend.Addr))
			conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
			io.WriteString(conn, request)
			conn.CloseWrite()
			if test.fin {
				harness.TCP(conn).CloseWrite()
			}
			if got := <-heard; got != request {
				t.Errorf("the backend got %q, want %q", got, request)
			}
			s.AwaitStill() // longer than any grace that is not meant for this
			goOn()
			if got, err := io.ReadAll(conn); err != nil || string(got) != answer {
				t.Errorf("the client got %q, %v, want %q and a close_notify", got, err, answer)
			}
		})
	}
}

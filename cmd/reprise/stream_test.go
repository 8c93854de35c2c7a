package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const mib = 1 << 20

// bulk is how much is enough to go round every buffer there is many times.
func bulk() int64 {
	if raceEnabled {
		return 16 * mib
	}
	return 100 * mib
}

// A pace is how a client reads.
type pace struct {
	name string
	n    func() int64 // bytes to read at this pace
	read func(s *server, r io.Reader) io.Reader
}

var paces = []pace{
	{"fast", bulk, func(_ *server, r io.Reader) io.Reader { return r }},
	// Not slower, because nothing in the program depends on how slow it is;
	// the kernel's buffers are kept smaller than the stream instead.
	{"4 MiB per second", func() int64 { return 8 * mib }, newSlowReader},
	{"stop and go", bulk, newStopAndGoReader},
}

// TestBothWaysByteExact sends a stream to an echo and compares what comes back,
// with both directions under pressure at the same time.
func TestBothWaysByteExact(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, p := range paces {
			t.Run(fmt.Sprintf("%s/%s", tls.VersionName(version), p.name), func(t *testing.T) {
				s, pki := echoServer(t, testpki.ECDSA)
				conn := connect(t, s.addr(), with(clientConfig(pki), func(c *tls.Config) { c.MaxVersion = version }))
				conn.SetDeadline(time.Now().Add(2 * patience))
				sent := make(chan error, 1)
				go func() {
					_, err := io.Copy(conn, nettest.NewPattern(1, p.n()))
					if err == nil {
						err = conn.CloseWrite()
					}
					sent <- err
				}()
				if err := nettest.CheckPattern(p.read(s, conn), 1, p.n()); err != nil {
					t.Error(err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A slowReader reads a TLS record per tick.
type slowReader struct {
	io.Reader
	tick *time.Ticker
}

func newSlowReader(s *server, r io.Reader) io.Reader {
	const record, perSecond = 16 << 10, 4 * mib
	setReadBuffer(r.(*tls.Conn), 64<<10)
	tick := time.NewTicker(time.Second * record / perSecond)
	s.t.Cleanup(tick.Stop)
	return slowReader{r, tick}
}

func (s slowReader) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Reader.Read(p)
}

// setReadBuffer keeps the kernel from reading ahead for the client.
func setReadBuffer(conn *tls.Conn, n int) { tcp(conn).SetReadBuffer(n) }

// A stopAndGoReader stops now and then until everything before it is full.
type stopAndGoReader struct {
	io.Reader
	server *server
	every  int64
	left   int64
}

func newStopAndGoReader(s *server, r io.Reader) io.Reader {
	setReadBuffer(r.(*tls.Conn), 64<<10)
	return &stopAndGoReader{Reader: r, server: s, every: bulk() / 8}
}

func (s *stopAndGoReader) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.server.awaitStill()
		s.left = s.every
	}
	n, err := s.Reader.Read(p)
	s.left -= int64(n)
	return n, err
}

// TestBackendClosesWithMuchUnsent: when the backend is gone its answer still
// has to get through, to a reader that has not even begun.
func TestBackendClosesWithMuchUnsent(t *testing.T) {
	pki := testpki.New(t)
	const n = 10 * mib
	s := start(t, listen(pki.Server(testpki.ECDSA, "localhost")), to(nettest.Serve(t, nettest.Source(2, n)).Addr))
	conn := connect(t, s.addr(), clientConfig(pki))
	setReadBuffer(conn, 64<<10)
	s.awaitStill()
	if d := s.document(); d.Engine.Flows.PlainOutBytes >= n {
		t.Logf("the kernel took all %d bytes", n)
	}
	if err := nettest.CheckPattern(newSlowReader(s, conn), 2, n); err != nil {
		t.Error(err)
	}
}

// TestSlowReaderKeepsTheEnd: the end of an answer may still be in the kernel
// when patience with the client's goodbye runs out. That must not take it back.
func TestSlowReaderKeepsTheEnd(t *testing.T) {
	pki := testpki.New(t)
	const n = mib / 2
	s := start(t, "--linger-timeout", "200ms", listen(pki.Server(testpki.ECDSA, "localhost")), to(nettest.Serve(t, nettest.Source(3, n)).Addr))
	conn := connect(t, s.addr(), clientConfig(pki))
	setReadBuffer(conn, 16<<10)
	s.awaitIdle()
	if err := nettest.CheckPattern(conn, 3, n); err != nil {
		t.Error(err)
	}
}

// TestStoppedReadersCostBoundedMemory: backpressure reaches the backends when
// clients stop reading, so that what they cost depends on the watermarks only.
func TestStoppedReadersCostBoundedMemory(t *testing.T) {
	const (
		readers       = 200
		highWatermark = 256 << 10
		readSize      = 64 << 10
	)
	// A flow holds at most the high watermark and one read. Its buffer grows
	// to that length by one read at a time, here five, and before the
	// collector runs the arrays outgrown, of 1/5, 2/5, 3/5 and 4/5 of it, add
	// as much as twice to that.
	const bound = readers * 3 * (highWatermark + readSize)

	pki := testpki.New(t)
	n := bulk()
	backend := nettest.Serve(t, func(conn net.Conn) {
		conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // the kernel has a bound for all together
		nettest.Source(4, n)(conn)
	})
	s := start(t, "--high-watermark", fmt.Sprint(highWatermark), "--read-size", fmt.Sprint(readSize),
		listen(pki.Server(testpki.ECDSA, "localhost")), to(backend.Addr))
	connect(t, s.addr(), clientConfig(pki)).NetConn().Close()
	s.awaitIdle()
	before := rss(t, s)

	conns := make([]*tls.Conn, readers)
	for i := range conns {
		conns[i] = connect(t, s.addr(), clientConfig(pki))
		setReadBuffer(conns[i], 64<<10)
	}
	s.await("all streams start", func(document) bool { return backend.Accepted() > readers })
	s.awaitStill()
	grown := rss(t, s) - before
	t.Logf("%d readers that stopped cost %d KiB each, %d MiB together; the bound is %d MiB", readers, grown/readers>>10, grown>>20, bound>>20)
	if grown > bound && !raceEnabled {
		t.Errorf("%d readers that stopped cost %d MiB, want at most %d", readers, grown>>20, bound>>20)
	}
	if d := s.document(); d.Engine.Flows.Open != readers || d.Engine.Flows.PlainOutBytes >= uint64(readers)*uint64(n) {
		t.Errorf("%d connections open, %d bytes taken from backends: they have not stopped", d.Engine.Flows.Open, d.Engine.Flows.PlainOutBytes)
	}
	if err := nettest.CheckPattern(conns[readers/2], 4, n); err != nil {
		t.Error("one that goes on:", err)
	}
}

func rss(t *testing.T, s *server) int64 {
	t.Helper()
	n, err := nettest.RSS(s.Pid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAnswerAfterHalfClose: a client that has said all it has to say, by
// close_notify and perhaps FIN, still gets what the backend says when it knows.
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
			s := start(t, "--linger-timeout", "100ms", listen(pki.Server(testpki.ECDSA, "localhost")), to(backend.Addr))
			conn := connect(t, s.addr(), clientConfig(pki))
			io.WriteString(conn, request)
			conn.CloseWrite()
			if test.fin {
				tcp(conn).CloseWrite()
			}
			if got := <-heard; got != request {
				t.Errorf("the backend got %q, want %q", got, request)
			}
			s.awaitStill() // longer than any grace that is not meant for this
			goOn()
			if got, err := io.ReadAll(conn); err != nil || string(got) != answer {
				t.Errorf("the client got %q, %v, want %q and a close_notify", got, err, answer)
			}
		})
	}
}

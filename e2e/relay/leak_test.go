package relay

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// An ending is a way in which a connection to an echo ends. It returns one that the server has to
// end, or nil.
type ending func(addr string, config *tls.Config, hello []byte) (net.Conn, error)

var endings = []ending{
	good, abortedInHandshake, abortedConnected, garbage, truncated, stalled, unread,
}

func good(addr string, config *tls.Config, _ []byte) (net.Conn, error) {
	_, err := harness.TryVisit(addr, config)
	return nil, err
}

func abortedInHandshake(addr string, _ *tls.Config, hello []byte) (net.Conn, error) {
	conn, err := stalled(addr, nil, hello)
	if err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	return nil, err
}

func abortedConnected(addr string, config *tls.Config, _ []byte) (net.Conn, error) {
	conn, err := harness.Handshake(addr, config)
	if err == nil {
		harness.TCP(conn).SetLinger(0)
		harness.TCP(conn).Close()
	}
	return nil, err
}

func garbage(addr string, _ *tls.Config, _ []byte) (net.Conn, error) {
	conn, err := nettest.Dial(addr)
	if err == nil {
		conn.Write(bytes.Repeat([]byte("garbage "), 1000))
	}
	return conn, err
}

func truncated(addr string, _ *tls.Config, hello []byte) (net.Conn, error) {
	conn, err := stalled(addr, nil, hello[:len(hello)/2])
	if err == nil {
		conn.(*net.TCPConn).CloseWrite()
	}
	return conn, err
}

func stalled(addr string, _ *tls.Config, hello []byte) (net.Conn, error) {
	conn, err := nettest.Dial(addr)
	if err == nil {
		_, err = conn.Write(hello)
	}
	return conn, err
}

// unread leaves without reading its answer.
func unread(addr string, config *tls.Config, _ []byte) (net.Conn, error) {
	conn, err := harness.Handshake(addr, config)
	if err == nil {
		_, err = conn.Write(make([]byte, 100<<10))
		harness.TCP(conn).Close()
	}
	return nil, err
}

// TestSteadyStateLeaksNothing: after thousands of connections with all sorts of
// ends the process holds what it held before.
func TestSteadyStateLeaksNothing(t *testing.T) {
	// A loop keeps up to 64 coroutines for handshakes to come: the warm-up
	// needs one loop and more handshakes at a time than that.
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--http-processes", "1", "--handshake-timeout", "2s", "--linger-timeout", "1s")
	config, hello := harness.ClientConfig(pki), harness.ClientHello(t, &tls.Config{ServerName: "localhost"})
	live(t, s, 100, stalled, config, hello)
	for _, end := range endings {
		live(t, s, 20, end, config, hello)
	}
	s.AwaitIdle()
	goroutines, descriptors := harness.GoroutineLen(t, s), s.DescriptorLen()
	before := s.Document().Engine.Flows.Accepted

	const each = 300 // 2,100 in all
	var workers sync.WaitGroup
	for _, end := range endings {
		workers.Go(func() { live(t, s, each, end, config, hello) })
	}
	workers.Wait()
	s.AwaitIdle()
	if got := s.Document().Engine.Flows.Accepted - before; got != uint64(each*len(endings)) {
		t.Errorf("%d connections accepted, want %d", got, each*len(endings))
	}
	nettest.Eventually(t, harness.Patience, func() bool { return s.DescriptorLen() <= descriptors }, "descriptors are %d again",
		descriptors)
	nettest.Eventually(t, harness.Patience,
		func() bool { return harness.GoroutineLen(t, s) <= goroutines }, "goroutines are %d again", goroutines)
	t.Logf("%d goroutines, %d descriptors before and after", goroutines, descriptors)
	if d := s.Document(); d.Engine.Flows.Panics > 0 || s.LogLen() != 1 {
		t.Errorf("%d panics, %d log lines, want 0 and that it serves", d.Engine.Flows.Panics, s.LogLen())
	}
}

// live lets n connections end in a way, and waits for those that the server has
// to end. It may be called from several goroutines.
func live(t *testing.T, s *harness.Server, n int, meet ending, config *tls.Config, hello []byte) {
	t.Helper()
	var open []net.Conn
	for range n {
		conn, err := meet(s.Addr(), config, hello)
		if err != nil {
			t.Error(err)
		} else if conn != nil {
			open = append(open, conn)
		}
	}
	for _, conn := range open {
		conn.SetDeadline(time.Now().Add(harness.Patience))
		io.Copy(io.Discard, conn) // a reset is as good
		conn.Close()
	}
}

package harness

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// traffic is clients that come at a steady rate, each on a connection of its own.
type traffic struct {
	t       *testing.T
	addr    string
	config  *tls.Config
	stop    chan struct{}
	running sync.WaitGroup

	mu                              sync.Mutex // guards what follows
	answered, refused, empty, other int
	first                           error
}

// trafficRate is how many clients come per second.
const trafficRate = 200

// StartTraffic sends clients to an HTTPS address until end is called.
func StartTraffic(t *testing.T, addr string, config *tls.Config) *traffic {
	c := &traffic{t: t, addr: addr, config: config, stop: make(chan struct{})}
	c.running.Go(func() {
		ticker := time.NewTicker(time.Second / trafficRate)
		defer ticker.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
				c.running.Go(c.visit)
			}
		}
	})
	t.Cleanup(func() { c.finish() })
	return c
}

func (c *traffic) visit() {
	transport := &http.Transport{
		TLSClientConfig: c.config.Clone(), DisableKeepAlives: true,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: Patience}).Get("https://" + c.addr +
		"/")
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && len(body) > 0:
		c.answered++
		return
	case errors.Is(err, syscall.ECONNREFUSED):
		c.refused++
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), err == nil && len(body) == 0:
		c.empty++
	default:
		c.other++
	}
	if c.first == nil {
		if c.first = err; err == nil {
			c.first = errors.New(resp.Status)
		}
	}
}

// Await waits until n more clients have been answered.
func (c *traffic) Await(n int) {
	c.t.Helper()
	c.mu.Lock()
	want := c.answered + n
	c.mu.Unlock()
	nettest.Eventually(c.t, Patience, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answered >= want || c.first != nil
	}, "clients are answered")
}

func (c *traffic) finish() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
}

// End lets no more clients come, and checks that all were answered.
func (c *traffic) End() {
	c.t.Helper()
	c.finish()
	c.t.Logf("%d clients answered, %d refused, %d without an answer, %d failed otherwise",
		c.answered, c.refused, c.empty, c.other)
	if c.first != nil {
		c.t.Errorf("%d clients refused, %d without an answer, %d failed otherwise, the first: %v",
			c.refused, c.empty, c.other, c.first)
	}
}

// A pollingBalancer distributes connections among the servers that were ready at its last poll.
type pollingBalancer struct {
	net.Listener
	servers []*Server

	mu    sync.Mutex // guards ready
	ready []*Server
}

// BalanceByReadiness runs a balancer that polls every interval, until the test ends.
func BalanceByReadiness(t *testing.T, interval time.Duration, servers ...*Server) *pollingBalancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &pollingBalancer{Listener: l, servers: servers}
	stop := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		l.Close()
		running.Wait()
	})
	b.look()
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				b.look()
			}
		}
	})
	running.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.deal(c.(*net.TCPConn), i) })
		}
	})
	return b
}

func (b *pollingBalancer) look() {
	var ready []*Server
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}
	for _, s := range b.servers {
		if resp, err := client.Get("http://" + s.Admin + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				ready = append(ready, s)
			}
		}
	}
	b.mu.Lock()
	b.ready = ready
	b.mu.Unlock()
}

// deal relays a connection. If the server refuses it, the client gets no answer.
func (b *pollingBalancer) deal(c *net.TCPConn, i int) {
	defer c.Close()
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	if len(ready) == 0 {
		return
	}
	raw, err := net.Dial("tcp", ready[i%len(ready)].Addr())
	if err != nil {
		return
	}
	defer raw.Close()
	s := raw.(*net.TCPConn)
	var both sync.WaitGroup
	both.Go(func() { io.Copy(s, c); s.CloseWrite() })
	io.Copy(c, s)
	c.CloseWrite()
	both.Wait()
}

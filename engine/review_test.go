package engine

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// oneLoop makes all flows meet on one loop.
func oneLoop() Options {
	o := testOptions()
	o.Loops = 1
	return o
}

// statuses reads n responses.
func statuses(t *testing.T, c net.Conn, n int) (got []string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return append(got, err.Error())
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return append(got, err.Error())
		}
		got = append(got, fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body))))
	}
	return got
}

func dialRaw(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// readFromBackend waits until as much has been read, so that what follows comes
// apart from it.
func readFromBackend(t *testing.T, e *Engine, n int) {
	t.Helper()
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.PlainOutBytes.Load() >= uint64(n) }, "less than %d bytes read", n)
}

// What a backend says beyond its response is not the beginning of the next one,
// also when the client has asked again already.
func TestSurplusIsNoAnswer(t *testing.T) {
	const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, test := range []struct {
		name  string
		first []string // in pieces
		want  string
	}{
		{"with the response", []string{okAnswer + surplus}, "[200 ok 200 ok]"},
		{"with the end of a response", []string{"HTTP/1.1 200 OK\r\nContent-", "Length: 2\r\n\r\nok" + surplus}, "[200 ok 200 ok]"},
		{"after what is no response", []string{"HTTP/1.1 100 Continue\r\nX", ": y\r\n\r\nnonsense\r\n\r\n" + surplus}, "[502 Bad Gateway 200 ok]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			next := make(chan bool)
			addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
				if n > 0 {
					_, _ = io.WriteString(c, okAnswer)
					return
				}
				for _, piece := range test.first {
					_, _ = io.WriteString(c, piece)
					<-next
				}
			})
			e, router := startListener(t, oneLoop(), Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, false)
			c := dialRaw(t, router)
			_, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2))
			written := 0
			for _, piece := range test.first {
				written += len(piece)
				readFromBackend(t, e, written)
				next <- true
			}
			r := bufio.NewReader(c)
			var got []string
			for range 2 {
				resp, err := http.ReadResponse(r, nil)
				for err == nil && resp.StatusCode == 100 {
					resp, err = http.ReadResponse(r, nil)
				}
				if err != nil {
					t.Fatalf("%v after %v", err, got)
				}
				body, _ := io.ReadAll(resp.Body)
				got = append(got, fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body))))
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
			if n := e.Stats().Flows.Panics.Load(); n > 0 {
				t.Errorf("%d panics", n)
			}
		})
	}
}

// A connection on which a backend has said more than it was asked for serves
// nobody else, also if its last bytes were not read.
func TestUnreadSurplusIsNoAnswer(t *testing.T) {
	o := oneLoop()
	o.ReadSize = 4096
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n"
	body := strings.Repeat("b", 4000)
	padding := "X: " + strings.Repeat("p", o.ReadSize-len(head)-len("X: \r\n\r\n")-len(body)) + "\r\n\r\n"
	addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
		if n == 0 {
			_, _ = io.WriteString(c, head+padding+body+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		} else {
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	_, router := startListener(t, o, Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, false)
	for _, want := range []string{"200 " + body, "200 ok"} {
		c := dialRaw(t, router)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := statuses(t, c, 1); got[0] != want {
			t.Errorf("got %.20q, want %.20q", got, want)
		}
	}
}

// A FIN without TLS goes through while nothing else moves.
func TestRawHalfClose(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	_, addr := startListener(t, testOptions(), Listener{Pools: newRouter(t, backend.TCP, echo.Addr)}, false)
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
			pool, err := backend.NewPool([]backend.Spec{{Network: "tcp", Address: addr, Protocol: protocol, MaxConns: 1}}, backend.Options{QueueLen: 10, Retries: 3, ConnectTimeout: 5 * time.Second})
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
			nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.PlainInBytes.Load() == 2*uint64(len(request)) }, "the requests did not arrive")
			_, _ = bad.NetConn().Write([]byte("\x17\x03\x03\x00\x20not encrypted with any known key"))
			nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Closed.Counts()["bad_record"] == 1 }, "the record was taken")
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

// A body without a length in advance is bounded as well.
func TestMaxBodyOfChunked(t *testing.T) {
	o := httpOptions()
	o.MaxBody = 1000
	_, addr, _ := startRouter(t, o, describe)
	for _, test := range []struct{ name, size, want string }{
		{"allowed", "3e8", "HTTP/1.1 200 "},
		{"too long", "3e9", "HTTP/1.1 413 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var n int
			_, _ = fmt.Sscanf(test.size, "%x", &n)
			got := exchangeRaw(t, addr, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+
				test.size+"\r\n"+strings.Repeat("x", n)+"\r\n0\r\n\r\n")
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A client that asks and asks and does not read the answers is not asked for
// more; once it reads, it gets all of them.
func TestAnswersNobodyReads(t *testing.T) {
	o := httpOptions()
	o.RedirectPort = 443
	e, addr := startListener(t, oneLoop(), Listener{HTTP: o}, false)
	const request, total = "GET /0123456789 HTTP/1.1\r\nHost: a\r\n\r\n", 1 << 19
	c := dialRaw(t, addr)
	data := []byte(strings.Repeat(request, total))
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Write(data)
	if in := e.Stats().Flows.PlainInBytes.Load(); !errors.Is(err, os.ErrDeadlineExceeded) || in > uint64(len(data))/2 {
		t.Fatalf("%d of %d bytes were taken, %v", in, len(data), err)
	}
	go func() {
		_ = c.SetWriteDeadline(time.Time{})
		_, _ = c.Write(data[n:])
		_ = c.CloseWrite()
	}()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	answers := 0
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "HTTP/1.1 301 ") {
			answers++
		}
	}
	if answers != total {
		t.Errorf("got %d answers, want %d", answers, total)
	}
}

// What follows from an end without a byte is sent at once too: a request after
// one whose backend ended the response by closing, or did not answer.
func TestNextAfterAnEnd(t *testing.T) {
	var both sync.WaitGroup
	ends := make(chan bool)
	const open = "HTTP/1.1 200 OK\r\n\r\n"
	addr := nettest.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			switch req.URL.Path {
			case "/both":
				both.Done()
				both.Wait()
			case "/close":
				_, _ = io.WriteString(c, open)
				<-ends
				return
			case "/hang":
				_, _ = io.Copy(io.Discard, c)
				return
			}
			_, _ = io.WriteString(c, okAnswer)
		}
	}).Addr
	for _, test := range []struct{ path, want string }{
		{"/close", "[200  200 ok]"},
		{"/hang", "[504 Gateway Timeout 200 ok]"},
	} {
		t.Run(test.path, func(t *testing.T) {
			both.Add(2)
			e, router := startListener(t, oneLoop(), Listener{
				HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr), IdleTimeout: 500 * time.Millisecond,
			}, false)
			get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }
			a, b := dialRaw(t, router), dialRaw(t, router)
			_, _ = io.WriteString(a, get("/both"))
			_, _ = io.WriteString(b, get("/both"))
			statuses(t, a, 1)
			statuses(t, b, 1)
			_, _ = io.WriteString(a, get(test.path)+get("/"))
			if test.path == "/close" {
				readFromBackend(t, e, len(okAnswer+okAnswer+open))
				ends <- true
			}
			if got := fmt.Sprint(statuses(t, a, 2)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A uwsgi backend gets no PROXY header, which its protocol has no place for: its
// variables name the client.
func TestNoProxyHeaderForUWSGI(t *testing.T) {
	begins := make(chan byte, 1)
	addr := nettest.Serve(t, func(c net.Conn) {
		b := make([]byte, 1)
		_, _ = io.ReadFull(c, b)
		begins <- b[0]
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	}).Addr
	_, router := startListener(t, testOptions(), Listener{HTTP: httpOptions(), Pools: proxyRouter(t, 1, backend.UWSGI, addr)}, false)
	for _, framing := range []string{"Content-Length: 1\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"} {
		c := dialRaw(t, router)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		if got := <-begins; got != 0 { // modifier1
			t.Errorf("the backend got %q first", got)
		}
	}
}

// A drain that begins in mid-response ends with it.
func TestDrainDuringResponse(t *testing.T) {
	gate := make(chan bool)
	addr := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		<-gate
		_, _ = io.WriteString(c, "k")
	})
	e, router := startListener(t, oneLoop(), Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, false)
	c := dialRaw(t, router)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(ctx) }()
	nettest.Eventually(t, 10*time.Second, func() bool {
		probe, err := net.Dial("tcp", router)
		if err == nil {
			probe.Close()
		}
		return err != nil
	}, "it goes on accepting")
	close(gate)
	rest, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(rest), "\r\n\r\nok") {
		t.Errorf("got %q, %v", rest, err)
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// A TLS record that arrives byte by byte is no sign of life: the time for a head
// runs on.
func TestSlowRecord(t *testing.T) {
	o := httpOptions()
	o.HeadersTimeout = 200 * time.Millisecond
	silent := nettest.Serve(t, nettest.Discard).Addr
	_, router := startListener(t, testOptions(), Listener{HTTP: o, Pools: newRouter(t, backend.HTTP, silent)}, true)
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

// An error has a body even after a HEAD.
func TestErrorAfterHead(t *testing.T) {
	_, addr, _ := startRouter(t, httpOptions(), describe)
	got := exchangeRaw(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n")
	if !strings.Contains(got, "400 Bad Request\r\n") || !strings.HasSuffix(got, "\r\n\r\nBad Request\n") {
		t.Errorf("got %q", got)
	}
}

// A connection that a backend has closed meanwhile is no backend tried in vain.
func TestRetryNeedsNoOtherBackend(t *testing.T) {
	addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
		if n == 1 {
			c.Close()
			return
		}
		_, _ = io.WriteString(c, okAnswer)
	})
	e, err := New(testOptions(), []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr),
		IdleTimeout: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	c := dialRaw(t, e.Addresses()[0])
	_, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2))
	if got := fmt.Sprint(statuses(t, c, 2)); got != "[200 ok 200 ok]" {
		t.Errorf("got %s", got)
	}
}

// Half a request before the client's end does not take back the answer to the one
// before.
func TestEndInHalfAHead(t *testing.T) {
	_, addr, _ := startRouter(t, httpOptions(), describe)
	got := exchangeRaw(t, addr, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n")
	if !strings.HasSuffix(got, "POST /a 1 []") {
		t.Errorf("got %q", got)
	}
}

// A connection that is counted as ended is not counted again when the node stops.
func TestClosedOnce(t *testing.T) {
	_, addr, _ := startRouter(t, httpOptions(), describe)
	_ = addr
	e, addr2 := startEngine(t, testOptions(), "127.0.0.1:1")
	c := dialRaw(t, addr2)
	_, _ = io.WriteString(c, "no TLS at all, and no end")
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().Flows.Closed.Counts()["handshake_failed"] == 1 }, "it was not refused")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Flows.Closed.Counts()["shutdown"]; n != 0 {
		t.Errorf("%d counted as shutdown too", n)
	}
}

package engine

import (
	"bufio"
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

// Bytes of a backend beyond its response are not the beginning of the next one, even when the
// client has sent another request already.
func TestSurplusIsNotAnAnswer(t *testing.T) {
	const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, test := range []struct {
		name  string
		first []string // in pieces
		want  string
	}{
		{"with the response", []string{okAnswer + surplus}, "[200 ok 200 ok]"},
		{"with the end of a response", []string{"HTTP/1.1 200 OK\r\nContent-", "Length: 2\r\n\r\nok" + surplus}, "[200 ok 200 ok]"},
		{"after a malformed response", []string{"HTTP/1.1 100 Continue\r\nX", ": y\r\n\r\nnonsense\r\n\r\n" + surplus}, "[502 Bad Gateway 200 ok]"},
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
			e, router := startListener(t, oneLoop(),
				Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, false)
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

// A connection on which a backend has sent unsolicited data serves no other request, even if its
// last bytes were not read.
func TestUnreadSurplusIsNotAnAnswer(t *testing.T) {
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
	_, router := startListener(t, o, Listener{
		HTTP:  httpOptions(),
		Pools: newRouter(t, backend.HTTP, addr),
	}, false)
	for _, want := range []string{"200 " + body, "200 ok"} {
		c := dialRaw(t, router)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := statuses(t, c, 1); got[0] != want {
			t.Errorf("got %.20q, want %.20q", got, want)
		}
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

// A client that sends requests and does not read the answers is not read from any more; once it
// reads, it gets all of them.
func TestUnreadAnswersStopReading(t *testing.T) {
	o := httpOptions()
	o.RedirectPort = 443
	e, addr := startListener(t, oneLoop(), Listener{HTTP: o}, false)
	const request, total = "GET /0123456789 HTTP/1.1\r\nHost: a\r\n\r\n", 1 << 19
	c := dialRaw(t, addr)
	data := []byte(strings.Repeat(request, total))
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	n, err := c.Write(data)
	if in := e.Stats().Flows.PlainInBytes.Load(); !errors.Is(err, os.ErrDeadlineExceeded) ||
		in > uint64(len(data))/2 {
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

// Output that follows from an end without a byte is sent at once too: a request after one whose
// backend ended the response by closing, or did not answer.
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
				HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP,
					addr), IdleTimeout: 500 * time.Millisecond,
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

// An error has a body even after a HEAD.
func TestErrorAfterHead(t *testing.T) {
	_, addr, _ := startRouter(t, httpOptions(), describe)
	got := exchangeRaw(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n")
	if !strings.Contains(got, "400 Bad Request\r\n") || !strings.HasSuffix(got, "\r\n\r\nBad Request\n") {
		t.Errorf("got %q", got)
	}
}

// Half a request before the client's end does not discard the answer to the one before.
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
	nettest.Eventually(t, 10*time.Second,
		func() bool { return e.Stats().Flows.Closed.Counts()["handshake_failed"] == 1 }, "it was not refused")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Flows.Closed.Counts()["shutdown"]; n != 0 {
		t.Errorf("%d counted as shutdown too", n)
	}
}

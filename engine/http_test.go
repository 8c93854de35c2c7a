package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/http1"
	"reprise/internal/nettest"
	"reprise/internal/tuning"
)

func httpOptions() *HTTP {
	return &HTTP{
		Requests: tuning.Requests{
			KeepAlive: time.Minute, HeadersTimeout: 10 * time.Second, BackendKeepAlive: 8,
			BackendIdleTimeout: time.Minute, BodyBuffer: 64 << 10,
		},
		Limits: http1.Limits{HeadLen: 16 << 10, TargetLen: 8 << 10, FieldLen: 100, TrailerLen: 4 << 10},
	}
}

// startBefore serves HTTP over TLS in front of Go's own server.
func startBefore(t *testing.T, h *HTTP, handler http.HandlerFunc) (*Engine, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return startListener(t, testOptions(), Listener{
		HTTP: h, Pools: newRouter(t, backend.HTTP, server.Listener.Addr().String()),
	}, true)
}

// startRouter serves HTTP over TLS in front of Go's own server, and returns a
// client for it.
func startRouter(t *testing.T, h *HTTP, handler http.HandlerFunc) (*Engine, string, *http.Client) {
	t.Helper()
	e, addr := startBefore(t, h, handler)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		MaxConnsPerHost: 4,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return e, addr, &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// describe answers with what the backend saw.
func describe(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-Method", r.Method)
	fmt.Fprintf(w, "%s %s %d %v", r.Method, r.URL.Path, len(body), r.TransferEncoding)
}

// describeOr answers some paths in their own ways, and describes other requests.
func describeOr(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/204":
		w.WriteHeader(204)
	case "/304":
		w.WriteHeader(304)
	case "/flush":
		for range 3 {
			io.WriteString(w, "piece ")
			w.(http.Flusher).Flush()
		}
	case "/hints":
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		io.WriteString(w, "final")
	default:
		describe(w, r)
	}
}

func TestRequests(t *testing.T) {
	e, addr, client := startRouter(t, httpOptions(), describeOr)
	for _, test := range []struct {
		name, method, path string
		body               io.Reader
		status             int
		want               string
	}{
		{"get", "GET", "/a", nil, 200, "GET /a 0 []"},
		{"head", "HEAD", "/a", nil, 200, ""},
		{"post", "POST", "/a", strings.NewReader("12345"), 200, "POST /a 5 []"},
		{"empty post", "POST", "/a", http.NoBody, 200, "POST /a 0 []"},
		{"chunked post", "POST", "/a", io.MultiReader(strings.NewReader("123"), strings.NewReader("4567")), 200, "POST /a 7 [chunked]"},
		{"large post", "POST", "/a", bytes.NewReader(make([]byte, 3<<20)), 200, "POST /a 3145728 []"},
		{"large chunked post", "PUT", "/a", io.MultiReader(bytes.NewReader(make([]byte, 3<<20))), 200, "PUT /a 3145728 [chunked]"},
		{"no content", "GET", "/204", nil, 204, ""},
		{"not modified", "GET", "/304", nil, 304, ""},
		{"chunked response", "GET", "/flush", nil, 200, "piece piece piece "},
		{"early hints", "GET", "/hints", nil, 200, "final"},
	} {
		for i := range 2 { // the second time on connections that exist
			t.Run(fmt.Sprint(test.name, i), func(t *testing.T) {
				if s, ok := test.body.(io.Seeker); ok {
					_, _ = s.Seek(0, io.SeekStart)
				} else if test.body != nil && i == 1 {
					t.Skip("the body is used up")
				}
				req, err := http.NewRequest(test.method, "https://"+addr+test.path, test.body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != test.status || string(body) != test.want {
					t.Errorf("got %d %q, %v; want %d %q", resp.StatusCode, body, err, test.status, test.want)
				}
			})
		}
	}
	s := e.Stats()
	if s.HTTP.Reused.Load() == 0 || s.Flows.Accepted.Load() > 4 {
		t.Errorf("%d backend connections reused, %d client connections; want some, few", s.HTTP.Reused.Load(), s.Flows.Accepted.Load())
	}
}

// exchangeRaw sends bytes, in pieces, and returns everything that comes back.
func exchangeRaw(t *testing.T, addr string, pieces ...string) string {
	t.Helper()
	c := dial(t, addr)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			break // it has answered and closed
		}
	}
	_ = c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

// The same bytes whole, one by one and at random cuts have the same effect.
func TestRequestChunking(t *testing.T) {
	_, addr, _ := startRouter(t, httpOptions(), describe)
	const stream = "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345" +
		"GET /two HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" +
		"GET /four HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	bodies := func(answers string) (got []string) {
		r := bufio.NewReader(strings.NewReader(answers))
		for {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				return got
			}
			body, _ := io.ReadAll(resp.Body)
			got = append(got, string(body))
		}
	}
	want := "[POST /one 5 [] GET /two 0 [] POST /three 5 [chunked] GET /four 0 []]"
	cuts := [][]string{{stream}, strings.Split(stream, "")}
	for seed := range uint64(10) {
		var pieces []string
		random := rand.New(rand.NewPCG(seed, 1))
		for rest := stream; rest != ""; {
			n := 1 + random.IntN(min(40, len(rest)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		cuts = append(cuts, pieces)
	}
	for _, pieces := range cuts {
		if got := fmt.Sprint(bodies(exchangeRaw(t, addr, pieces...))); got != want {
			t.Errorf("in %d pieces: got %s, want %s", len(pieces), got, want)
		}
	}
}

// What the router answers by itself.
func TestRefusals(t *testing.T) {
	o := httpOptions()
	o.MaxBody = 1000
	_, addr, _ := startRouter(t, o, describe)
	for _, test := range []struct {
		name, request string
		status        int
	}{
		{"no request", "\x16\x03\x01 hello\r\n\r\n", 400},
		{"both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"too long a head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20000), 431},
		{"too long a target", "GET /" + strings.Repeat("x", 10000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"too long a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := exchangeRaw(t, addr, test.request)
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
			if err != nil {
				t.Fatalf("%v in %q", err, got)
			}
			if resp.StatusCode != test.status || !resp.Close {
				t.Errorf("got %q, want %d and close", got, test.status)
			}
		})
	}
}

// rawBackend answers each request with the next of answers, exactly.
func rawBackend(t *testing.T, answer func(n int, c net.Conn, r *http.Request)) string {
	count := make(chan int, 1)
	count <- 0
	return nettest.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			n := <-count
			count <- n + 1
			answer(n, c, req)
		}
	}).Addr
}

func TestBadAnswers(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int // 0: the connection breaks
	}{
		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 502},
		{"nothing", "", 502},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", 502},
		{"unasked upgrade", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 502},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502},
		{"body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 0},
		{"chunk cut short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 0},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nabc", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
				_, _ = io.WriteString(c, test.answer)
				c.Close()
			})
			_, router := startListener(t, testOptions(),
				Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, true)
			c := dial(t, router)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			switch {
			case test.status == 0 && err == nil:
				t.Errorf("got %d %q, want it cut", resp.StatusCode, body)
			case test.status != 0 && (err != nil || resp.StatusCode != test.status):
				t.Errorf("got %d %q, %v; want %d", resp.StatusCode, body, err, test.status)
			}
		})
	}
}

// A request whose connection the backend has closed meanwhile is sent again, if that is safe.
func TestRetry(t *testing.T) {
	for _, test := range []struct {
		method string
		want   int
	}{{"GET", 200}, {"DELETE", 200}, {"POST", 502}} {
		t.Run(test.method, func(t *testing.T) {
			addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
				if n == 1 {
					_ = c.(*net.TCPConn).SetLinger(0)
					c.Close()
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			})
			e, router := startListener(t, testOptions(),
				Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, true)
			c := dial(t, router)
			r := bufio.NewReader(c)
			for i, want := range []int{200, test.want, 200} {
				fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", test.method)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != want {
					t.Errorf("request %d: got %d, want %d", i, resp.StatusCode, want)
				}
			}
			if got := e.Stats().HTTP.Retried.Load(); (got > 0) != (test.want == 200) {
				t.Errorf("%d retries", got)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	addr := nettest.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil || req.Header.Get("Upgrade") != "echo" {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome ")
		_, _ = io.Copy(c, r)
	}).Addr
	_, router := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, true)
	got := exchangeRaw(t, router, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ", "late")
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || body != "welcome early late" {
		t.Errorf("got %q", got)
	}
}

// Time-outs of the router, each with its text.
func TestHTTPTimeouts(t *testing.T) {
	silent := nettest.Serve(t, nettest.Discard).Addr
	for _, test := range []struct {
		name, request string
		status        int
	}{
		{"half a head", "GET / HTTP/1.1\r\nHo", 408},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408},
		{"no answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 504},
		{"no request", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := httpOptions()
			o.HeadersTimeout = 100 * time.Millisecond
			_, router := startListener(t, testOptions(), Listener{
				HTTP: o, IdleTimeout: 100 * time.Millisecond, Pools: newRouter(t, backend.HTTP, silent),
			}, true)
			c := dial(t, router)
			_, _ = io.WriteString(c, test.request)
			if test.status == 0 {
				if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
					t.Errorf("got %q, %v; want a closed connection", got, err)
				}
				return
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != test.status {
				t.Errorf("got %v, %v; want %d", resp, err, test.status)
			}
		})
	}
}

// Requests beyond a backend's limit wait for their turn, and beyond the queue's are asked to come
// back.
func TestBackendLimit(t *testing.T) {
	gate := make(chan bool)
	addr := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
		<-gate
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	pool, err := backend.NewPool([]backend.Spec{{
		Name: addr, Network: "tcp", Address: addr,
		Protocol: backend.HTTP, Weight: 1, MaxConns: 2,
	}},
		backend.Options{QueueLen: 3, Retries: 3, ConnectTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	e, router := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: routerOf(t, pool)}, true)
	statuses := make(chan int, 10)
	for range 10 {
		c := dial(t, router)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				statuses <- 0
				return
			}
			statuses <- resp.StatusCode
		}()
	}
	count := make(map[int]int)
	for range 5 {
		count[<-statuses]++
	}
	close(gate)
	for range 5 {
		count[<-statuses]++
	}
	if count[503] != 5 || count[200] != 5 {
		t.Errorf("got %v, want five each of 200 and 503; %+v", count, e.Stats().HTTP)
	}
}

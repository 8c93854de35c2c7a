package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

// An h2cServer is Go's own server, by HTTP/2 without TLS only.
type h2cServer struct {
	*httptest.Server
	addr     string
	accepted atomic.Int64
}

func newH2CServer(t *testing.T, handler http.HandlerFunc, maxStreams int) *h2cServer {
	t.Helper()
	s := new(h2cServer)
	s.Server = httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.accepted.Add(1)
		}
	}
	s.Start()
	s.addr = s.Listener.Addr().String()
	t.Cleanup(s.Close)
	return s
}

// startH2C serves HTTP over TLS in front of such servers, with one client for each
// version of HTTP.
func startH2C(t *testing.T, h *HTTP, servers ...string) (e *Engine, addr string, pool *backend.Pool,
	clients map[string]*http.Client,
) {
	t.Helper()
	pool = newPool(t, backend.H2C, servers...)
	e, addr = startListener(t, testOptions(), Listener{HTTP: h, Pools: routerOf(t, pool)}, true)
	return e, addr, pool, map[string]*http.Client{"HTTP/1.1": http1Client(t), "HTTP/2.0": http2Client(t)}
}

func http1Client(t *testing.T) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// TestH2CRequests has clients of both versions ask a backend of HTTP/2 for all that one of
// HTTP/1.1 is asked for.
func TestH2CRequests(t *testing.T) {
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the backend is asked by %s", r.Proto)
		}
		serveAll(w, r)
	}, 0)
	e, addr, pool, clients := startH2C(t, httpOptions(), server.addr)
	for proto, client := range clients {
		a := &asker{t, addr, client}
		a.askAll(t, proto+" ", proto, append(asked("[]"),
			question{"query", "GET", "/query?b=c", nil, 200, "b=c"},
			question{"large response", "GET", "/large", nil, 200, strings.Repeat("0123456789abcdef", 200<<10)},
			question{"response of unknown length", "GET", "/flush", nil, 200, "piece piece piece "},
			question{"broken off", "POST", "/reset", func() io.Reader { return strings.NewReader("1") }, 502, "Bad Gateway\n"}))
		a.testH2CRest(t, proto)
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return pool.Shared().Streams.Load() == 0 }, "%d calls are left",
		pool.Shared().Streams.Load())
	if n := server.accepted.Load(); n > 2 || n != pool.Shared().Conns.Load() {
		t.Errorf("%d connections to the backend for two loops, %d counted", n, pool.Shared().Conns.Load())
	}
	if s := e.Stats(); s.HTTP2.BackendResets.Load() == 0 || len(s.HTTP2.BackendFaults.Counts()) > 0 ||
		s.HTTP.Reused.Load() == 0 {
		t.Errorf("got %+v, %+v", s.HTTP2, s.HTTP)
	}
}

// doWith asks, with a request that is changed, and reads the answer.
func (a *asker) doWith(ctx context.Context, method, path string, body io.Reader,
	change func(*http.Request),
) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+a.addr+path, body)
	if err != nil {
		a.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, string(got), err
}

// testH2CRest asks for what is not in the table.
func (a *asker) testH2CRest(t *testing.T, proto string) {
	do := a.doWith
	t.Run(proto+" trailers", func(t *testing.T) {
		resp, _, err := do(t.Context(), "POST", "/trailers", io.MultiReader(strings.NewReader("hello")), func(r *http.Request) {
			r.Trailer = http.Header{"X-Checksum": {"ok"}}
			r.Header.Set("TE", "trailers")
		})
		if err != nil || resp.Trailer.Get("X-Sum") != "5 ok trailers" {
			t.Errorf("got %v, %v", resp, err)
		}
	})
	t.Run(proto+" early hints", func(t *testing.T) {
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, h.Get("Link")))
				return nil
			},
		})
		if _, got, err := do(ctx, "GET", "/hints", nil, nil); err != nil || got != "final" || len(hints) != 1 ||
			hints[0] != "103</a>" {
			t.Errorf("got %q, hints %q, %v", got, hints, err)
		}
	})
	t.Run(proto+" a backend that breaks off", func(t *testing.T) {
		if _, got, err := do(t.Context(), "GET", "/cut", nil, nil); err == nil {
			t.Errorf("got %d bytes and a proper end", len(got))
		}
	})
	t.Run(proto+" an answer before the request is complete", func(t *testing.T) {
		in, out := io.Pipe()
		resp, got, err := do(t.Context(), "POST", "/early", in, nil)
		out.Close()
		if err != nil || got != "no need" {
			t.Errorf("got %v %q, %v", resp, got, err)
		}
	})
}

// serveAll serves what describeOr does, and what ends otherwise.
func serveAll(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/trailers":
		n, _ := io.Copy(io.Discard, r.Body)
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", fmt.Sprint(n, " ", r.Trailer.Get("X-Checksum"), " ", r.Header.Get("Te")))
	case "/cut":
		io.WriteString(w, strings.Repeat("x", 1<<20))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/query":
		_, _ = io.WriteString(w, r.URL.RawQuery)
	case "/reset":
		panic(http.ErrAbortHandler)
	case "/early":
		io.WriteString(w, "no need")
	case "/large":
		_, _ = w.Write(bytes.Repeat([]byte("0123456789abcdef"), 200<<10))
	default:
		describeOr(w, r)
	}
}

// TestH2CFirstUpload holds that content which arrives before a connection is established is sent
// once it is.
func TestH2CFirstUpload(t *testing.T) {
	server := newH2CServer(t, describe, 0)
	for proto, client := range map[string]*http.Client{"HTTP/1.1": http1Client(t), "HTTP/2.0": http2Client(t)} {
		_, addr, _, _ := startH2C(t, httpOptions(), server.addr)
		large := strings.Repeat("x", 1<<20) // more than the windows of a client
		for _, body := range []io.Reader{
			strings.NewReader("12345"), io.MultiReader(strings.NewReader("12345")), strings.NewReader(large),
			io.MultiReader(strings.NewReader(large)),
		} {
			resp, err := client.Post("https://"+addr+"/a", "", body)
			if err != nil {
				t.Fatal(proto, err)
			}
			if got, err := io.ReadAll(resp.Body); string(got) != "POST /a 5 []" && string(got) != "POST /a 1048576 []" {
				t.Errorf("%s: got %q, %v", proto, got, err)
			}
			resp.Body.Close()
			_, addr, _, _ = startH2C(t, httpOptions(), server.addr)
		}
	}
}

// TestH2CBothWays holds that a response begins before its request ends, and that each piece
// of either passes when it comes.
func TestH2CBothWays(t *testing.T) {
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				_, _ = w.Write(bytes.ToUpper(buffer[:n]))
				w.(http.Flusher).Flush()
			}
			if err != nil {
				return
			}
		}
	}, 0)
	_, addr, _, clients := startH2C(t, httpOptions(), server.addr)
	in, out := io.Pipe()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+addr, in)
	resp, err := clients["HTTP/2.0"].Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buffer := make([]byte, 100)
	for i := range 20 {
		said := fmt.Sprint("said ", i)
		_, _ = io.WriteString(out, said)
		if n, err := io.ReadFull(resp.Body, buffer[:len(said)]); err != nil ||
			string(buffer[:n]) != strings.ToUpper(said) {
			t.Fatalf("got %q, %v after %q", buffer[:n], err, said)
		}
	}
	out.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v at the end", rest, err)
	}
}

// TestH2CIsShared has 20 clients ask for 50 streams each, which are all open at once.
func TestH2CIsShared(t *testing.T) {
	const clients, streams = 20, 50
	var open atomic.Int64
	all := make(chan struct{})
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		if open.Add(1) == clients*streams {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}, 200)
	e, addr, pool, _ := startH2C(t, httpOptions(), server.addr)
	var wg sync.WaitGroup
	for i := range clients {
		client := http2Client(t)
		if _, err := client.Get("https://" + addr + "/first"); err != nil { // or it would make 50 connections
			t.Fatal(err)
		}
		for j := range streams {
			wg.Go(func() {
				path := fmt.Sprintf("/%d/%d", i, j)
				resp, err := client.Get("https://" + addr + path)
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != path {
					t.Errorf("got %q, %v; want %q", got, err, path)
				}
			})
		}
	}
	wg.Wait()
	// 1,000 at 200 each need 5 connections, and each of two loops may have one that is not full. A
	// loop guesses before it knows how many calls a connection takes, so one more each is fair.
	if n := server.accepted.Load(); n > 9 {
		t.Errorf("%d connections to the backend", n)
	} else {
		t.Logf("%d streams of %d clients share %d connections", clients*streams, clients, n)
	}
	if s := e.Stats(); s.HTTP2.Connections.Load() != clients ||
		s.HTTP.Requests.Load() != clients*(streams+1) {
		t.Errorf("got %+v", s.HTTP2)
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return pool.Shared().Streams.Load() == 0 }, "calls are left")
}

// TestH2CSlowClient holds that a client that stops reading stops only its own call, and holds no
// more of the response than its bound.
func TestH2CSlowClient(t *testing.T) {
	var sent atomic.Int64
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			_, _ = w.Write(make([]byte, 1<<20))
			return
		}
		for p := make([]byte, 16<<10); ; sent.Add(int64(len(p))) {
			if _, err := w.Write(p); err != nil {
				return
			}
		}
	}, 0)
	o := testOptions()
	o.Loops = 1 // so that all share a connection
	pool := newPool(t, backend.H2C, server.addr)
	_, addr := startListener(t, o, Listener{HTTP: httpOptions(), Pools: routerOf(t, pool)}, true)
	for _, client := range []*http.Client{http1Client(t), http2Client(t)} {
		sent.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+addr+"/endless", nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		nettest.Eventually(t, 10*time.Second, func() bool { return sent.Load() > 100<<10 }, "%d bytes sent", sent.Load())
		quick := http2Client(t)
		for range 20 {
			resp, err := quick.Get("https://" + addr + "/quick")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != 1<<20 || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			resp.Body.Close()
		}
		// Buffers of the client's kernel and its own windows are not ours; they hold less than
		// this.
		if n := sent.Load(); n > 24<<20 {
			t.Errorf("the backend could send %d bytes", n)
		}
		cancel()
		resp.Body.Close()
	}
	if n := server.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return pool.Shared().Streams.Load() == 0 }, "calls are left")
}

// TestH2CCancel holds that a client that gives up cancels only its own call.
func TestH2CCancel(t *testing.T) {
	begun, cancelled := make(chan struct{}), make(chan error, 1)
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/waits" {
			begun <- struct{}{}
			<-r.Context().Done()
			cancelled <- r.Context().Err()
		}
	}, 0)
	_, addr, _, clients := startH2C(t, httpOptions(), server.addr)
	told := func(by string) {
		t.Helper()
		select {
		case <-cancelled:
		case <-time.After(20 * time.Second):
			t.Fatal("the backend was not told by a client of ", by)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://"+addr+"/waits", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := clients["HTTP/2.0"].Do(req); err == nil {
			t.Error("a response to a request that was given up")
		}
	}()
	<-begun
	cancel()
	<-done
	told("HTTP/2")

	conn := dial(t, addr)
	_, _ = io.WriteString(conn, "GET /waits HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-begun
	_ = conn.NetConn().(*net.TCPConn).SetLinger(0)
	_ = conn.NetConn().Close()
	told("HTTP/1.1")
	if resp, err := clients["HTTP/2.0"].Get("https://" + addr); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// TestH2CIdle holds that an unused connection ends, and the next request gets another.
func TestH2CIdle(t *testing.T) {
	server := newH2CServer(t, func(http.ResponseWriter, *http.Request) {}, 0)
	h := httpOptions()
	h.BackendIdleTimeout = 50 * time.Millisecond
	_, addr, pool, clients := startH2C(t, h, server.addr)
	for range 2 {
		if resp, err := clients["HTTP/1.1"].Get("https://" + addr); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		nettest.Eventually(t, 10*time.Second, func() bool { return pool.Shared().Conns.Load() == 0 }, "the connection stays")
	}
	if n := server.accepted.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// wantClosed checks that the connection of a client that wants no other answer ends with the one.
func wantClosed(t *testing.T, addr string) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 503 ") {
		t.Errorf("got %q, %v, want an answer and the end", got, err)
	}
}

// TestH2CUnreachable holds that requests go to another backend if one cannot be reached, or does
// not speak HTTP/2, and get an error response if there is none.
func TestH2CUnreachable(t *testing.T) {
	http1Only := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(http1Only.Close)
	for _, test := range []struct{ name, addr string }{
		{"unused port", nettest.FreeAddr(t)}, {"it speaks HTTP/1.1", http1Only.Listener.Addr().String()},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, addr, _, clients := startH2C(t, httpOptions(), test.addr)
			for proto, client := range clients {
				resp, err := client.Get("https://" + addr)
				if err != nil || resp.StatusCode != 503 {
					t.Errorf("%s: got %v, %v", proto, resp, err)
				}
			}
			wantClosed(t, addr)
			server := newH2CServer(t, func(http.ResponseWriter, *http.Request) {}, 0)
			_, addr, _, clients = startH2C(t, httpOptions(), test.addr, server.addr)
			for proto, client := range clients {
				for range 4 {
					resp, err := client.Get("https://" + addr)
					if err != nil || resp.StatusCode != 200 {
						t.Errorf("%s: got %v, %v with another that is well", proto, resp, err)
					}
				}
			}
		})
	}
}

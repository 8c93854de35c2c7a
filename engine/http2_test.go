package engine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/backend"
	"reprise/internal/nettest"
)

// startHTTP2 is startRouter with a client that speaks HTTP/2.
func startHTTP2(t *testing.T, h *HTTP, handler http.HandlerFunc) (*Engine, string, *http.Client) {
	t.Helper()
	e, addr := startBefore(t, h, handler)
	return e, addr, http2Client(t)
}

func http2Client(t *testing.T) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// An h2 is a client that writes frames by hand.
type h2 struct {
	t       *testing.T
	conn    *tls.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
}

func dialH2(t *testing.T, addr string, settings ...http2.Setting) *h2 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{
		InsecureSkipVerify: true, ServerName: "localhost",
		NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	h := &h2{t: t, conn: c, framer: http2.NewFramer(c, c)}
	h.framer.AllowIllegalWrites = true
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.encoder = hpack.NewEncoder(&h.block)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = h.framer.WriteSettings(settings...)
	return h
}

func (h *h2) request(id uint32, end bool, list ...string) {
	h.block.Reset()
	for i := 0; i+1 < len(list); i += 2 {
		_ = h.encoder.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]})
	}
	_ = h.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: h.block.Bytes(),
		EndStream: end, EndHeaders: true,
	})
}

func (h *h2) get(id uint32, path string) {
	h.request(id, true, ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", path)
}

// until reads frames up to the wanted one, and returns it and the data before it by stream.
func (h *h2) until(what string, wanted func(http2.Frame) bool) (http2.Frame, map[uint32]string) {
	h.t.Helper()
	data := map[uint32]string{}
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			h.t.Fatalf("no %s: %v", what, err)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			data[d.StreamID] += string(d.Data())
		}
		if wanted(f) {
			return f, data
		}
	}
}

// ends tells the end of a stream.
func ends(id uint32) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		h := f.Header()
		return h.StreamID == id && (h.Type == http2.FrameRSTStream ||
			(h.Type == http2.FrameData || h.Type == http2.FrameHeaders) &&
				h.Flags.Has(http2.FlagDataEndStream))
	}
}

func isGoAway(f http2.Frame) bool { return f.Header().Type == http2.FrameGoAway }

// answered returns the status that a stream is answered with, and its data.
func (h *h2) answered(id uint32) (status, body string) {
	h.t.Helper()
	f, data := h.until(fmt.Sprint("answer on stream ", id), func(f http2.Frame) bool {
		m, ok := f.(*http2.MetaHeadersFrame)
		return ok && m.StreamID == id
	})
	status = f.(*http2.MetaHeadersFrame).PseudoValue("status")
	if f.Header().Flags.Has(http2.FlagHeadersEndStream) {
		return status, data[id]
	}
	_, data = h.until("end", ends(id))
	return status, data[id]
}

func (h *h2) hasEnded() bool {
	for {
		if _, err := h.framer.ReadFrame(); err != nil {
			return !errors.Is(err, context.DeadlineExceeded)
		}
	}
}

// TestHTTP2WebSocket passes an extended CONNECT (RFC 8441) to a backend that knows the upgrade of
// HTTP/1.1, with early bytes, and both ends' half-closes.
func TestHTTP2WebSocket(t *testing.T) {
	addr := nettest.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil || req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Sec-WebSocket-Key") == "" {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nwelcome ")
		_, _ = io.Copy(c, r)
	}).Addr
	_, router := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, addr)}, true)
	h := dialH2(t, router)
	h.request(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "localhost", ":path", "/chat",
		"sec-websocket-version", "13")
	_ = h.framer.WriteData(1, false, []byte("early "))
	f, _ := h.until("answer", func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders })
	if f.(*http2.MetaHeadersFrame).PseudoValue("status") != "200" {
		t.Fatalf("got %v", f)
	}
	_ = h.framer.WriteData(1, true, []byte("late"))
	if _, data := h.until("end", ends(1)); data[1] != "welcome early late" {
		t.Errorf("got %q", data[1])
	}
	h.get(3, "/") // the connection goes on
	if status, _ := h.answered(3); status != "400" {
		t.Errorf("got %s, want 400", status)
	}
}

func TestHTTP2Timeouts(t *testing.T) {
	silent := nettest.Serve(t, nettest.Discard).Addr
	o := httpOptions()
	o.HeadersTimeout, o.KeepAlive = 100*time.Millisecond, 200*time.Millisecond
	start := func() string {
		_, router := startListener(t, testOptions(), Listener{
			HTTP: o, IdleTimeout: 100 * time.Millisecond, Pools: newRouter(t, backend.HTTP, silent),
		}, true)
		return router
	}
	t.Run("no answer", func(t *testing.T) {
		h := dialH2(t, start())
		h.get(1, "/")
		if status, body := h.answered(1); status != "504" || body != "Gateway Timeout\n" {
			t.Errorf("got %s %q", status, body)
		}
	})
	t.Run("half a body", func(t *testing.T) {
		h := dialH2(t, start())
		h.request(1, false, ":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", "/")
		_ = h.framer.WriteData(1, false, []byte("abc"))
		if status, _ := h.answered(1); status != "408" {
			t.Errorf("got %s", status)
		}
	})
	t.Run("no request", func(t *testing.T) {
		h := dialH2(t, start())
		h.until("GOAWAY", isGoAway)
		if !h.hasEnded() {
			t.Error("the connection goes on")
		}
	})
	t.Run("half a frame", func(t *testing.T) {
		h := dialH2(t, start())
		_, _ = h.conn.Write([]byte{0, 0, 100, 1, 5, 0, 0, 0, 1, 0x82})
		if !h.hasEnded() {
			t.Error("the connection goes on")
		}
	})
	t.Run("a reader that stops", func(t *testing.T) {
		big := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000000))
		})
		_, router := startListener(t, testOptions(), Listener{
			HTTP: o, IdleTimeout: 100 * time.Millisecond, Pools: newRouter(t, backend.HTTP, big),
		}, true)
		h := dialH2(t, router)
		h.get(1, "/")
		f, _ := h.until("reset", ends(1))
		if f.Header().Type != http2.FrameRSTStream {
			t.Errorf("got %v, want RST_STREAM", f)
		}
	})
}

// TestHTTP2Drain lets a current request end, and refuses none that was under way.
func TestHTTP2Drain(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	e, addr, _ := startHTTP2(t, httpOptions(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		io.WriteString(w, "done")
	})
	h, quiet := dialH2(t, addr), dialH2(t, addr)
	quiet.get(1, "/")
	quiet.answered(1)
	h.get(1, "/slow")
	<-arrived
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	f, _ := h.until("GOAWAY", isGoAway)
	if last := f.(*http2.GoAwayFrame).LastStreamID; last != 1<<31-1 {
		t.Errorf("the first GOAWAY names stream %d", last)
	}
	h.get(3, "/") // it was on its way
	f, _ = h.until("PING", func(f http2.Frame) bool { return f.Header().Type == http2.FramePing })
	_ = h.framer.WritePing(true, f.(*http2.PingFrame).Data)
	f, _ = h.until("GOAWAY", isGoAway)
	if last := f.(*http2.GoAwayFrame).LastStreamID; last != 3 {
		t.Errorf("the last GOAWAY names stream %d, want 3", last)
	}
	close(release)
	h.until("end", ends(1))
	h.conn.Close()
	quiet.until("GOAWAY", isGoAway)
	f, _ = quiet.until("PING", func(f http2.Frame) bool { return f.Header().Type == http2.FramePing })
	_ = quiet.framer.WritePing(true, f.(*http2.PingFrame).Data)
	if !quiet.hasEnded() {
		t.Error("an idle connection goes on")
	}
	quiet.conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestHTTP2Cancel holds that cancelling a stream releases its backend, and affects no other stream.
func TestHTTP2Cancel(t *testing.T) {
	gone := make(chan struct{})
	arrived := make(chan struct{})
	e, addr, _ := startHTTP2(t, httpOptions(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-r.Context().Done()
			close(gone)
			return
		}
		io.WriteString(w, "done")
	})
	h := dialH2(t, addr)
	h.get(1, "/slow")
	<-arrived
	_ = h.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	<-gone
	h.get(3, "/")
	if status, body := h.answered(3); status != "200" || body != "done" {
		t.Errorf("got %s %q", status, body)
	}
	if s := e.Stats(); s.HTTP2.Cancelled.Load() != 1 {
		t.Errorf("got %+v, want one cancelled", s.HTTP2)
	}
}

// TestHTTP2RapidReset (CVE-2023-44487) bounds how many streams one connection may start and cancel,
// and serves another client meanwhile.
func TestHTTP2RapidReset(t *testing.T) {
	var mu sync.Mutex
	connections := 0
	slow := nettest.Serve(t, func(c net.Conn) {
		mu.Lock()
		connections++
		mu.Unlock()
		_, _ = io.Copy(io.Discard, c)
	}).Addr
	e, router := startListener(t, oneLoop(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, slow)}, true)
	h := dialH2(t, router)
	go func() {
		for id := uint32(1); id < 20001; id += 2 {
			h.get(id, "/")
			if h.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				return
			}
		}
	}()
	f, _ := h.until("GOAWAY", isGoAway)
	if code := f.(*http2.GoAwayFrame).ErrCode; code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("got %v", code)
	}
	s := e.Stats()
	if s.HTTP2.Streams.Load() > 1000 || s.Flows.Closed.Counts()["http2"] != 1 ||
		s.HTTP2.Faults.Counts()["flood of stream resets"] != 1 {
		t.Errorf("got %+v, closed %v", s.HTTP2, s.Flows.Closed.Counts())
	}
	mu.Lock()
	defer mu.Unlock()
	if connections > 1000 {
		t.Errorf("%d connections to the backend", connections)
	}
}

// TestHTTP2CancelledAtOnce holds that requests cancelled at once reach no backend, after a client
// has done so a few times.
func TestHTTP2CancelledAtOnce(t *testing.T) {
	backends := nettest.Serve(t, nettest.Discard)
	e, router := startListener(t, oneLoop(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, backends.Addr)}, true)
	h := dialH2(t, router)
	const requests = 100
	var together bytes.Buffer
	h.framer = http2.NewFramer(&together, h.conn)
	for i := range uint32(requests) {
		h.get(2*i+1, "/")
		_ = h.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
	}
	_ = h.framer.WritePing(false, [8]byte{1})
	if _, err := h.conn.Write(together.Bytes()); err != nil {
		t.Fatal(err)
	}
	h.until("PING's answer", func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && p.IsAck() })
	if got := e.Stats().HTTP2.Streams.Load(); got != requests {
		t.Errorf("got %d streams, want %d", got, requests)
	}
	if got := backends.Accepted(); got > requests/2 {
		t.Errorf("%d connections to the backend for %d requests that were taken back", got, requests)
	}
}

// TestHTTP2FloodIsNotRead holds that a client that goes on after it was told to stop costs nothing
// more than what the kernel takes.
func TestHTTP2FloodIsNotRead(t *testing.T) {
	o := oneLoop()
	o.LingerTimeout = time.Minute
	silent := nettest.Serve(t, nettest.Discard).Addr
	_, router := startListener(t, o, Listener{
		HTTP:  httpOptions(),
		Pools: newRouter(t, backend.HTTP, silent),
	}, true)
	h := dialH2(t, router)
	h.get(2, "/") // of a stream that is not a client's
	h.until("GOAWAY", isGoAway)
	_ = h.conn.SetWriteDeadline(time.Now().Add(time.Second))
	const much = 256 << 20
	sent := 0
	for chunk := make([]byte, 1<<20); sent < much; sent += len(chunk) {
		if _, err := h.conn.Write(chunk); err != nil {
			break
		}
	}
	if sent == much {
		t.Errorf("%d bytes were read", sent)
	}
}

// TestHTTP2SlowReader requests much on many streams and reads none of it: the data read from
// backends are bounded, and all of them arrive once windows open.
func TestHTTP2SlowReader(t *testing.T) {
	const streams, size = 100, 200_000
	e, addr, _ := startHTTP2(t, httpOptions(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = w.Write(make([]byte, size))
	})
	h := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range uint32(streams) {
		h.get(2*i+1, "/")
	}
	heads := 0
	h.until("heads", func(f http2.Frame) bool {
		if f.Header().Type == http2.FrameHeaders {
			heads++
		}
		return heads == streams
	})
	_ = h.framer.WritePing(false, [8]byte{1})
	h.until("PING", func(f http2.Frame) bool { return f.Header().Type == http2.FramePing })
	if got := e.Stats().Flows.PlainOutBytes.Load(); got > streams*firstRead {
		t.Errorf("%d bytes were taken from backends, want at most %d", got, streams*firstRead)
	}
	_ = h.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = h.framer.WriteWindowUpdate(0, 1<<30)
	total, ended := 0, 0
	h.until("all data", func(f http2.Frame) bool {
		if d, ok := f.(*http2.DataFrame); ok {
			total += len(d.Data())
			if d.StreamEnded() {
				ended++
			}
		}
		return ended == streams
	})
	if total != streams*size {
		t.Errorf("got %d bytes, want %d", total, streams*size)
	}
}

// TestHTTP2UploadToStalledBackend sends to a backend that does not read: no more is taken than
// windows allow.
func TestHTTP2UploadToStalledBackend(t *testing.T) {
	stop := make(chan struct{})
	stuck := nettest.Serve(t, func(net.Conn) { <-stop }).Addr
	t.Cleanup(func() { close(stop) })
	e, router := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: newRouter(t, backend.HTTP, stuck)}, true)
	h := dialH2(t, router)
	h.request(1, false, ":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", "/")
	// The kernel's buffer towards the backend is a bound that is not ours.
	window, sent := 128<<10, 0
	for quiet := 0; quiet < 3; {
		for ; window >= 16<<10; window -= 16 << 10 {
			_ = h.framer.WriteData(1, false, make([]byte, 16<<10))
			sent += 16 << 10
		}
		_ = h.framer.WritePing(false, [8]byte{1})
		before := window
		h.until("PING", func(f http2.Frame) bool {
			if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 1 {
				window += int(w.Increment)
			}
			return f.Header().Type == http2.FramePing
		})
		if quiet++; window > before {
			quiet = 0
		}
	}
	if sent > 64<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
	if got := e.Stats().Flows.PlainInBytes.Load(); got > uint64(sent)+4096 {
		t.Errorf("got %d bytes of %d", got, sent)
	}
}

package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A fakeBackend is a connection to a backend of HTTP/2 that writes frames by hand.
type fakeBackend struct {
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// serveFake runs serve for each connection, behind both prefaces, until the test ends.
func serveFake(t *testing.T, serve func(b *fakeBackend)) (addr string) {
	t.Helper()
	return nettest.Serve(t, func(conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		b := &fakeBackend{Conn: conn, Framer: http2.NewFramer(conn, conn)}
		b.AllowIllegalWrites = true
		b.encoder = hpack.NewEncoder(&b.block)
		if b.WriteSettings() == nil {
			serve(b)
		}
	}).Addr
}

// nextRequest returns the stream of the next request, 0 at the end. It answers other frames.
func (b *fakeBackend) nextRequest() uint32 {
	for {
		switch frame, err := b.ReadFrame(); frame := frame.(type) {
		case *http2.HeadersFrame:
			return frame.StreamID
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = b.WriteSettingsAck()
			}
		case nil:
			if err != nil {
				return 0
			}
		}
	}
}

func (b *fakeBackend) head(id uint32, end bool, fields ...string) error {
	b.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = b.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: b.block.Bytes(),
		EndHeaders: true, EndStream: end,
	})
}

// TestH2CGoAway has backends go away again and again under load, each time without processing
// requests under way to them: no request is lost that may be repeated, or that was not processed,
// whatever its method.
func TestH2CGoAway(t *testing.T) {
	addr := serveFake(t, func(b *fakeBackend) {
		for range 20 {
			id := b.nextRequest()
			if id == 0 {
				return
			}
			_ = b.head(id, true, ":status", "200")
			if id == 39 {
				_ = b.WriteGoAway(id, http2.ErrCodeNo, nil)
			}
		}
		_, _ = io.Copy(io.Discard, b)
	})
	_, router, pool, _ := startH2C(t, httpOptions(), addr)
	var wg sync.WaitGroup
	for i := range 8 {
		client := http2Client(t)
		if i%4 == 0 {
			client = http1Client(t)
		}
		wg.Go(func() {
			for j := range 100 {
				method := "GET"
				if j%2 == 0 {
					method = "POST" // without a body
				}
				req, _ := http.NewRequestWithContext(t.Context(), method, "https://"+router, nil)
				resp, err := client.Do(req)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("request %d: got %v, %v", j, resp, err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	if hits := pool.Stats().Nodes[0].Hits; hits < 8*100/20 {
		t.Errorf("%d connections for 800 requests at 20 each", hits)
	}
}

// TestH2CGracefulEnd has Go's server shut down, in its two steps, while it is asked.
func TestH2CGracefulEnd(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }
	first, second := newH2CServer(t, handler, 0), newH2CServer(t, handler, 0)
	_, router, _, clients := startH2C(t, httpOptions(), first.addr, second.addr)
	stop, done := make(chan struct{}), make(chan error, 2)
	for _, client := range clients {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				resp, err := client.Get("https://" + router + "/a")
				if err != nil || resp.StatusCode != 200 {
					done <- fmt.Errorf("request %d: got %v, %v", i, resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	nettest.Eventually(t, 10*time.Second,
		func() bool { return first.accepted.Load() > 0 && second.accepted.Load() > 0 }, "both are not asked")
	if err := first.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	close(stop)
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestH2CHostile has backends do what costs them little: each is cut off, or affects only its own
// requests, and the memory it occupies is bounded.
func TestH2CHostile(t *testing.T) {
	ok := func(b *fakeBackend, id uint32) { _ = b.head(id, false, ":status", "200") }
	for _, test := range []struct {
		name  string
		serve func(b *fakeBackend)
	}{
		{"settings", flood(nil, func(b *fakeBackend, _ uint32) error { return b.WriteSettings() })},
		{"pings", flood(nil, func(b *fakeBackend, _ uint32) error { return b.WritePing(false, [8]byte{}) })},
		{"empty data", flood(ok, func(b *fakeBackend, id uint32) error { return b.WriteData(id, false, nil) })},
		{"windows", flood(nil, func(b *fakeBackend, id uint32) error { return b.WriteWindowUpdate(id, 1) })},
		{"interim responses", flood(nil, func(b *fakeBackend, id uint32) error {
			return b.head(id, false, ":status", "103")
		})},
		{"continuations", flood(func(b *fakeBackend, id uint32) {
			_ = b.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}})
		}, func(b *fakeBackend, id uint32) error { return b.WriteContinuation(id, false, nil) })},
		{"a long head", flood(nil, func(b *fakeBackend, id uint32) error {
			_ = b.head(id, false, ":status", "200", "x", strings.Repeat("x", 1<<20))
			return io.EOF
		})},
		{"a window that is overrun", func(b *fakeBackend) {
			id := b.nextRequest()
			ok(b, id)
			for range 4000 { // 64 MiB, more than clients and kernels hold
				if b.WriteData(id, false, make([]byte, 16<<10)) != nil {
					return
				}
			}
		}},
		{"pushes", flood(nil, func(b *fakeBackend, id uint32) error {
			return b.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
		})},
		{"resets", func(b *fakeBackend) {
			for id := b.nextRequest(); id != 0; id = b.nextRequest() {
				_ = b.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			}
		}},
		{"going away each time", func(b *fakeBackend) {
			b.nextRequest()
			_ = b.WriteGoAway(0, http2.ErrCodeNo, nil)
			_, _ = io.Copy(io.Discard, b)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			testHostileBackend(t, test.serve)
		})
	}
}

// testHostileBackend has clients of both versions ask a backend that answers nothing well.
func testHostileBackend(t *testing.T, serve func(b *fakeBackend)) {
	addr := serveFake(t, serve)
	_, router, pool, clients := startH2C(t, httpOptions(), addr)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for proto, client := range clients {
		for range 3 {
			resp, err := client.Get("https://" + router)
			if err != nil {
				continue // it was cut
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if resp.Body.Close(); resp.StatusCode < 500 && err == nil {
				t.Errorf("%s: got %d with %d bytes as if nothing were wrong", proto, resp.StatusCode, n)
			}
		}
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return pool.Shared().Streams.Load() == 0 }, "calls are left")
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d bytes more are held", grown)
	}
}

// flood is a backend that says one frame over and over.
func flood(first func(b *fakeBackend, id uint32),
	frame func(b *fakeBackend, id uint32) error,
) func(b *fakeBackend) {
	return func(b *fakeBackend) {
		id := b.nextRequest()
		if first != nil {
			first(b, id)
		}
		go func() { _, _ = io.Copy(io.Discard, b) }()
		for range 60_000 { // three times what is allowed at once
			if frame(b, id) != nil {
				return
			}
		}
	}
}

// TestH2CNoWindow holds that a backend without open windows stops the client, and costs no more
// than the bounds allow.
func TestH2CNoWindow(t *testing.T) {
	addr := serveFake(t, func(b *fakeBackend) {
		_, _ = io.Copy(io.Discard, b) // and windows stay as they are: 64 KiB
	})
	_, router, _, clients := startH2C(t, httpOptions(), addr)
	for proto, client := range clients {
		var taken counter
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "POST", "https://"+router, io.TeeReader(endless{}, &taken))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
		for before := int64(-1); before < 64<<10 || taken.Load() > before; { // until it stops
			before = taken.Load()
			select {
			case <-done:
				t.Fatalf("%s: the request ended after %d bytes", proto, taken.Load())
			case <-time.After(100 * time.Millisecond):
			}
		}
		if n := taken.Load(); n > 24<<20 {
			t.Errorf("%s: %d bytes of the request were taken", proto, n)
		}
		cancel()
		<-done
	}
}

// TestH2CFewStreams holds that requests wait when a backend allows few at once.
func TestH2CFewStreams(t *testing.T) {
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		_,
			_ = io.WriteString(w, r.URL.Path)
	}, 2)
	o := testOptions()
	o.Loops = 1
	_, router := startListener(t, o, Listener{
		HTTP:  httpOptions(),
		Pools: newRouter(t, backend.H2C, server.addr),
	}, true)
	client := http2Client(t)
	if _, err := client.Get("https://" + router); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			path := fmt.Sprint("/", i)
			resp, err := client.Get("https://" + router + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); string(got) != path || resp.StatusCode != 200 {
				t.Errorf("got %d %q, %v", resp.StatusCode, got, err)
			}
		})
	}
	wg.Wait()
	if n := server.accepted.Load(); n > maxSharedConns {
		t.Errorf("%d connections", n)
	}
}

// endless is an endless body.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// counter counts the bytes written to it.
type counter struct{ atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// TestH2CResets checks what clients get when the backend resets their call.
func TestH2CResets(t *testing.T) {
	addr := serveFake(t, func(b *fakeBackend) {
		for {
			frame, err := b.ReadFrame()
			if err != nil {
				return
			}
			switch f := frame.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = b.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				if f.StreamEnded() { // a GET: its response breaks off
					_ = b.head(f.StreamID, false, ":status", "200")
					_ = b.WriteData(f.StreamID, false, []byte("some"))
					_ = b.WriteRSTStream(f.StreamID, http2.ErrCodeEnhanceYourCalm)
				}
			case *http2.DataFrame: // a POST is refused when a part of it is here, or given up
				code := http2.ErrCodeRefusedStream
				if string(f.Data()) == "give up" {
					code = http2.ErrCodeCancel
				}
				_ = b.WriteRSTStream(f.StreamID, code)
			}
		}
	})
	_, router, _, clients := startH2C(t, httpOptions(), addr)
	for content, want := range map[string]string{"content": "REFUSED_STREAM", "give up": "CANCEL"} {
		resp, err := clients["HTTP/2.0"].Post("https://"+router, "", io.MultiReader(strings.NewReader(content)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want %s", content, resp, err, want)
		}
		if resp, err := clients["HTTP/1.1"].Post("https://"+router, "", strings.NewReader(content)); err != nil ||
			resp.StatusCode != 502 {
			t.Errorf("%s by HTTP/1.1: got %v, %v", content, resp, err)
		}
	}
	for proto, want := range map[string]string{"HTTP/1.1": "EOF", "HTTP/2.0": "ENHANCE_YOUR_CALM"} {
		resp, err := clients[proto].Get("https://" + router)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); string(got) != "some" && len(got) > 0 || err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v of a response that broke off", proto, got, err)
		}
		resp.Body.Close()
	}
}

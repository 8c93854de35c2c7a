package http2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"reprise/backend/http1"
)

// An origin serves connections with this package and answers by itself: it echoes bodies, with
// trailers both ways.
type origin struct {
	mu   sync.Mutex
	seen []string // heads
}

// dial returns the client's end of a new connection.
func (o *origin) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go o.serve(server)
	return client, nil
}

func (o *origin) serve(nc net.Conn) {
	defer nc.Close()
	c := New(DefaultOptions(&testLimits), new(Scratch))
	output := make(chan []byte, 1024) // a pipe has no buffer, and a client writes before it reads
	defer close(output)
	go func() {
		for p := range output {
			_, _ = nc.Write(p)
		}
	}()
	output <- c.Start(nil)
	var kept []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		kept = append(kept, buf[:n]...)
		for {
			out, n, e := c.Next(nil, kept)
			out = o.act(c, out, e)
			kept = kept[n:]
			if len(out) > 0 {
				output <- out
			}
			if e.Kind == None {
				break
			}
		}
	}
}

// exchange is the origin's state of a stream.
type exchange struct {
	method, path string
	body         bytes.Buffer
}

func (o *origin) act(c *Conn, out []byte, e Event) []byte {
	s := e.Stream
	switch e.Kind {
	case Request:
		var r http1.Request
		if err := r.Parse(e.Head, &testLimits); err != nil {
			return c.Reset(out, s, InternalError)
		}
		o.mu.Lock()
		o.seen = append(o.seen, string(e.Head))
		o.mu.Unlock()
		x := &exchange{method: string(r.Method), path: string(r.Path)}
		s.Owner = x
		if r.Expect100 {
			c.BeginHead(s, 100)
			out = c.AppendHead(out, s, false)
		}
		if x.path == "/hints" {
			c.BeginHead(s, 103)
			c.Field([]byte("Link"), []byte("</a.css>; rel=preload"))
			out = c.AppendHead(out, s, false)
		}
	case Data:
		x := s.Owner.(*exchange)
		x.body.Write(e.Data)
		out = c.Consumed(out, s, len(e.Data))
	case Trailers:
	default:
		return out
	}
	if !e.End {
		return out
	}
	x := s.Owner.(*exchange)
	switch {
	case x.path == "/cut":
		return c.Reset(out, s, InternalError)
	case x.path == "/never":
		return out
	}
	c.BeginHead(s, 200)
	c.Field([]byte("X-Method"), []byte(x.method))
	c.Field([]byte("Trailer"), []byte("X-Sum"))
	if x.method == "HEAD" {
		return c.AppendHead(out, s, true)
	}
	out = c.AppendHead(out, s, false)
	out = c.AppendData(out, s, x.body.Bytes(), false)
	return c.AppendEnd(out, s, fmt.Appendf(nil, "X-Sum: %d\r\n", x.body.Len()))
}

// TestGoClient uses Go's client as the peer.
func TestGoClient(t *testing.T) {
	o := &origin{}
	transport := &http.Transport{DialContext: o.dial, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	a := &asker{t, &http.Client{Transport: transport}}
	ctx := t.Context()

	for _, size := range []int{0, 1, 5000, 1 << 20} {
		body := strings.Repeat("x", size)
		resp, got, err := a.do(ctx, "POST", "/", io.MultiReader(strings.NewReader(body)))
		if err != nil || got != body || resp.Trailer.Get("X-Sum") != fmt.Sprint(size) {
			t.Fatalf("%d bytes: got %d bytes, trailers %v, %v", size, len(got), resp, err)
		}
	}
	if resp, got, err := a.do(ctx, "HEAD", "/", nil); err != nil || got != "" || resp.Header.Get("X-Method") != "HEAD" {
		t.Errorf("HEAD: got %v, %q, %v", resp, got, err)
	}

	var hints []string
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
			return nil
		},
	})
	if _, _, err := a.do(traced, "GET", "/hints", nil); err != nil || len(hints) != 1 || hints[0] != "103 </a.css>; rel=preload" {
		t.Errorf("early hints: got %q, %v", hints, err)
	}
	if _, _, err := a.do(ctx, "GET", "/cut", nil); err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
		t.Errorf("a stream that was reset: got %v", err)
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := a.do(cancelled, "GET", "/never", nil); err == nil {
		t.Error("a cancelled request was answered")
	}

	var wg sync.WaitGroup
	for i := range 300 { // more than may be open at once
		wg.Go(func() {
			body := strings.Repeat("y", 1000*(i%50))
			if _, got, err := a.do(ctx, "PUT", "/", io.MultiReader(strings.NewReader(body))); err != nil ||
				got != body {
				t.Errorf("request %d: got %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !strings.Contains(o.seen[0], "\r\nCookie: a=b; c=d\r\n") {
		t.Errorf("the cookies are not joined: %q", o.seen[0])
	}
}

// An asker is a client that a test has.
type asker struct {
	*testing.T
	client *http.Client
}

// do asks, with a trailer if there is a body, and reads the answer.
func (a *asker) do(ctx context.Context, method, path string, body io.Reader) (*http.Response,
	string, error,
) {
	r, err := http.NewRequestWithContext(ctx, method, "http://a.test"+path, body)
	if err != nil {
		a.Fatal(err)
	}
	if body != nil {
		r.Trailer = http.Header{"X-Checksum": {"1"}}
		r.ContentLength = -1
	}
	r.Header.Set("Cookie", "a=b; c=d")
	resp, err := a.client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	return resp, string(p), err
}

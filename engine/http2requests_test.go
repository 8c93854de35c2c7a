package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// TestHTTP2Requests makes the requests of TestRequests with Go's client, in HTTP/2.
func TestHTTP2Requests(t *testing.T) {
	e, addr, client := startHTTP2(t, httpOptions(), trailing)
	a := &asker{t, addr, client}
	a.askAll(t, "", "HTTP/2.0", append(asked("[chunked]"),
		question{"chunked response", "GET", "/flush", nil, 200, "piece piece piece "}))
	a.testRest(t)
	s := e.Stats()
	if s.HTTP.Reused.Load() == 0 || s.Flows.Accepted.Load() != 1 || s.HTTP2.Connections.Load() != 1 ||
		s.HTTP2.Streams.Load() < 270 || len(s.HTTP2.Faults.Counts()) != 0 {
		t.Errorf("%d backend connections reused, %d accepted, HTTP/2 %+v, closed %v", s.HTTP.Reused.Load(), s.Flows.Accepted.Load(), s.HTTP2, s.Flows.Closed.Counts())
	}
}

// question is a request with what is to be answered.
type question struct {
	name, method, path string
	body               func() io.Reader
	status             int
	want               string
}

// asked are the questions for all, where a backend sees content of unknown length under coding.
func asked(coding string) []question {
	text := func(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }
	large := func() io.Reader { return bytes.NewReader(make([]byte, 3<<20)) }
	unknown := func(body func() io.Reader) func() io.Reader {
		return func() io.Reader { return io.MultiReader(body()) }
	}
	return []question{
		{"get", "GET", "/a", nil, 200, "GET /a 0 []"},
		{"head", "HEAD", "/a", nil, 200, ""},
		{"post", "POST", "/a", text("12345"), 200, "POST /a 5 []"},
		{"empty post", "POST", "/a", func() io.Reader { return http.NoBody }, 200, "POST /a 0 []"},
		{"post of unknown length", "POST", "/a", unknown(text("1234567")), 200, "POST /a 7 " + coding},
		{"large post", "POST", "/a", large, 200, "POST /a 3145728 []"},
		{"large post of unknown length", "PUT", "/a", unknown(large), 200, "PUT /a 3145728 " + coding},
		{"no content", "GET", "/204", nil, 204, ""},
		{"not modified", "GET", "/304", nil, 304, ""},
	}
}

// askAll asks each question twice, the second time on connections that exist.
func (a *asker) askAll(t *testing.T, prefix, proto string, questions []question) {
	for _, test := range questions {
		for range 2 {
			t.Run(prefix+test.name, func(t *testing.T) {
				var body io.Reader
				if test.body != nil {
					body = test.body()
				}
				resp, got, err := a.do(t.Context(), test.method, test.path, body)
				if err != nil || resp.StatusCode != test.status || got != test.want || resp.Proto != proto {
					t.Errorf("got %v %.100q, %v; want %d %.100q", resp, got, err, test.status, test.want)
				}
			})
		}
	}
}

// testRest asks for what is not in the table.
func (a *asker) testRest(t *testing.T) {
	t.Run("trailers", func(t *testing.T) {
		resp, _, err := a.do(t.Context(), "POST", "/trailers", io.MultiReader(strings.NewReader("hello")))
		if err != nil || resp.Trailer.Get("X-Sum") != "5 ok" {
			t.Errorf("got %v, %v", resp, err)
		}
	})
	t.Run("early hints", func(t *testing.T) {
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, h.Get("Link")))
				return nil
			},
		})
		if _, got, err := a.do(ctx, "GET", "/hints", nil); err != nil || got != "final" || len(hints) != 1 || hints[0] != "103</a>" {
			t.Errorf("got %q, hints %q, %v", got, hints, err)
		}
	})
	t.Run("a backend that breaks off", func(t *testing.T) {
		if _, got, err := a.do(t.Context(), "GET", "/cut", nil); err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 90) // for more, the client would open other connections
		for i := range 250 {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				want := fmt.Sprintf("POST /n%d %d []", i, 500*i)
				if _, got, err := a.do(t.Context(), "POST", fmt.Sprint("/n", i),
					bytes.NewReader(make([]byte, 500*i))); err != nil || got != want {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
			})
		}
		wg.Wait()
	})
}

// An asker is a client that a test has, and the server that it asks.
type asker struct {
	*testing.T
	addr   string
	client *http.Client
}

// do asks, with a trailer if that is the path, and reads the answer.
func (a *asker) do(ctx context.Context, method, path string, body io.Reader) (*http.Response,
	string, error,
) {
	return a.doWith(ctx, method, path, body, func(r *http.Request) {
		if path == "/trailers" {
			r.Trailer = http.Header{"X-Checksum": {"ok"}}
		}
	})
}

// trailing serves what describeOr does, trailers, and a body that breaks off.
func trailing(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/trailers":
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n, " ", r.Trailer.Get("X-Checksum")))
	case "/cut":
		io.WriteString(w, strings.Repeat("x", 1<<20))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	default:
		describeOr(w, r)
	}
}

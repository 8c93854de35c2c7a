package exchange

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"reprise/backend"
	"reprise/internal/hostile"
)

// cutBy cuts bytes at random, by a seed; 0 does not.
func cutBy(seed uint64) func(n int) int {
	if seed == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 1))
	return func(n int) int { return 1 + random.IntN(min(n, 1+random.IntN(100))) }
}

// describeRequest returns what two recipients must read alike.
func describeRequest(r *http.Request, body []byte) string {
	uri := r.URL.RequestURI()
	if r.Method == "OPTIONS" { // an absolute form without a path stands for an asterisk
		uri = ""
	}
	return fmt.Sprintf("%s %s %s %q", r.Method, uri, strings.ToLower(r.Host), body)
}

// readStream reads at most n requests of a stream as net/http does. ok says that net/http accepted
// all it read.
func readStream(p []byte, n int) (all []string, ok bool) {
	r := bufio.NewReader(bytes.NewReader(p))
	for range n {
		req, err := http.ReadRequest(r)
		if err != nil {
			return all, false
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return all, false
		}
		all = append(all, describeRequest(req, body))
	}
	return all, true
}

// FuzzRequests holds that the backend gets exactly what was accepted, however it was cut, and that
// net/http reads it like the client's own bytes.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(chunkingRequests), uint64(1), false)
	f.Add([]byte(chunkingRequests), uint64(2), true)
	for i, test := range hostile.Requests() {
		if len(test.In) < 4<<10 {
			f.Add([]byte(test.In), uint64(i), i%3 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, toUWSGI bool) {
		protocol := backend.HTTP
		if toUWSGI {
			protocol = backend.UWSGI
		}
		if len(stream) > 8<<10 {
			return
		}
		w := newWorld(t, options(), protocol)
		w.run(string(stream), cutBy(seed))
		if !w.over() && !w.tunnel {
			if w.link != nil {
				if _, err := readRequests(w.link.got.Bytes(), protocol); err != io.EOF {
					return // net/http is stricter in some respect, and does not answer
				}
			}
			t.Fatalf("still active after the client's end: %d, %d", w.c.part, w.c.x.state)
		}
		if !w.holdsNothing() {
			t.Fatal("something is held at the end")
		}
		if w.why == Misused {
			t.Fatal("something happened that cannot")
		}
		if toUWSGI {
			return
		}
		var got []string
		for _, c := range w.conns {
			seen, ok := readStream(c.got.Bytes(), c.seen)
			if !ok {
				return // net/http is stricter in some respect
			}
			got = append(got, seen...)
		}
		want, ok := readStream(stream, len(got))
		if ok && !slices.Equal(got, want) {
			t.Fatalf("the backends got\n%q, the client has sent\n%q", got, want)
		}
		if answers := w.got(); w.requests > 0 && !w.tunnel && len(answers) < w.requests {
			t.Fatalf("%d answers to %d requests: %q", len(answers), w.requests, w.client.String())
		}
		// Bytes without an answer are the beginning of one request that was cut or refused.
		for _, c := range w.conns {
			if n := len(requestsIn(c.got.Bytes())); n > c.seen && !w.tunnel {
				t.Fatalf("the backend has got %d requests, %d of them whole", n, c.seen)
			}
		}
	})
}

func requestsIn(p []byte) []*http.Request {
	all, _ := readRequests(p, backend.HTTP)
	return all
}

// FuzzResponses holds that a client gets a response as net/http reads the backend's, however it was
// cut, and that no other byte of the backend reaches the next client.
func FuzzResponses(f *testing.F) {
	for i, test := range hostile.Responses() {
		f.Add([]byte(test.Out), uint64(i), test.Hang, i%4 == 3)
	}
	for i, out := range chunkingAnswers {
		f.Add([]byte(out), uint64(i), i%2 == 0, i == 3)
	}
	f.Fuzz(func(t *testing.T, out []byte, seed uint64, hang, isHead bool) {
		if len(out) > 8<<10 {
			return
		}
		method := "POST" // it is not repeated
		if isHead {
			method = "HEAD"
		}
		w := newWorld(t, options(), backend.HTTP)
		w.cut = cutBy(seed)
		w.answers = func(n int, r *http.Request) string {
			if r.RequestURI == "/next" {
				return ok + "Content-Length: 4\r\n\r\nnext"
			}
			return string(out)
		}
		w.closes = func(n int) bool { return !hang }
		w.sends([]byte(method + " /a HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.serve()
		answered := len(w.released) > 0
		first := bytes.Clone(w.client.Bytes())
		if !w.over() && answered {
			w.sends([]byte("GET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.serve()
			if rest := w.client.Bytes()[len(first):]; !bytes.HasSuffix(rest, []byte("\r\n\r\nnext")) ||
				bytes.Count(rest, []byte("HTTP/1.1 ")) != 1 {
				t.Fatalf("the next request got %q", rest)
			}
		}
		if w.why == Misused {
			t.Fatal("something happened that cannot")
		}
		if !answered || w.released[0].Why != Fine {
			return
		}
		got, err := lastResponse(first, method)
		if err != nil {
			t.Fatalf("%v in %q", err, first)
		}
		if want, err := lastResponse(out, method); err == nil && got != want {
			t.Fatalf("the client got\n%s, the backend has sent\n%s", got, want)
		}
	})
}

// lastResponse reads 1xx and the response behind them.
func lastResponse(p []byte, method string) (string, error) {
	r := bufio.NewReader(bytes.NewReader(p))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return "", err
		}
		if resp.StatusCode >= 200 {
			return fmt.Sprintf("%d %q %v", resp.StatusCode, body, len(resp.Trailer)), nil
		}
	}
}

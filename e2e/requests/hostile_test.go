package requests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/hostile"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// hostileRequests are a few of package exchange's, to see that all of it is connected.
var hostileRequests = hostile.Requests(
	"CL.TE", "TE.CL", "TE.TE, underscore", "CL.0 on GET", "chunk size signed", "chunk extension",
	"trailer, long", "smuggled behind the last chunk", "bare LF throughout", "endless head",
	"TLS in TLS", "upgrade refused, more behind it", "upgrade with a body", "nothing",
	"head cut short", "body cut short", "chunk cut short", "more behind the last request",
)

const (
	smuggled = hostile.Smuggled
	get      = hostile.Get
	post     = hostile.Post
	chunked  = hostile.Chunked
)

// TestHostileRequests: each gets its status, the connection ends where the next request is not
// certain, the backend sees whole requests as they were meant or nothing, and the next client is
// served.
func TestHostileRequests(t *testing.T) {
	backend := harness.Record(t, nil)
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-backend-keepalive", "0")
	for _, test := range hostileRequests {
		t.Run(test.Name, func(t *testing.T) {
			for _, cut := range []int{1 << 30, 7} { // lengths of the pieces
				if len(test.In) > 4<<10 && cut == 7 {
					continue
				}
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				go func() {
					harness.Dribble(conn, test.In, cut) // it may be refused before its end
					conn.CloseWrite()
				}()
				if got := describeAnswers(conn); got != test.Want {
					t.Errorf("in pieces of %d: got %s, want %s", cut, got, test.Want)
				}
				raw, requests := backend.Take(t, s)
				if !slices.Equal(requests, test.Seen) {
					t.Errorf("in pieces of %d: the backend got %q, want %q", cut, requests, test.Seen)
				}
				if test.Seen == nil && strings.Contains(raw, "smuggled HTTP") && test.Want != "cut" {
					t.Errorf("in pieces of %d: the backend read %q", cut, raw)
				}
			}
		})
	}
	harness.WantPage(t, harness.HTTPClient(t, harness.ClientConfig(pki), nil), "https://"+s.Addr()+"/next", "ok")
	if d := s.Document(); d.Engine.Flows.Panics > 0 || s.LogLen() != 1 {
		t.Errorf("%d panics, log:\n%s", d.Engine.Flows.Panics, s.Stderr())
	}
}

// describeAnswers reads all there is: the statuses, "close" if the last answer
// says so, and "cut" if the end is not a proper one.
func describeAnswers(conn net.Conn) string {
	var all []string
	r := bufio.NewReader(conn)
	for {
		if _, err := r.Peek(1); err != nil {
			if err != io.EOF {
				all = append(all, "cut")
			}
			return strings.Join(all, " ")
		}
		a, err := harness.ReadAnswer(r, "GET")
		if err != nil {
			return strings.Join(append(all, err.Error()), " ")
		}
		all = append(all, fmt.Sprint(a.Status))
		if a.Err != nil {
			return strings.Join(append(all, "cut"), " ")
		}
		if a.Close {
			all = append(all, "close")
		}
	}
}

// TestSmuggledBodyStaysABody: one client's body never becomes part of another's request on the same
// backend connection.
func TestSmuggledBodyStaysABody(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--http-processes", "1")
	attacker, victim := harness.HTTPClient(t, harness.ClientConfig(pki), nil), harness.HTTPClient(t,
		harness.ClientConfig(pki), nil)
	for i := range 20 {
		body := io.Reader(strings.NewReader(smuggled))
		if i%2 == 0 {
			body = struct{ io.Reader }{body} // chunked
		}
		if _, got, err := harness.Fetch(attacker, []string{"POST", "GET", "PUT"}[i%3], "https://"+s.Addr()+"/attack", body); err != nil ||
			!strings.HasSuffix(got, fmt.Sprint(" /attack ", len(smuggled))) {
			t.Errorf("the attacker got %q, %v", got, err)
		}
		harness.WantPage(t, victim, "https://"+s.Addr()+"/victim", "GET /victim 0")
	}
	if d := s.Document(); d.Engine.HTTP.Reused < 30 {
		t.Errorf("%d requests on a connection that had served others: they did not share one", d.Engine.HTTP.Reused)
	}
}

// hostileResponses are a few of package exchange's.
var hostileResponses = hostile.Responses(
	"good", "chunked", "until close", "early hints", "more than it announced", "more behind a 204",
	"both lengths", "last chunk missing", "bad chunk size",
)

const ok = hostile.OK

// TestHostileResponses: bytes that are not a response are a 502, a broken response does not look
// complete, and unasked bytes reach no client, least of all as the response to the next request,
// which waits behind the first.
func TestHostileResponses(t *testing.T) {
	// A backend whose first line of a request says which answer it shall give, so
	// that all may share one router.
	backend := nettest.Serve(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			var i int
			if n, _ := fmt.Sscanf(req.URL.Path, "/hostile/%d", &i); n == 0 {
				io.WriteString(conn, ok+"Content-Length: 4\r\n\r\nnext")
				continue
			}
			io.WriteString(conn, hostileResponses[i].Out)
			if !hostileResponses[i].Hang {
				return
			}
		}
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-processes", "1", "--http-gracetime", "0")
	for i, test := range hostileResponses {
		t.Run(test.Name, func(t *testing.T) {
			// Together, and one after the other.
			for _, pipelined := range []bool{true, false} {
				all, bodies := askTwice(t, s, pki, i, pipelined)
				if got := strings.Join(all, " "); got != test.Want {
					t.Errorf("pipelined %v: got %s %q, want %s", pipelined, got, bodies, test.Want)
				}
				if test.Body != "" && bodies[0] != test.Body {
					t.Errorf("pipelined %v: got %q, want %q", pipelined, bodies[0], test.Body)
				}
			}
		})
	}
	d := s.Document()
	if d.Engine.Flows.Panics > 0 || s.LogLen() != 1 {
		t.Errorf("%d panics, log:\n%s", d.Engine.Flows.Panics, s.Stderr())
	}
	if d.Engine.HTTP.BadAnswers["malformed chunk size"] == 0 || d.Engine.Flows.Closed["bad_answer"] == 0 {
		t.Errorf("a malformed chunk is not told from a reset: %v, %v", d.Engine.HTTP.BadAnswers, d.Engine.Flows.Closed)
	}
}

// askTwice asks for a hostile response and for a good one, together or one after the other.
func askTwice(t *testing.T, s *harness.Server, pki *testpki.PKI, i int, pipelined bool) (all,
	bodies []string,
) {
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	defer conn.Close()
	first := fmt.Sprintf("GET /hostile/%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
	second := "GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if pipelined {
		first += second
	}
	io.WriteString(conn, first)
	r := bufio.NewReader(conn)
	for {
		a, err := harness.ReadAnswer(r, "GET")
		if err != nil {
			t.Fatalf("pipelined %v: after %q: %v", pipelined, all, err)
		}
		all, bodies = append(all, fmt.Sprint(a.Status)), append(bodies, a.Body)
		if errors.Is(a.Err, io.ErrUnexpectedEOF) || errors.Is(a.Err, harness.ErrNoCloseNotify) {
			return append(all, "cut"), bodies
		} else if a.Err != nil {
			t.Fatal(a.Err)
		}
		if a.Body == "next" {
			return all, bodies
		}
		if !pipelined && a.Status >= 200 {
			io.WriteString(conn, second)
		}
	}
}

// TestChunkingLaw: requests and responses mean the same however they are cut into
// pieces, by http and uwsgi backends.
func TestChunkingLaw(t *testing.T) {
	const stream = "\r\nPOST /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345" +
		"GET /two?a HTTP/1.1\r\nHost: localhost\r\nX: x\r\n\r\n" +
		"POST /three HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" +
		"HEAD /four HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	wantHTTP := []string{"POST /one [] 12345", "GET /two [] ", "POST /three [chunked] abcde v", ""}
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.TransferEncoding, body)
		if v := r.Trailer.Get("T"); v != "" {
			text += " " + v
		}
		for len(text) > 1 && r.URL.Path != "/two" { // as chunks
			io.WriteString(w, text[:1])
			w.(http.Flusher).Flush()
			text = text[1:]
		}
		io.WriteString(w, text)
	})
	app := harness.StartUWSGI(t, `
def application(env, start_response):
    body = env["wsgi.input"].read()
    start_response("200 OK", [])
    if env["REQUEST_METHOD"] == "HEAD":
        return []
    return [b"%s %s [] " % (env["REQUEST_METHOD"].encode(), env["PATH_INFO"].encode()), body]
`)
	wantUWSGI := []string{"POST /one [] 12345", "GET /two [] ", "POST /three [] abcde", ""}
	for _, test := range []struct {
		name, to string
		want     []string
	}{{"http", harness.HTTPTo(backend), wantHTTP}, {"uwsgi", harness.UWSGITo(app), wantUWSGI}} {
		t.Run(test.name, func(t *testing.T) {
			s, pki := harness.StartHTTPS(t, test.to)
			for _, lengths := range lengthsOfPieces(len(stream)) {
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				go harness.Dribble(conn, stream, lengths...)
				r := bufio.NewReader(conn)
				for i, method := range []string{"POST", "GET", "POST", "HEAD"} {
					a, err := harness.ReadAnswer(r, method)
					if err != nil || a.Err != nil || a.Status != 200 || a.Body != test.want[i] ||
						a.Close != (i == 3) {
						t.Fatalf("pieces of %v: answer %d is %+v, %v, want %q", lengths, i, a, err, test.want[i])
					}
				}
				if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
					t.Errorf("pieces of %v: %q, %v behind the last answer", lengths, rest, err)
				}
			}
		})
	}
}

// lengthsOfPieces are ways to cut n bytes: whole, one by one and at random.
func lengthsOfPieces(n int) [][]int {
	cuts := [][]int{{n}, {1}}
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		var lengths []int
		for range 50 {
			lengths = append(lengths, 1+random.IntN(40))
		}
		cuts = append(cuts, lengths)
	}
	return cuts
}

// TestResponseChunkingLaw: a response means the same however a backend cuts it.
func TestResponseChunkingLaw(t *testing.T) {
	const byLength = ok + "Content-Length: 10\r\nX: x\r\n\r\n0123456789"
	const inChunks = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n7;x=\"y\"\r\n3456789\r\n0\r\nT: v\r\n\r\n"
	backend := nettest.Serve(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			n := 1 + len(req.URL.RawQuery)
			if req.URL.Path == "/chunks" {
				harness.Dribble(conn, inChunks, n)
			} else {
				harness.Dribble(conn, byLength, n)
			}
		}
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr))
	client := harness.HTTPClient(t, harness.ClientConfig(pki), nil)
	for n := range 20 {
		for _, path := range []string{"/length", "/chunks"} {
			resp, body, err := harness.Fetch(client, "GET", "https://"+s.Addr()+path+"?"+strings.Repeat("n", n), nil)
			if err != nil || body != "0123456789" || path == "/chunks" && resp.Trailer.Get("T") != "v" {
				t.Errorf("%s in pieces of %d: got %q, %v, trailer %v", path, n+1, body, err, resp.Trailer)
			}
		}
	}
}

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
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// The request that attackers would like a backend to see.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

// hostileRequests are a few of package exchange's, to see that all of it is connected. They
// are sent as they are, but that <s> stands for smuggled, <n> for
// its length and <c> for a chunk of it.
var hostileRequests = []struct {
	name string
	in   string
	want string   // the statuses of all that comes back, "close" if the last says so
	seen []string // requests that the backend gets
}{
	{"CL.TE", post + "Content-Length: <n>\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n<s>", "400 close", nil},
	{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n<c>0\r\n\r\n", "400 close", nil},
	{"TE.TE, underscore", post + "Content-Length: <n>\r\nTransfer_Encoding: chunked\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"CL.0 on GET", get + "Content-Length: <n>\r\n\r\n<s>", "200", []string{"GET /a <s>"}},
	{"chunk size signed", chunked + "+1\r\na\r\n0\r\n\r\n<s>", "400 close", nil},
	{"chunk extension", chunked + "1;a=b\r\na\r\n0;c\r\n\r\n", "200", []string{"POST /a a"}},
	{"trailer, long", chunked + "0\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n<s>", "431 close", nil},
	{"smuggled behind the last chunk", chunked + "0\r\n\r\n<s>", "200 200", []string{"POST /a ", "GET /smuggled "}}, // a pipelined one is no crime
	{"bare LF throughout", "GET /a HTTP/1.1\nHost: localhost\n\n<s>", "400 close", nil},
	{"endless head", get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 1000), "431 close", nil},
	{"TLS in TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 close", nil},
	{"upgrade refused, more behind it", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello<s>", "200 400 close", []string{"GET /a "}},
	{"upgrade with a body", post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: <n>\r\n\r\n<s>", "200", []string{"POST /a <s>"}},
	{"nothing", "", "", nil},
	{"head cut short", "GET /a HTTP/1.1\r\nHost", "", nil},
	{"body cut short", post + "Content-Length: 100\r\n\r\n<s>", "cut", nil},
	{"chunk cut short", chunked + "64\r\n<s>", "cut", nil},
	{"more behind the last request", get + "Connection: close\r\n\r\n<s>", "200 close", []string{"GET /a "}},
}

const (
	get     = "GET /a HTTP/1.1\r\nHost: localhost\r\n"
	post    = "POST /a HTTP/1.1\r\nHost: localhost\r\n"
	chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
)

// TestHostileRequests: each gets its status, the connection ends where nobody can
// tell what follows, the backend sees whole requests as they were meant or
// nothing, and the next client is served.
func TestHostileRequests(t *testing.T) {
	backend := harness.Record(t, nil)
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-backend-keepalive", "0")
	fill := strings.NewReplacer("<s>", smuggled, "<n>", fmt.Sprint(len(smuggled)), "<c>",
		fmt.Sprintf("%x\r\n%s\r\n", len(smuggled), smuggled))
	for _, test := range hostileRequests {
		t.Run(test.name, func(t *testing.T) {
			for _, cut := range []int{1 << 30, 7} { // lengths of the pieces
				if len(test.in) > 4<<10 && cut == 7 {
					continue
				}
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				go func() {
					harness.Dribble(conn, fill.Replace(test.in), cut) // it may be refused before its end
					conn.CloseWrite()
				}()
				if got := describeAnswers(conn); got != test.want {
					t.Errorf("in pieces of %d: got %s, want %s", cut, got, test.want)
				}
				raw, requests := backend.Take(t, s)
				var want []string
				for _, request := range test.seen {
					want = append(want, fill.Replace(request))
				}
				if !slices.Equal(requests, want) {
					t.Errorf("in pieces of %d: the backend got %q, want %q", cut, requests, want)
				}
				if test.seen == nil && strings.Contains(raw, "smuggled HTTP") && test.want != "cut" {
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

// TestSmuggledBodyStaysABody: what one client has in its body is never part of
// what another asks for on the same backend connection.
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

// hostileResponses are a few of package exchange's: what a backend answers to a GET of
// /hostile.
var hostileResponses = []struct {
	name string
	out  string
	hang bool   // the backend says no more but does not close
	want string // as describeAnswers, of that and a request for /ok behind it
	body string // of the first answer, where it is a 200
}{
	{"good", ok + "Content-Length: 2\r\n\r\nok", true, "200 200", "ok"},
	{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: t\r\n\r\n", true, "200 200", "ok"},
	{"until close", ok + "\r\nok", false, "200 200", "ok"},
	{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok", true, "103 200 200", ""},
	{"more than it announced", ok + "Content-Length: 2\r\n\r\nok" + evil, true, "200 200", "ok"},
	{"more behind a 204", "HTTP/1.1 204 No Content\r\n\r\n" + evil, true, "204 200", ""},
	{"both lengths", ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true, "502 200", ""},
	{"last chunk missing", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", false, "200 cut", ""},
	{"bad chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n", true, "200 cut", ""},
}

const (
	ok   = "HTTP/1.1 200 OK\r\n"
	evil = ok + "Content-Length: 4\r\n\r\nevil"
)

// TestHostileResponses: what is no response is a 502, what breaks off is not taken
// for whole, and whatever comes unasked reaches nobody, least of all as the answer
// to the next request, which waits behind the first.
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
			io.WriteString(conn, hostileResponses[i].out)
			if !hostileResponses[i].hang {
				return
			}
		}
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-processes", "1", "--http-gracetime", "0")
	for i, test := range hostileResponses {
		t.Run(test.name, func(t *testing.T) {
			// Together, and one after the other.
			for _, pipelined := range []bool{true, false} {
				all, bodies := askTwice(t, s, pki, i, pipelined)
				if got := strings.Join(all, " "); got != test.want {
					t.Errorf("pipelined %v: got %s %q, want %s", pipelined, got, bodies, test.want)
				}
				if test.body != "" && bodies[0] != test.body {
					t.Errorf("pipelined %v: got %q, want %q", pipelined, bodies[0], test.body)
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

// askTwice asks for a hostile response and for one that is none, together or one after the
// other.
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
			cuts := [][]int{{len(stream)}, {1}}
			for seed := range uint64(10) {
				random := rand.New(rand.NewPCG(seed, 1))
				var lengths []int
				for range 50 {
					lengths = append(lengths, 1+random.IntN(40))
				}
				cuts = append(cuts, lengths)
			}
			for _, lengths := range cuts {
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

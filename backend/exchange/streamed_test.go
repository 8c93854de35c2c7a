package exchange

import (
	"strings"
	"testing"

	"reprise/backend"
	"reprise/backend/http1"
)

// streamedExchange returns an exchange whose backend frames messages by itself, and the output for
// that backend.
func streamedExchange(t *testing.T, request string) (*Exchange, *Scratch, Output) {
	t.Helper()
	s, o := new(Scratch), &Options{
		Limits: http1.Limits{
			HeadLen: 8 << 10, TargetLen: 4 << 10, FieldLen: 64,
			TrailerLen: 1 << 10,
		}, KeepHead: true,
	}
	var err error
	if o.ResponseRules, err = http1.NewRules([]http1.Rule{{Op: http1.Remove, Name: "X-Secret"}}); err != nil {
		t.Fatal(err)
	}
	if o.RequestRules, err = http1.NewRules([]http1.Rule{{Op: http1.Remove, Name: "X-Inner"}}); err != nil {
		t.Fatal(err)
	}
	x := new(Exchange)
	if out := x.Begin(s, o, new(Client), 1, []byte(request)); out.Do != Dial {
		t.Fatalf("got %+v", out)
	}
	return x, s, x.Linked(s, Link{Protocol: backend.H2C})
}

// TestStreamedRequest checks what a backend that frames messages by itself gets.
func TestStreamedRequest(t *testing.T) {
	x, s, out := streamedExchange(t, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: gzip, trailers\r\nConnection: TE, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	head := string(out.ToBackend)
	for text, want := range map[string]bool{"TE: trailers\r\n": true, "Transfer-Encoding": false, "Connection": false, "Upgrade": false, "X-Forwarded-Proto: http\r\n": true} {
		if strings.Contains(head, text) != want {
			t.Errorf("%q in the head: want %v\n%s", text, want, head)
		}
	}
	if out.EndToBackend {
		t.Error("the request ends with its head")
	}
	if out := x.Body(s, []byte("piece")); string(out.ToBackend) != "piece" || out.EndToBackend {
		t.Errorf("got %+v for a piece", out)
	}
	if out := x.End(s, []byte("X-Sum: 1\r\nX-Inner: 2\r\n")); !out.EndToBackend || string(out.TrailerToBackend) != "X-Sum: 1\r\n" ||
		len(out.ToBackend) > 0 {
		t.Errorf("got %+v for the end", out)
	}
	if _, _, out := streamedExchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !out.EndToBackend ||
		strings.Contains(string(out.ToBackend), "TE:") {
		t.Errorf("got %+v for a request without content", out)
	}
}

// TestStreamedLengths compares responses with the length in their heads, and checks that rules drop
// fields of a trailer section.
func TestStreamedLengths(t *testing.T) {
	for _, test := range []struct {
		name, head, data string
		end              Do
		why              Why
		trailer          string
	}{
		{"as long as it says", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "abc", Release, Fine, "X-Sum: 1\r\n"},
		{"of unknown length", "HTTP/1.1 200 OK\r\n\r\n", "abc", Release, Fine, "X-Sum: 1\r\n"},
		{"shorter", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "abc", Cut, BadAnswer, ""},
		{"longer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "abc", Cut, BadAnswer, ""},
		{"where none may be", "HTTP/1.1 204 No Content\r\n\r\n", "abc", Cut, BadAnswer, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, s, _ := streamedExchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if out := x.AnswerHead(s, []byte("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"), false); out.Head != Interim {
				t.Fatalf("got %+v for early hints", out)
			}
			if out := x.AnswerHead(s, []byte(test.head), false); out.Head != Final || out.Do != Continue {
				t.Fatalf("got %+v for the head", out)
			}
			out := x.AnswerData([]byte(test.data), false)
			if out.Do == Continue {
				out = x.AnswerEnd([]byte("X-Sum: 1\r\nx-secret: 2\r\n"))
			}
			if out.Do != test.end || out.Why != test.why || string(out.Trailer) != test.trailer {
				t.Errorf("got %+v", out)
			}
		})
	}
}

// TestUnprocessed checks which requests are sent elsewhere when a backend has not processed them.
func TestUnprocessed(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
	for _, test := range []struct {
		name, request string
		before        func(x *Exchange, s *Scratch)
		want          Do
	}{
		{"a request without content", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", nil, Dial},
		{"one that may not be repeated", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", nil, Dial},
		{"one whose content is still to come", post, nil, Dial},
		{"one of whose content a part has gone", post, func(x *Exchange, s *Scratch) { x.Body(s, []byte("a")) }, Release},
		{"one that was answered early", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", func(x *Exchange, s *Scratch) {
			x.AnswerHead(s, []byte("HTTP/1.1 100 Continue\r\n\r\n"), false)
		}, Release},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, s, _ := streamedExchange(t, test.request)
			if test.before != nil {
				test.before(x, s)
			}
			if out := x.Unprocessed(); out.Do != test.want || test.want == Release && out.Status != 502 {
				t.Errorf("got %+v", out)
			}
		})
	}
}

// TestEchoedVersion holds that a uwsgi backend may answer in the version it was told, however that
// is cut, and an HTTP backend may not.
func TestEchoedVersion(t *testing.T) {
	const response = "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
	for cut := range len(response) {
		for protocol, want := range map[backend.Protocol]int{backend.UWSGI: 200, backend.HTTP: 502} {
			s, o := new(Scratch), &Options{Limits: http1.Limits{
				HeadLen: 8 << 10, TargetLen: 4 << 10,
				FieldLen: 64, TrailerLen: 1 << 10,
			}}
			x := new(Exchange)
			x.Begin(s, o, &Client{HTTP2: true}, 1, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			x.Linked(s, Link{Protocol: protocol})
			if cut > 0 {
				x.FromBackend(s, []byte(response[:cut]))
			}
			x.FromBackend(s, []byte(response[cut:]))
			if x.Status() != want {
				t.Errorf("protocol %d, cut at %d: got %d, want %d", protocol, cut, x.Status(), want)
			}
		}
	}
}

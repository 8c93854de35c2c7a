package exchange

import (
	"net/http"
	"testing"

	"reprise/backend"
)

// A backend's connection serves another request only if the response's end is certain and no client
// is authenticated on it.
func TestKept(t *testing.T) {
	const (
		get  = "GET / HTTP/1.1\r\nHost: a\r\n"
		head = "HEAD / HTTP/1.1\r\nHost: a\r\n"
		ok   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	)
	for _, test := range []struct {
		name, request, response string
		want                    bool
	}{
		{"get", get + "\r\n", ok, true},
		{"chunks", get + "\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true},
		{"early hints", get + "\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok, true},
		{"not modified", get + "\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n", true},
		{"no content", get + "\r\n", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"head", head + "\r\n", "HTTP/1.1 200 OK\r\n\r\n", true},
		{"head of nothing", head + "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},

		{"closing", get + "\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
		{"HTTP/1.0", get + "\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		{"more behind it", get + "\r\n", ok + "\r\n", false},
		{"early hints with a body", get + "\r\n", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + ok, false},
		{"not modified with a length", get + "\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false},
		{"no content with a length", get + "\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false},
		{"head with a length", head + "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
		{"head with chunks", head + "\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"logged in", get + "Authorization: NTLM abc\r\n\r\n", ok, false},
		{"logged in otherwise", get + "Authorization: negotiate abc\r\n\r\n", ok, false},
		{"bad answer", get + "\r\n", "SSH-2.0-OpenSSH\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i, cut := range cuts(3) {
				// Bytes behind the response that come in a later read are found before the
				// connection is used again.
				if got := keptAfter(t, cut, test.request, test.response); got != test.want &&
					(i == 0 || test.name != "more behind it") {
					t.Errorf("cut %d: got %v, want %v", i, got, test.want)
				}
			}
		})
	}
	t.Run("answer before the request is complete", func(t *testing.T) {
		w := newWorld(t, options(), backend.HTTP)
		w.sends([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123"))
		w.answer([]byte(ok))
		if step := w.released[0]; step.Keep || w.statuses() != "200 close" {
			t.Errorf("got %+v, %s", step, w.statuses())
		}
	})
	t.Run("uwsgi", func(t *testing.T) {
		w := newWorld(t, options(), backend.UWSGI)
		w.sends([]byte(get + "\r\n"))
		w.answer([]byte(ok))
		if w.released[0].Keep {
			t.Error("kept")
		}
	})
}

// keptAfter reports whether the connection to the backend is kept when that has answered.
func keptAfter(t *testing.T, cut func(int) int, request, response string) bool {
	w := newWorld(t, options(), backend.HTTP)
	w.cut = cut
	w.answers = func(int, *http.Request) string { return response }
	w.sends([]byte(request))
	w.serve()
	return w.released[0].Keep
}

// A backend that speaks another protocol and stays open is detected by its first bytes.
func TestNoStatusLine(t *testing.T) {
	for _, p := range []string{"S", "HTTP/2", "HTTP 1.1", "\x15\x03\x03", "\r\n", "http/1.1 200 OK"} {
		w := newWorld(t, options(), backend.HTTP)
		w.sends([]byte("POST / HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.answer([]byte(p))
		if got := w.statuses(); got != "502" {
			t.Errorf("%q: got %q", p, got)
		}
		if why, reason := w.why, w.released[0].Reason; why != BadAnswer || reason != "malformed status line" {
			t.Errorf("%q: %d, %q", p, why, reason)
		}
	}
}

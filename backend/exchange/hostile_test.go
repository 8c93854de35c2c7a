package exchange

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"reprise/backend"
	"reprise/internal/hostile"
)

const (
	get     = hostile.Get
	post    = hostile.Post
	chunked = hostile.Chunked
	ok      = hostile.OK
	evil    = hostile.Evil
)

// limited returns the options that the tables assume.
func limited() *Options {
	o := options()
	o.Limits.HeadLen, o.Limits.TrailerLen = 32<<10, 8<<10
	return o
}

// Each hostile request gets its status, the connection ends where the next request's beginning is
// uncertain, and the backend gets requests whole and as they were meant or not at all, however they
// are cut.
func TestHostileRequests(t *testing.T) {
	for _, test := range hostile.Requests() {
		t.Run(test.Name, func(t *testing.T) {
			for i, cut := range cuts(3) {
				if len(test.In) > 4<<10 && i == 1 {
					continue
				}
				w := newWorld(t, limited(), backend.HTTP)
				w.run(test.In, cut)
				if got := w.statuses(); got != test.Want {
					t.Errorf("cut %d: got %s, want %s", i, got, test.Want)
				}
				var got []string
				for _, request := range w.seen() {
					if request != "broken" {
						request, _, _ = strings.Cut(request, " map[")
						got = append(got, request)
					}
				}
				if !slices.Equal(got, test.Seen) {
					t.Errorf("cut %d: the backend got %q, want %q", i, got, test.Seen)
				}
				for _, c := range w.conns {
					if test.Seen == nil && strings.Contains(c.got.String(), "smuggled HTTP") && test.Want != "cut" {
						t.Errorf("cut %d: the backend read %q", i, c.got.String())
					}
				}
				if !w.holdsNothing() {
					t.Errorf("cut %d: something is held at the end", i)
				}
			}
		})
	}
}

// A malformed response is a 502, a truncated one is not taken for complete, and unsolicited bytes
// never reach a client, least of all as the answer to the next request, whether that waits behind
// the first or comes after its answer.
func TestHostileResponses(t *testing.T) {
	const first, second = "GET /hostile HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, test := range hostile.Responses() {
		t.Run(test.Name, func(t *testing.T) {
			for i, cut := range cuts(3) {
				for _, pipelined := range []bool{true, false} {
					w := newWorld(t, limited(), backend.HTTP)
					w.cut = cut
					hostile := false
					w.answers = func(n int, r *http.Request) string {
						if hostile = r.RequestURI != "/ok"; !hostile {
							return ok + "Content-Length: 4\r\n\r\nnext"
						}
						return test.Out
					}
					w.closes = func(int) bool { return hostile && !test.Hang }
					if pipelined {
						w.sends([]byte(first + second))
						w.serve()
					} else {
						w.sends([]byte(first))
						w.serve()
						w.sends([]byte(second))
						w.serve()
					}
					got := w.got()
					if status := w.statuses(); status != test.Want {
						t.Errorf("cut %d, pipelined %v: got %s %q, want %s", i, pipelined, status, got, test.Want)
					}
					if strings.Contains(w.client.String(), "evil") {
						t.Errorf("cut %d, pipelined %v: the client got %q", i, pipelined, w.client.String())
					}
					if !strings.HasPrefix(got[0].body, test.Body) {
						t.Errorf("cut %d, pipelined %v: got %q, want %q", i, pipelined, got[0].body, test.Body)
					}
				}
			}
		})
	}
}

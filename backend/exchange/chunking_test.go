package exchange

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"reprise/backend"
)

// cuts are ways to cut bytes into pieces: whole, one by one, and at random.
func cuts(seeds int) (all []func(n int) int) {
	all = append(all, nil, func(int) int { return 1 })
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 1))
		all = append(all, func(n int) int { return 1 + random.IntN(min(n, 1+random.IntN(60))) })
	}
	return all
}

const chunkingRequests = "\r\nPOST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345" +
	"GET /two?a HTTP/1.1\r\nHost: a\r\nX: x\r\n\r\n" +
	"POST /three HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" +
	"HEAD /four HTTP/1.1\r\nHost: a\r\n\r\n" +
	"PUT /five HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
	"GET /six HTTP/1.1\r\nHost: a\r\n\r\n" +
	"GET /seven HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\n\r\n" +
	"GET /eight HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + "GET /never HTTP/1.1\r\nHost: a\r\n\r\n"

var chunkingAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\ntw\r\n1 \r\no\r\n0\r\nT: t\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nthree",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\nuntil close",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nseven",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\neight",
}

// The same bytes from either end have the same result, however they are cut into pieces.
func TestChunkingLaw(t *testing.T) {
	for _, protocol := range []backend.Protocol{backend.HTTP, backend.UWSGI} {
		var want string
		for i, client := range cuts(12) {
			for j, server := range cuts(12) {
				w := newWorld(t, options(), protocol)
				w.cut = server
				w.answers = func(n int, _ *http.Request) string { return chunkingAnswers[n] }
				w.closes = func(n int) bool { return n == 5 }
				w.run(chunkingRequests, client)
				got := fmt.Sprint(w.seen(), w.got(), w.end, w.why)
				if want == "" {
					want = got
					t.Log(got)
				}
				if got != want {
					t.Fatalf("cut %d, %d: got\n%s\nwant\n%s", i, j, got, want)
				}
				if !w.holdsNothing() {
					t.Fatal("something is held at the end")
				}
			}
		}
	}
}

// An upgrade with a body switches each direction by itself, however it is cut.
func TestChunkingLawOfUpgrade(t *testing.T) {
	for _, framing := range []string{"Content-Length: 5\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n", "\r\n"} {
		var want string
		for i, client := range cuts(20) {
			for j, server := range cuts(5) {
				w := newWorld(t, options(), backend.HTTP)
				w.cut = server
				w.answers = func(int, *http.Request) string {
					return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nwelcome"
				}
				w.run("POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"+framing+"GET /raw HTTP/1.1\r\nHost: a\r\n\r\n", client)
				got := fmt.Sprint(w.seen(), w.got(), w.tunnel)
				if want == "" {
					want = got
					t.Log(got)
				}
				if got != want {
					t.Fatalf("%q, cut %d, %d: got\n%s\nwant\n%s", framing, i, j, got, want)
				}
			}
		}
	}
}

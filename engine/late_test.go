package engine

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

// Data of a backend after its response answer no request, even if they come at the last moment:
// between the next request and the loop's check.
func TestLateDataIsNotAnAnswer(t *testing.T) {
	for _, test := range []struct{ name, request, answer string }{
		{"body of HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"},
		{"body of HEAD without a length", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
		{"another response", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", okAnswer},
		{"body of 304", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
			late, said := make(chan bool), make(chan bool)
			addr := rawBackend(t, func(n int, c net.Conn, _ *http.Request) {
				if n > 0 {
					_, _ = io.WriteString(c, okAnswer)
					return
				}
				_, _ = io.WriteString(c, test.answer)
				<-late
				_, _ = io.WriteString(c, evil)
				said <- true
			})
			o := oneLoop()
			parked, goOn := make(chan bool), make(chan bool)
			o.Access = func(a *Access) {
				if a.Nth == 1 && a.Status > 0 && !strings.Contains(a.Cause, "client_gone") {
					select {
					case parked <- true: // the loop is held while both say something
						<-goOn
					case <-time.After(10 * time.Second):
					}
				}
			}
			e, router := startListener(t, o, Listener{
				HTTP:  httpOptions(),
				Pools: newRouter(t, backend.HTTP, addr),
			}, false)
			first, second := dialRaw(t, router), dialRaw(t, router)
			nettest.Eventually(t, 10*time.Second,
				func() bool { return e.Stats().Flows.Accepted.Load() == 2 }, "not accepted")
			_, _ = io.WriteString(first, test.request)
			<-parked
			_, _ = io.WriteString(second, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			late <- true
			<-said
			goOn <- true
			go func() { // what is told of the second request
				<-parked
				goOn <- true
			}()
			if got := statuses(t, second, 1); got[0] != "200 ok" {
				t.Errorf("the second client got %q", got)
			}
		})
	}
}

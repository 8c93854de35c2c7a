package engine

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

// A flow limited to one piece of work in a turn loses nothing and ends: chunks of one byte,
// pipelined requests that are answered here, and bytes in bulk.
func TestOnePieceInATurn(t *testing.T) {
	usual := turnTime
	turnTime = 0
	t.Cleanup(func() { turnTime = usual }) // after the engines, which are closed first

	t.Run("chunks", testChunksInPieces)
	t.Run("requests", testRequestsInPieces)
	t.Run("calls", testCallsInPieces)
	t.Run("bytes", testBytesInPieces)
	t.Run("waiting", testWaitingInPieces)
}

func testChunksInPieces(t *testing.T) {
	const size = 5000
	_, addr, _ := startRouter(t, httpOptions(), func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(body), err)
	})
	c := dial(t, addr)
	request := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", size) + "0\r\n\r\n"
	if _, err := io.WriteString(c, request+request); err != nil {
		t.Fatal(err)
	}
	for i, got := range statuses(t, c, 2) {
		if want := fmt.Sprint("200 ", size, " <nil>"); got != want {
			t.Errorf("answer %d is %q, want %q", i, got, want)
		}
	}
}

func testRequestsInPieces(t *testing.T) {
	o := httpOptions()
	o.RedirectPort = 443
	const n = 3000
	e, addr := startListener(t, testOptions(), Listener{HTTP: o}, false)
	c := dialRaw(t, addr)
	go func() { _, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", n)) }()
	for i, got := range statuses(t, c, n) {
		if !strings.HasPrefix(got, "301 ") {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
	if got := e.Stats().HTTP.Requests.Load(); got != n {
		t.Errorf("%d requests counted, want %d", got, n)
	}
}

func testCallsInPieces(t *testing.T) {
	server := newH2CServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}, 10)
	_, addr, pool, clients := startH2C(t, httpOptions(), server.addr)
	want := strings.Repeat("0123456789abcdef", 10_000)
	for proto, client := range clients {
		var wg sync.WaitGroup
		for range 30 { // of which some wait
			wg.Go(func() {
				resp, err := client.Post("https://"+addr, "", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); string(got) != want || err != nil {
					t.Errorf("%s: got %d bytes, %v", proto, len(got), err)
				}
			})
		}
		wg.Wait()
	}
	server.CloseClientConnections()
	nettest.Eventually(t, 20*time.Second, func() bool { return pool.Shared().Conns.Load() == 0 }, "connections are left")
}

func testBytesInPieces(t *testing.T) {
	_, addr := startListener(t, testOptions(),
		Listener{Pools: newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)}, true)
	c := dial(t, addr)
	data := make([]byte, 4<<20)
	_, _ = rand.Read(data)
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v; want the %d that were sent", len(got), err, len(data))
	}
}

func testWaitingInPieces(t *testing.T) {
	gate := make(chan bool)
	addr := rawBackend(t, func(_ int, c net.Conn, _ *http.Request) {
		<-gate
		_, _ = io.WriteString(c, okAnswer)
	})
	pool, err := backend.NewPool([]backend.Spec{{
		Network: "tcp", Address: addr, Protocol: backend.HTTP,
		MaxConns: 5,
	}},
		backend.Options{QueueLen: 100, Retries: 3, ConnectTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	e, router := startListener(t, oneLoop(), Listener{HTTP: httpOptions(), Pools: routerOf(t, pool)},
		false)
	const n = 50
	var clients []net.Conn
	for range n {
		c := dialRaw(t, router)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		clients = append(clients, c)
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return e.Stats().HTTP.Requests.Load() == n }, "not all requests have come")
	close(gate)
	for i, c := range clients {
		if got := statuses(t, c, 1); got[0] != "200 ok" {
			t.Errorf("client %d: %s", i, got[0])
		}
	}
}

package control

import (
	"io"
	"net"
	"net/http"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestSubscribersOfSuccessor: a backend that has announced itself to a process, and does not do so
// again, serves behind its successor.
func TestSubscribersOfSuccessor(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, addr := packets.LocalAddr().String(), nettest.FreeAddr(t)
	packets.Close()
	n := startNode(t, []string{serveText(t, "default")}, "http = "+addr, "http-subscription-server = "+server,
		"subscription-tolerance = 1h", "admin = $DIR/admin.sock")
	ask := func() string {
		request, err := http.NewRequest("GET", "http://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "a.example"
		client := http.Client{
			Transport: &http.Transport{DisableKeepAlives: true},
			Timeout:   harness.Patience,
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}

	subscriber, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer subscriber.Close()
	packet := []byte{224, 0, 0, 0}
	for _, word := range []string{"key", "a.example", "address", serveText(t, "subscriber"), "proto", "http"} {
		packet = append(append(packet, byte(len(word)), 0), word...)
	}
	packet[1] = byte(len(packet) - 4)
	if _, err := subscriber.Write(packet); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, harness.Patience, func() bool { return ask() == "subscriber" }, "it serves")
	wantAll(t, n.do(0, "upgrade"), "has taken over")
	for range 10 {
		if got := ask(); got != "subscriber" {
			t.Fatalf("behind the successor: got %q", got)
		}
	}
}

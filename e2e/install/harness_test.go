package install

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"reprise/e2e/harness"
)

// get makes a request by https on a connection of its own, and returns the answer's body.
func get(t *testing.T, addr string, c *tls.Config) string {
	t.Helper()
	client := http.Client{
		Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true},
		Timeout:   harness.Patience,
	}
	response, err := client.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lowPort returns a port that only root may bind, and that nothing uses.
func lowPort(t *testing.T) int {
	t.Helper()
	for port := 1023; port > 600; port-- {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no port below 1024 is free")
	return 0
}

func itoa(n int) string { return strconv.Itoa(n) }

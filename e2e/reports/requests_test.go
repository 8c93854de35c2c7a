package reports

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A request without Host, as HTTP/1.0 has it, goes to the backend with one: nginx answers 400
// to an empty one.
func TestRequestWithoutHost(t *testing.T) {
	backend := play(t, ok())
	n := start(t, backend.addr)
	if response, _ := n.ask(t, "GET / HTTP/1.0\r\n\r\n"); response.StatusCode != http.StatusOK {
		t.Errorf("got %s", response.Status)
	}
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(backend.got())))
	if err != nil || request.Host == "" {
		t.Errorf("the backend got %q, %v", backend.got(), err)
	}
}

// The scheme's default port does not make another host.
func TestAbsoluteTargetWithDefaultPort(t *testing.T) {
	n := start(t, play(t, ok()).addr)
	for _, request := range []string{
		"GET http://a.test:80/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET http://a.test/ HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
		"GET http://A.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
	} {
		if response, _ := n.ask(t, request); response.StatusCode != http.StatusOK {
			t.Errorf("%q: got %s", request, response.Status)
		}
	}
	other := "GET http://a.test:81/ HTTP/1.1\r\nHost: a.test\r\n\r\n"
	if response, _ := n.ask(t, other); response.StatusCode != http.StatusBadRequest {
		t.Errorf("%q: got %s", other, response.Status)
	}
}

// Forms of requests that are answered, each as the standard has it.
func TestFormsOfRequests(t *testing.T) {
	n := start(t, play(t, ok()).addr)
	for request, want := range map[string]int{
		"GET / HTTP/1.2\r\nHost: a\r\n\r\n":                                                              http.StatusOK,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n":                                  http.StatusNotImplemented,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;bad[=x\r\nhello\r\n0\r\n\r\n": http.StatusBadRequest,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\n\r\n":       http.StatusBadRequest,
	} {
		if response, _ := n.ask(t, request); response.StatusCode != want {
			t.Errorf("%q: got %s, want %d", request, response.Status, want)
		}
	}
}

// A field name that a backend may take for another one does not pass.
func TestUnderscoreInFieldNames(t *testing.T) {
	backend := play(t, ok())
	n := start(t, backend.addr)
	n.ask(t, "GET / HTTP/1.1\r\nHost: a\r\ncontent_length: 5\r\nContent_Length: 6\r\nX-Mine: 1\r\n\r\n")
	if got := backend.got(); strings.Contains(strings.ToLower(got), "content_length") || !strings.Contains(got, "X-Mine") {
		t.Errorf("the backend got %q", got)
	}
}

// docker exec: POST with a body of known length and an upgrade to something that is not a
// WebSocket.
func TestUpgradeWithBody(t *testing.T) {
	backend := nettest.Serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		request, err := http.ReadRequest(in)
		if err != nil || !strings.EqualFold(request.Header.Get("Upgrade"), "tcp") {
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		body, _ := io.ReadAll(request.Body)
		io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+string(body))
		io.Copy(conn, in)
	})
	n := start(t, "http://"+backend.Addr)
	conn := dial(t, n.http)
	io.WriteString(conn, "POST /exec/1/start HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", response, err)
	}
	io.WriteString(conn, "typed")
	got := make([]byte, len("{}typed"))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "{}typed" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A PROXY header of a balancer's own check is accepted, whatever family it names (the
// specification, section 2.2).
func TestProxyLocalWithFamily(t *testing.T) {
	backend := play(t, ok())
	n := start(t, backend.addr, "--http-accept-proxy", "127.0.0.1")
	for name, rest := range map[string]string{
		"TCP over IPv4": "\x11\x00\x0c" + "\xc0\x00\x02\x01" + "\xc0\x00\x02\x02" + "\x01\xbb" + "\x01\xbb",
		"no addresses":  "\x11\x00\x00",
		"UDP over IPv6": "\x22\x00\x24" + strings.Repeat("\x20\x01\x0d\xb8", 8) + "\x01\xbb" + "\x01\xbb",
		"unspecified":   "\x00\x00\x03abc",
		"unix":          "\x31\x00\x00",
		"one unknown":   "\xf7\x00\x03abc",
	} {
		const local = "\r\n\r\n\x00\r\nQUIT\n\x20"
		response, _ := n.ask(t, local+rest+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s", name, response.Status)
		}
		if got := backend.got(); strings.Contains(got, "192.0.2.1") || !strings.Contains(got, "127.0.0.1") {
			t.Errorf("%s: the backend got %q, want the balancer's own address", name, got)
		}
	}
}

// A refused request is in the access log with its reason.
func TestRefusedRequestsAreLogged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	n := start(t, play(t, ok()).addr, "--access-log", file)
	n.ask(t, "GET /refused HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	var line string
	nettest.Eventually(t, harness.Patience, func() bool {
		text, _ := os.ReadFile(file)
		line = string(text)
		return strings.Contains(line, "\n")
	}, "nothing is logged")
	for _, want := range []string{`"status":400`, `/refused`, `"reason":"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
}

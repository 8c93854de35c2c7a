package stats

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
)

// A web page whose name is made to resolve to the server's address (DNS rebinding) has the
// browser send that name.
func TestNoPathAnswersAForeignHost(t *testing.T) {
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") })
	o := AdminOptions{
		Pprof: true, Hosts: []string{"edge.example"},
		Handlers: map[string]http.Handler{"GET /pools": done}, Control: map[string]http.Handler{"POST /drain": done},
	}
	url := startAdmin(t, example(), o)
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		host string
		own  bool
	}{
		{"127.0.0.1:9090", true},
		{"127.0.0.1", true},
		{"[::1]:9090", true},
		{"[::1]", true},
		{"localhost:1", true},
		{"LOCALHOST", true},
		{"localhost.", true},
		{machine, true},
		{"edge.example:9090", true},
		{"evil.test", false},
		{"evil.test:9090", false},
		{"edge.example.evil.test", false},
		{"127.0.0.1.evil.test", false},
		{"evil.localhost", false},
		{"admin", false}, // a name that a search domain may complete
		{"[evil.test]:1", false},
	}
	lines := []string{
		"GET /", "GET /stats", "GET /metrics", "GET /healthz", "GET /readyz", "GET /debug/pprof/", "GET /pools",
		"GET /nothing", "POST /drain", "OPTIONS *", "OPTIONS /stats", "HEAD /stats",
	}
	for _, tt := range tests {
		for _, line := range lines {
			status := rawStatus(t, url, line+" HTTP/1.1\r\nHost: "+tt.host)
			if foreign := status == http.StatusMisdirectedRequest; foreign == tt.own {
				t.Errorf("%s, Host: %s: got %d", line, tt.host, status)
			}
		}
	}
	// A request may name the host twice: then the target's counts.
	if status := rawStatus(t, url, "GET http://evil.test/stats HTTP/1.1\r\nHost: localhost"); status != http.StatusMisdirectedRequest {
		t.Errorf("foreign target: got %d", status)
	}
	if status := rawStatus(t, url, "GET /healthz HTTP/1.0"); status != http.StatusOK {
		t.Errorf("a check without Host: got %d", status)
	}
}

// rawStatus sends the head of a request and returns the status of the answer.
func rawStatus(t *testing.T, url, head string) int {
	t.Helper()
	c, err := net.Dial("tcp", url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s\r\nConnection: close\r\n\r\n", head)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", head, err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestControlByTCPTakesAToken(t *testing.T) {
	access := new(Access)
	url := startAdmin(t, example(), AdminOptions{Access: access, Control: map[string]http.Handler{
		"POST /drain": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") }),
	}})
	want := func(what string, want int, header ...string) {
		t.Helper()
		if status, body := ask(t, "POST", url+"/drain", header...); status != want {
			t.Errorf("%s: got %d %q, want %d", what, status, body, want)
		}
	}
	want("no token", 403)
	want("no token, but one sent", 403, "Authorization", "Bearer ")
	access.SetToken([]byte("the right one"))
	want("none sent", 401)
	want("empty", 401, "Authorization", "Bearer ")
	want("wrong", 401, "Authorization", "Bearer the wrong one")
	want("a beginning", 401, "Authorization", "Bearer the right")
	want("another scheme", 401, "Authorization", "Basic the right one")
	want("right", 200, "Authorization", "Bearer the right one")
	want("right, by a browser for another site", 403, "Authorization", "Bearer the right one", "Sec-Fetch-Site", "cross-site")
	access.SetToken([]byte("a new one"))
	want("the old one", 401, "Authorization", "Bearer the right one")
	want("the new one", 200, "Authorization", "Bearer a new one")
	access.SetToken(nil)
	want("none any more", 403, "Authorization", "Bearer a new one")
	if status, _ := ask(t, "GET", startAdmin(t, example(), AdminOptions{})+"/stats"); status != 200 {
		t.Errorf("reading: got %d, want 200", status)
	}
}

// A unix socket is for its owner, and asks nothing more.
func TestUnixSocketIsItsOwners(t *testing.T) {
	path := t.TempDir() + "/admin.sock"
	s, err := ListenAdmin(path, example(), AdminOptions{Control: map[string]http.Handler{
		"POST /drain": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a socket of mode 0600", info.Mode(), err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _,
		_ string,
	) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	for host, want := range map[string]int{"admin": 200, "localhost": 200, "evil.test": 421} {
		response, err := client.Post("http://"+host+"/drain", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: got %d, want %d", host, response.StatusCode, want)
		}
	}
}

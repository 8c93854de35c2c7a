package control

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// Every command finds the node by its configuration, and prints a table or JSON.
func TestCommandsOverTheUnixSocket(t *testing.T) {
	one, two := serveText(t, "one"), serveText(t, "two")
	n := startNode(t, []string{one, two}, "admin = $DIR/admin.sock")
	c := n.config()
	n.get(c)
	n.get(c)

	tests := []struct {
		args []string
		want []string // of the table, one after the other
		keys []string // of each row of JSON
	}{
		{[]string{"pools"}, []string{"ROUTER", "http", "default", "yes", "2"}, []string{"router", "pool", "backends", "up", "live"}},
		{[]string{"backend", "list"}, []string{"BACKEND", "http://" + one, "up", "1", "http://" + two}, []string{"name", "state", "weight", "hits"}},
		{[]string{"certificates"}, []string{"DAYS LEFT", n.tls, "(default)"}, []string{"listener", "name", "file", "not_after"}},
		{[]string{"sessions"}, []string{"SESSIONS", "localhost", "3"}, []string{"name", "sessions", "ages", "oldest_seconds"}},
	}
	for _, tt := range tests {
		inOrder := make([]string, len(tt.want))
		for i, part := range tt.want {
			inOrder[i] = regexp.QuoteMeta(part)
		}
		if got := n.do(0, tt.args...); !regexp.MustCompile(`(?s)` + strings.Join(inOrder, ".*")).MatchString(got) {
			t.Errorf("%v: got\n%s\nwant %q", tt.args, got, tt.want)
		}
		var rows []map[string]any
		if err := json.Unmarshal([]byte(n.do(0, append(tt.args, "--json")...)), &rows); err != nil ||
			len(rows) == 0 {
			t.Fatalf("%v --json: %d rows, %v", tt.args, len(rows), err)
		}
		for _, key := range tt.keys {
			if _, there := rows[0][key]; !there {
				t.Errorf("%v --json: no %s in %v", tt.args, key, rows[0])
			}
		}
	}
	wantAll(t, n.do(0, "peers"), "no peers")
	wantAll(t, n.do(0, "forget", "--all"), "forgotten here: 3")
	wantAll(t, n.do(0, "sessions"), "no sessions")
	wantAll(t, n.do(0, "reload"), "reloaded")
	wantAll(t, n.do(0, "upgrade"), "has taken over")
	wantAll(t, n.do(0, "pools"), "default") // by the successor, which has the socket
	wantAll(t, n.do(0, "drain"), "ended")
	wantAll(t, n.do(1, "pools"), "is it the admin address of a running node?")
	n.Wait()
}

// A backend is named as configured, or by its address.
func TestBackendsAreDrainedAndWeighed(t *testing.T) {
	one, two := serveText(t, "one"), serveText(t, "two")
	n := startNode(t, []string{one, two}, "admin = $DIR/admin.sock")
	c := n.config()
	shares := func(requests int) (ones int) {
		for range requests {
			if n.get(c) == "one" {
				ones++
			}
		}
		return ones
	}
	if got := n.do(0, "backend", "drain", one); got != "http://"+one+": drain\n" {
		t.Errorf("got %q", got)
	}
	if got := shares(4); got != 0 {
		t.Errorf("%d of 4 requests went to the backend that is drained", got)
	}
	wantAll(t, n.do(0, "backend", "list"), "draining")
	n.do(0, "backend", "ready", "http://"+one)
	wantAll(t, n.do(0, "backend", "weight", one, "3"), "http://"+one+": weight 3")
	if got := n.do(0, "backend", "list"); !regexp.MustCompile(regexp.QuoteMeta(one) + ` +up +3 `).MatchString(got) {
		t.Errorf("got\n%s", got)
	}
	// Each loop balances by weights: of eight in a row on any number of loops, more are for it.
	if got := shares(32); got <= 16 {
		t.Errorf("%d of 32 requests went to the backend of weight 3 beside 1", got)
	}
	n.do(0, "reload")
	if got := n.do(0, "backend", "list"); !regexp.MustCompile(regexp.QuoteMeta(one) + ` +up +1 `).MatchString(got) {
		t.Errorf("after a reload: got\n%s", got)
	}
	wantAll(t, n.do(1, "backend", "drain", "192.0.2.1:1"), "no backend", "by its address")
	wantAll(t, n.do(2, "backend", "weight", one, "0"), "write 1 to 65536")
	wantAll(t, n.do(2, "backend", "weight", one), "say list")
	wantAll(t, n.do(2, "backend", "remove", one), "say list")
}

// Commands that change something or show sessions take the token by TCP; they read it from the
// configuration.
func TestControlByTCP(t *testing.T) {
	admin := nettest.FreeAddr(t)
	backend := serveText(t, "one")
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(token, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("0123456789abcdef-1")
	n := startNode(t, []string{backend}, "admin = "+admin, "admin-token-file = "+token)
	status := func(method, path, bearer string) int {
		request, err := http.NewRequest(method, "http://"+admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Close = true
		if bearer != "" {
			request.Header.Set("Authorization", "Bearer "+bearer)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, path := range []string{"/stats", "/metrics", "/healthz", "/readyz", "/pools", "/backends", "/peers", "/certificates"} {
		if got := status("GET", path, ""); got != http.StatusOK {
			t.Errorf("GET %s: got %d, want 200", path, got)
		}
	}
	guarded := []string{"GET /sessions", "POST /forget?all=true", "POST /backend?name=" + backend + "&state=drain", "POST /reload", "POST /upgrade", "POST /drain"}
	for _, line := range guarded {
		method, path, _ := strings.Cut(line, " ")
		for _, bearer := range []string{"", "0123456789abcdef-2"} {
			if got := status(method, path, bearer); got != http.StatusUnauthorized {
				t.Errorf("%s by %q: got %d, want 401", line, bearer, got)
			}
		}
	}
	if got := n.get(n.config()); got != "one" {
		t.Errorf("got %q: somebody was listened to", got)
	}
	wantAll(t, n.do(0, "backend", "drain", backend), "drain")
	wantAll(t, n.do(0, "backend", "ready", backend), "ready")

	wantAll(t, n.do(0, "sessions", "--json"), `"sessions": 2`)
	write("0123456789abcdef-2")
	wantAll(t, n.do(1, "reload"), "takes the token") // the node has the old one
	if got := status("POST", "/reload", "0123456789abcdef-1"); got != http.StatusOK {
		t.Errorf("reload by the old token: got %d", got)
	}
	if got := status("GET", "/sessions", "0123456789abcdef-1"); got != http.StatusUnauthorized {
		t.Errorf("the old token after a reload: got %d, want 401", got)
	}
	wantAll(t, n.do(0, "sessions", "--json"), `"sessions": 2`) // nothing was forgotten
}

// Without a token no client controls the node by TCP, so it has a unix socket too where it can make
// one.
func TestDefaultSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "reprise-run-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	admin := nettest.FreeAddr(t)
	pki, backend := testpki.New(t), serveText(t, "one")
	n := startNodeIn(t, pki, nettest.FreeAddr(t), []string{"RUNTIME_DIRECTORY=" + dir}, []string{backend}, "admin = "+admin)
	wantAll(t, n.do(1, "backend", "drain", backend, "--admin", admin), "by TCP this takes a token", "unix socket")
	socket := filepath.Join(dir, "admin.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v, want a socket of mode 0600", info, err)
	}
	wantAll(t, n.do(0, "backend", "drain", backend, "--admin", socket), "drain")

	// A second node on the machine has none.
	other := startNodeIn(t, pki, nettest.FreeAddr(t), []string{"RUNTIME_DIRECTORY=" + dir}, []string{backend})
	wantAll(t, other.Output(), "no admin socket")
	wantAll(t, n.do(0, "backend", "list", "--admin", socket), "draining")
}

// No path answers a request by a name that is not the server's.
func TestForeignHosts(t *testing.T) {
	admin := nettest.FreeAddr(t)
	n := startNode(t, []string{serveText(t, "one")}, "admin = "+admin, "admin = $DIR/admin.sock", "admin-host = Edge.example", "pprof = true")
	paths := []string{
		"GET /", "GET /stats", "GET /metrics", "GET /healthz", "GET /readyz", "GET /pools", "GET /backends", "GET /peers",
		"GET /certificates", "GET /sessions", "GET /debug/pprof/", "GET /nothing", "POST /forget?all=true", "POST /reload", "POST /drain",
	}
	clients := map[string]*http.Client{"http://" + admin: http.DefaultClient, "http://admin": byUnix(t, n.dir+"/admin.sock")}
	for base, client := range clients {
		ask := func(line, host string) int {
			method, path, _ := strings.Cut(line, " ")
			request, err := http.NewRequest(method, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			return response.StatusCode
		}
		for _, line := range paths {
			for _, host := range []string{"evil.test", "evil.test:9090", "localhost.evil.test"} {
				if got := ask(line, host); got != http.StatusMisdirectedRequest {
					t.Errorf("%s %s of %s: got %d, want 421", base, line, host, got)
				}
			}
		}
		for _, host := range []string{"127.0.0.1", "localhost:9090", "edge.example:9090"} {
			if got := ask("GET /stats", host); got != http.StatusOK {
				t.Errorf("%s of %s: got %d, want 200", base, host, got)
			}
		}
	}
}

package routing

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// namedApplication answers with the name that its process was given.
const namedApplication = `
import os

def application(env, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["BACKEND"].encode()]
`

// startSubscriber runs a uwsgi at addr that announces itself, every second, as the options say.
func startSubscriber(t *testing.T, name, addr string, options ...string) *nettest.Process {
	t.Helper()
	nettest.Need(t, "uwsgi")
	args := []string{
		"--plugin", "python3", "--master", "--need-app", "--no-orphans", "--subscribe-freq", "1", "--uwsgi-socket", addr,
		"--wsgi-file", harness.WriteFile(t, "app.py", namedApplication),
	}
	return nettest.Start(t, nettest.Command{
		Path: "uwsgi", Args: append(args, options...), Env: []string{"BACKEND=" +
			name}, StopSignal: syscall.SIGINT, Timeout: harness.Patience, Grace: harness.Patience,
	}, nettest.Accepts(addr))
}

// freeUDP returns an address for a subscription server.
func freeUDP(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

// pageFor asks for a host on a connection of its own.
func pageFor(t *testing.T, s *harness.Server, host string) string {
	t.Helper()
	client := harness.HTTPClient(t, nil, func(tr *http.Transport) { tr.DisableKeepAlives = true })
	req, err := http.NewRequest("GET", "http://"+s.Addr()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := make([]byte, 100)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != 200 {
		return fmt.Sprint(resp.StatusCode)
	}
	return string(body[:n])
}

// awaitPage waits until a host is answered so.
func awaitPage(t *testing.T, s *harness.Server, host, want string) {
	t.Helper()
	got := ""
	nettest.Eventually(t, harness.Patience,
		func() bool { got = pageFor(t, s, host); return got == want }, "%s answers %q", host, want)
}

// TestRealUWSGISubscribes: a uwsgi announces itself, is used beside another, unsubscribes or dies,
// and is no longer used; a rule of ours comes before it, and the default after it.
func TestRealUWSGISubscribes(t *testing.T) {
	server, other := freeUDP(t), serveText(t, "other")
	s := harness.Start(t, "--http=127.0.0.1:0", harness.HTTPTo(other), "--http-subscription-server="+server, "--subscription-tolerance=3s", "--http-gracetime=1h",
		"--http-pool=own to=http://"+other, "--http-use-pool=own host=own.example", "--http-stats="+nettest.FreeAddr(t))
	if got := pageFor(t, s, "a.example"); got != "other /" {
		t.Fatalf("before anybody has subscribed: got %q", got)
	}
	first, second := nettest.FreeAddr(t), nettest.FreeAddr(t)
	one := startSubscriber(t, "one", first, "--subscribe-to", server+":a.example", "--subscribe-to", server+":own.example")
	awaitPage(t, s, "a.example", "one")
	two := startSubscriber(t, "two", second, "--subscribe2", "server="+server+",key=A.Example,weight=3")
	awaitPage(t, s, "A.EXAMPLE.:8080", "two")
	if got := s.Members("a.example"); got[first] != "up" || got[second] != "up" || len(got) != 2 {
		t.Errorf("got members %v, want %s and %s", got, first, second)
	}
	counts := map[string]int{}
	for range 40 {
		counts[pageFor(t, s, "a.example")]++
	}
	if counts["one"] == 0 || counts["two"] <= counts["one"] || counts["one"]+counts["two"] != 40 {
		t.Errorf("got %v, want both, and the heavy one more often", counts)
	}
	if got := pageFor(t, s, "own.example"); got != "other /" {
		t.Errorf("a host of a rule: got %q, want the rule's pool", got)
	}

	t.Run("says goodbye", func(t *testing.T) {
		two.Stop()
		nettest.Eventually(t, harness.Patience, func() bool { return len(s.Members("a.example")) == 1 }, "it has left")
		for range 10 {
			if got := pageFor(t, s, "a.example"); got != "one" {
				t.Errorf("got %q, want one", got)
			}
		}
		if !strings.Contains(s.Stderr(), `"msg":"backend left"`) {
			t.Errorf("nothing is logged")
		}
	})
	t.Run("is killed", func(t *testing.T) {
		// With its workers, which a killed master leaves behind.
		one.Signal(syscall.SIGKILL)
		nettest.Eventually(t, harness.Patience, func() bool { return len(s.Members("a.example")) == 0 }, "it has expired")
		awaitPage(t, s, "a.example", "other /")
		if n := s.Document().Subscriptions.Expired; n != 2 { // it had two hosts
			t.Errorf("got %d expired, want 2", n)
		}
	})
	t.Run("comes back", func(t *testing.T) {
		startSubscriber(t, "three", nettest.FreeAddr(t), "--subscribe-to", server+":a.example")
		awaitPage(t, s, "a.example", "three")
	})
}

// TestSignedSubscriptions: with keys only signed subscriptions are accepted.
func TestSignedSubscriptions(t *testing.T) {
	nettest.Need(t, "openssl")
	dir := t.TempDir()
	script := `openssl genrsa -out good.pem 2048 && openssl genrsa -out bad.pem 2048 && openssl rsa -in good.pem -pubout -out a.example.pem`
	if made := nettest.Run(t, nettest.Command{
		Path: "sh", Args: []string{"-c", script},
		Dir: dir,
	}); made.ExitCode != 0 {
		t.Fatal(made.Stderr)
	}
	sign := func(key string) string { return "sign=SHA256:" + filepath.Join(dir, key) }
	server := freeUDP(t)
	s := harness.Start(t, "--http=127.0.0.1:0", "--http-subscription-server="+server, "--subscriptions-sign-check=sha256:"+dir)
	startSubscriber(t, "unsigned", nettest.FreeAddr(t), "--subscribe-to", server+":a.example")
	startSubscriber(t, "bad", nettest.FreeAddr(t), "--subscribe2", "server="+server+",key=a.example,"+sign("bad.pem"))
	startSubscriber(t, "other", nettest.FreeAddr(t), "--subscribe2", "server="+server+",key=b.example,"+sign("good.pem"))
	good := startSubscriber(t, "good", nettest.FreeAddr(t), "--subscribe2", "server="+server+",key=a.example,"+sign("good.pem"))
	awaitPage(t, s, "a.example", "good")
	s.Await("all have been heard", func(d harness.Document) bool { return d.Subscriptions.Results["signature"] >= 6 })
	if got := s.Members("a.example"); len(got) != 1 {
		t.Errorf("got members %v, want one", got)
	}
	for range 5 {
		if got := pageFor(t, s, "a.example"); got != "good" {
			t.Errorf("got %q, want good", got)
		}
	}
	if got := pageFor(t, s, "b.example"); got != "404" {
		t.Errorf("a domain without a key: got %q, want 404", got)
	}
	if got := strings.Count(s.Stderr(), "subscription refused"); got != 1 {
		t.Errorf("got %d lines about refusals, want 1 in a minute", got)
	}
	good.Stop()
	nettest.Eventually(t, harness.Patience, func() bool { return len(s.Members("a.example")) == 0 }, "its goodbye is heard")
	awaitPage(t, s, "a.example", "404")
}

// TestSubscriptionsInStats: http-stats shows subscribers as uWSGI's router does.
func TestSubscriptionsInStats(t *testing.T) {
	server, stats := freeUDP(t), nettest.FreeAddr(t)
	s := harness.Start(t, "--http=127.0.0.1:0", "--http-subscription-server="+server, "--http-stats="+stats)
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packet := func(leave byte, words ...string) []byte {
		p := []byte{224, 0, 0, leave}
		for _, w := range words {
			p = append(append(p, byte(len(w)), 0), w...)
		}
		p[1] = byte(len(p) - 4)
		return p
	}
	conn.Write(packet(0, "key", "a.example", "address", "127.0.0.1:1"))
	conn.Write(packet(0, "key", "a.example", "address", "127.0.0.1:2", "proto", "http"))
	nettest.Eventually(t, harness.Patience, func() bool { return len(s.Members("a.example")) == 2 }, "both are there")
	c, err := nettest.Dial(stats)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var d struct {
		Subscriptions []struct {
			Key   string
			Nodes []harness.BackendRow
		}
	}
	if err := json.NewDecoder(c).Decode(&d); err != nil {
		t.Fatal(err)
	}
	if len(d.Subscriptions) != 1 || d.Subscriptions[0].Key != "a.example" || len(d.Subscriptions[0].Nodes) != 2 {
		t.Errorf("got %+v", d.Subscriptions)
	}
	// One node is taken out of use by hand, as any other.
	if got := nettest.Run(t, nettest.Command{
		Path: harness.Program(t),
		Args: []string{"backend", "drain", "--admin", s.Admin, "127.0.0.1:2"},
	}); got.ExitCode != 0 {
		t.Errorf("drain: %s", got.Stderr)
	}
	if got := s.Members("a.example")["127.0.0.1:2"]; got != "draining" {
		t.Errorf("got %s, want draining", got)
	}
	conn.Write(packet(1, "key", "a.example", "address", "127.0.0.1:1"))
	conn.Write(packet(1, "key", "a.example", "address", "127.0.0.1:2"))
	nettest.Eventually(t, harness.Patience, func() bool { return len(s.Members("a.example")) == 0 }, "both have left")
}

package operations

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestDrainBehindBalancer: a draining node refuses no client of a balancer that polls its
// readiness.
func TestDrainBehindBalancer(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("page")) })
	var servers []*harness.Server
	pki := testpki.New(t)
	going := startUpgradable(t, harness.HTTPTo(backend), harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")),
		"--shutdown-delay", "1s")
	staying := harness.Start(t, harness.HTTPTo(backend), harness.HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")))
	servers = append(servers, going, staying)
	b := harness.BalanceByReadiness(t, 100*time.Millisecond, servers...)
	clients := harness.StartTraffic(t, b.Addr().String(), harness.ClientConfig(pki))
	clients.Await(100)
	r := nettest.Run(t, nettest.Command{
		Path: harness.Program(t), Args: []string{"drain", "--admin", going.Admin},
		Timeout: harness.Patience,
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "accepting for 1s") || !strings.HasSuffix(r.Stdout, "ended\n") {
		t.Errorf("drain: exit code %d, %q", r.ExitCode, r.Stdout)
	}
	if code := going.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	accepted := func() uint64 { return staying.Document().Engine.Flows.Accepted }
	before := accepted()
	nettest.Eventually(t, harness.Patience, func() bool { return accepted() >= before+100 },
		"the other node gets 100 clients")
	clients.Await(100)
	clients.End()
}

// TestReady: a node is ready when some pool can serve, or with pools=all when all can.
func TestReady(t *testing.T) {
	alive := harness.ServeHTTP(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("page")) })
	s, client := harness.StartHTTP(t, harness.HTTPTo(alive), "--http-pool", "other to=http://127.0.0.2:1", "--http-use-pool", "other path=/other")
	want := func(path string, status int, text string) {
		t.Helper()
		nettest.Eventually(t, harness.Patience, func() bool {
			got, body := s.Get(path)
			return got == status && strings.Contains(body, text)
		}, "%s says %d %s", path, status, text)
	}
	want("/readyz?pools=all", http.StatusOK, "ok")
	if resp, _, err := harness.Fetch(client, "GET", "http://"+s.Addr()+"/other", nil); err != nil || resp.StatusCode < 500 {
		t.Fatalf("got %v, %v, want an error of the gateway", resp, err)
	}
	want("/readyz", http.StatusOK, "ok")
	want("/readyz?pools=all", http.StatusServiceUnavailable, "no live backend: http other")
	for _, name := range []string{"http://" + alive} {
		postAdmin(t, s, "/backend?state=drain&name="+name)
	}
	want("/readyz", http.StatusServiceUnavailable, "no live backend: http default, http other")
	if status, _ := s.Get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz: got %d, want 200", status)
	}
}

// postAdmin posts to the admin server, which must answer with success.
func postAdmin(t *testing.T, s *harness.Server, path string) {
	t.Helper()
	resp, err := s.Post(path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
}

// TestReadyWhenJoined: a node of a fleet is ready when it has its peers' sessions, or has
// waited long enough for peers.
func TestReadyWhenJoined(t *testing.T) {
	f := harness.NewFleet(t, 2, "push")
	begun := time.Now()
	f.Run(0)
	status, body := f.Nodes[0].Get("/readyz")
	if status == http.StatusOK && time.Since(begun) < (5*time.Second) || status != http.StatusOK &&
		body != "joining\n" {
		t.Errorf("alone: got %d %q, want 503 joining", status, body)
	}
	f.Run(1)
	nettest.Eventually(t, harness.Patience, func() bool {
		for _, s := range f.Running() {
			if status, _ := s.Get("/readyz"); status != http.StatusOK {
				return false
			}
		}
		return true
	}, "both are ready")
}

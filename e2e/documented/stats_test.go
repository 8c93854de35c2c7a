package documented

import (
	"os"
	"slices"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestRouterStats: each router's statistics are those of uWSGI's http-stats, rawrouter-stats and
// sslrouter-stats.
func TestRouterStats(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	dead := nettest.FreeAddr(t)
	page, line := nettest.Serve(t, harness.AnswerLine).Addr, nettest.Serve(t, nettest.Echo).Addr
	at := map[string]string{"http": nettest.FreeAddr(t), "sslrouter": nettest.FreeAddr(t), "rawrouter": nettest.FreeAddr(t)}
	s := harness.Start(t, "--http-processes=2", harness.HTTPS(cert), "--http-to=http://"+page, harness.Listen(cert), harness.To(line),
		harness.To(dead),
		"--rawrouter=127.0.0.1:0", "--rawrouter-to="+line,
		"--http-stats="+at["http"], "--sslrouter-stats="+at["sslrouter"], "--rawrouter-stats="+at["rawrouter"])
	addrs := map[string]string{}
	for i, router := range []string{"http", "sslrouter", "rawrouter"} { // in the order of the options
		addrs[router] = s.Addresses[i]
	}

	const visits = 6
	client := harness.HTTPClient(t, harness.ClientConfig(pki), nil)
	for range visits {
		harness.WantPage(t, client, "https://"+addrs["http"]+"/", "page\n")
		harness.Visit(t, addrs["sslrouter"], harness.ClientConfig(pki))
		if err := harness.Ping(harness.DialRaw(t, addrs["rawrouter"])); err != nil {
			t.Fatal(err)
		}
	}
	client.CloseIdleConnections()
	// Only those of the raw router are still open.
	s.Await("the others have ended", func(d harness.Document) bool { return d.Engine.Flows.Open == visits })

	for router, want := range map[string]struct {
		active int64
		nodes  []string // that have served; others are dead
	}{
		"http": {0, []string{"http://" + page}}, "sslrouter": {0, []string{line}}, "rawrouter": {visits, []string{line}},
	} {
		d := routerDocument(t, at[router])
		if d.PID != s.Pid() || d.UID != os.Getuid() || d.GID != os.Getgid() || d.CWD == "" ||
			d.Version == "" || d.Cheap != 0 {
			t.Errorf("%s: got %+v of pid %d", router, d, s.Pid())
		}
		if d.ActiveSessions != want.active {
			t.Errorf("%s: got %d active sessions, want %d", router, d.ActiveSessions, want.active)
		}
		if got := d.listen(router); !slices.Equal(got, []string{addrs[router]}) {
			t.Errorf("%s: listens on %q, want %s", router, got, addrs[router])
		}
		for _, n := range d.StaticNodes {
			if served := slices.Contains(want.nodes, n.Name); served != (n.Hits == visits) ||
				served != (n.Grace == 0) || !served && n.Hits != 0 {
				t.Errorf("%s: got %+v, want %d hits and no grace if it is in %q, else the reverse", router, n, visits, want.nodes)
			}
		}
	}
}

// A routerStats is uWSGI's document of a router.
type routerStats struct {
	Version         string
	PID, UID, GID   int
	CWD             string
	ActiveSessions  int64 `json:"active_sessions"`
	HTTP, SSLRouter []string
	RawRouter       []string
	StaticNodes     []struct {
		Name  string
		Hits  uint64
		Grace int64
	} `json:"static_nodes"`
	Cheap int
}

func (d *routerStats) listen(router string) []string {
	return map[string][]string{"http": d.HTTP, "sslrouter": d.SSLRouter, "rawrouter": d.RawRouter}[router]
}

func routerDocument(t *testing.T, addr string) (d routerStats) {
	t.Helper()
	(&harness.Server{T: t, Stats: addr}).Decode(&d)
	return d
}

package control

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

var update = flag.Bool("update", false, "write the pictures in docs/pictures")

// A fleet is nodes that share sessions, each with an admin server by TCP too.
type fleet struct {
	nodes []*node
	admin []string
}

// startFleet runs nodes in front of the same backends, and waits until all have met.
func startFleet(t *testing.T, names []string, backends []string) *fleet {
	t.Helper()
	pki, f := testpki.New(t), &fleet{}
	secret := filepath.Join(pki.Dir, "fleet.secret")
	if err := os.WriteFile(secret, []byte("a secret of a fleet of tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := nettest.FreePort(t)
	udp := func(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, port) }
	for i, name := range names {
		admin := nettest.FreeAddr(t)
		lines := []string{"name = " + name, "admin = $DIR/admin.sock", "admin = " + admin, "cluster-secret-file = " + secret, "cache-udp-server = " + udp(i)}
		for j := range names {
			if j != i {
				lines = append(lines, "cache-udp-node = "+udp(j))
			}
		}
		f.nodes = append(f.nodes, startNodeIn(t, pki, nettest.FreeAddr(t), nil, backends, lines...))
		f.admin = append(f.admin, admin)
	}
	for _, n := range f.nodes {
		nettest.Eventually(t, harness.Patience,
			func() bool { return strings.Count(n.do(0, "peers"), " alive ") == len(names)-1 },
			"%s does not hear its peers", n.dir)
	}
	return f
}

// browse loads a page of an admin server, lets it run for a while of virtual time, and returns the
// resulting document.
func browse(t *testing.T, url string, flags ...string) string {
	t.Helper()
	nettest.Need(t, "chromium")
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
		"--user-data-dir=" + t.TempDir(), "--virtual-time-budget=7000",
	}, flags...)
	r := nettest.Run(t, nettest.Command{Path: "chromium", Args: append(args, url), Timeout: harness.Patience})
	if r.ExitCode != 0 {
		t.Fatalf("chromium: exit status %d: %s", r.ExitCode, r.Stderr)
	}
	if strings.Contains(r.Stderr, "Content Security Policy") {
		t.Errorf("the page does what its policy forbids: %s", r.Stderr)
	}
	return r.Stdout
}

// The page shows one node, or all of the fleet at any of them, and shows names as text.
func TestPageInABrowser(t *testing.T) {
	const hostile = `edge-3<img src=x onerror=document.title='ran'>`
	f := startFleet(t, []string{"edge-1", "edge-2", hostile}, []string{serveText(t, "one"), serveText(t, "two")})
	f.visit()
	node := browse(t, "http://"+f.admin[0]+"/", "--dump-dom")
	wantAll(t, node, "edge-1", ">ready<", "Handshakes per second", "resumed, pushed by a peer", ">alive<", "Backends", "Loops", `data-shown="node"`)
	whole := browse(t, "http://"+f.admin[1]+"/#fleet", "--dump-dom")
	wantAll(t, whole, "edge-1", "edge-2", "edge-3&lt;img src=x", "3 of 3", "all are well", `data-shown="fleet"`)
	for _, dom := range []string{node, whole} {
		if strings.Contains(dom, "<img") || strings.Contains(dom, "<title>ran") {
			t.Error("a name was taken for more than text")
		}
	}
	f.nodes[2].Kill()
	nettest.Eventually(t, harness.Patience, func() bool {
		return strings.Contains(browse(t, "http://"+f.admin[0]+"/#fleet", "--dump-dom"), "2 of 3")
	},
		"the page does not tell of a node that is gone")
}

// visit has clients resume at other nodes than before.
func (f *fleet) visit() {
	for range 4 {
		c := f.nodes[0].config()
		for i := range 3 * len(f.nodes) {
			f.nodes[i%len(f.nodes)].get(c)
		}
	}
}

// Any node gets the status of each other by asking.
func TestFleetStatus(t *testing.T) {
	f := startFleet(t, []string{"a", "b", "c"}, []string{serveText(t, "one")})
	f.visit()
	for i, admin := range f.admin {
		var list []struct {
			Name, State, Address string
			Handshakes, Requests int
			Age                  float64 `json:"age_seconds"`
			PeersAlive           int     `json:"peers_alive"`
		}
		response, err := http.Get("http://" + admin + "/fleet")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&list)
		response.Body.Close()
		if err != nil || len(list) != 3 {
			t.Fatalf("node %d: %d nodes, %v", i, len(list), err)
		}
		names := ""
		for _, n := range list {
			names += n.Name
			if n.State != "ready" || n.Handshakes != 12 || n.Requests != 12 || n.PeersAlive != 2 || n.Age > 5 {
				t.Errorf("node %d: got %+v", i, n)
			}
		}
		if want := []string{"abc", "bac", "cab"}[i]; names != want {
			t.Errorf("node %d: nodes %s, want %s", i, names, want)
		}
	}
}

// The page may do nothing but show: neither load, nor be framed.
func TestPagePolicy(t *testing.T) {
	admin := nettest.FreeAddr(t)
	startNode(t, []string{serveText(t, "one")}, "admin = "+admin)
	response, err := http.Get("http://" + admin + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	policy := response.Header.Get("Content-Security-Policy")
	wantAll(t, policy, "default-src 'none'", "frame-ancestors 'none'", "script-src 'sha256-", "style-src 'sha256-")
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || response.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("policy %q, headers %v", policy, response.Header)
	}
}

// TestPictures writes the pictures of the documents on demand.
func TestPictures(t *testing.T) {
	if !*update {
		return
	}
	f := startFleet(t, []string{"edge-1", "edge-2", "edge-3"}, []string{serveText(t, "one"), serveText(t, "two")})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.Int64N(int64(40 * time.Millisecond)))):
				f.visit()
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	dir, err := filepath.Abs("../../docs/pictures")
	if err != nil {
		t.Fatal(err)
	}
	size := map[string]string{"node": "--window-size=1240,900", "fleet": "--window-size=1240,620"}
	for name, path := range map[string]string{"node": "/", "fleet": "/#fleet"} {
		browse(t, "http://"+f.admin[0]+path, size[name], "--virtual-time-budget=120000", "--screenshot="+filepath.Join(dir, name+".png"))
		browse(t, "http://"+f.admin[0]+path, size[name], "--virtual-time-budget=120000", "--blink-settings=preferredColorScheme=0",
			"--screenshot="+filepath.Join(dir, name+"-dark.png"))
	}
}

package documented

import (
	"crypto/tls"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDocumentedSetup1 is one node: sessions resume at each of its loops, the
// statistics move as uWSGI's document says, and every other outcome has a name.
func TestDocumentedSetup1(t *testing.T) {
	r := newReader(t)
	r.startBackends()
	node := r.start("setup1/node.ini", "127.0.0.1:5001")
	const addr = "127.0.0.1:8443"
	r.wantResumedEverywhere([]string{addr}, node)
	r.wantAllBackends(addr)
	if d := node.Document(); len(d.Engine.Loops) != 8 {
		t.Errorf("got %d loops, want 8", len(d.Engine.Loops))
	}
	cache := node.WantUWSGI()
	if cache.Name != "default" || cache.MaxItems != 20000 || cache.BlockSize != 4096 {
		t.Errorf("got cache %+v, want default, 20000 items, blocks of 4096", cache)
	}
	for _, name := range []string{"/a", "/b"} {
		if page := r.curl("https://" + addr + name); !strings.HasPrefix(page, name+" by 127.0.0.1") {
			t.Errorf("curl got %q", page)
		}
	}

	t.Run("as docs/TOUR.md asks", func(t *testing.T) {
		readme, err := os.ReadFile("../../docs/TOUR.md")
		if err != nil {
			t.Fatal(err)
		}
		ask := regexp.MustCompile(`(?m)^ask\(\) .*$`).Find(readme)
		const then = "; ask " + addr + " -sess_out; ask " + addr + " -sess_in; ask " + addr + " -sess_in"
		got := nettest.Run(t, nettest.Command{
			Path: "sh", Args: []string{"-c", string(ask) + then},
			Dir: t.TempDir(), Timeout: harness.Patience,
		})
		kinds := regexp.MustCompile(`(?m)^(New|Reused), TLSv1\.3`).FindAllString(got.Stdout, -1)
		if want := []string{"New, TLSv1.3", "Reused, TLSv1.3", "Reused, TLSv1.3"}; !slices.Equal(kinds, want) {
			t.Errorf("%s%s\nprinted %q", ask, then, got.Stdout)
		}
	})

	t.Run("another name", func(t *testing.T) {
		r.openssl(addr, tls.VersionTLS13, "-sess_out")
		before := node.Document()
		if kind := r.openssl(addr, tls.VersionTLS13, "-sess_in", "-servername", "other.example"); kind != "New" {
			t.Errorf("got %s with a session for another name, want New", kind)
		}
		node.WantOutcomes(before, map[string]uint64{"scope_name": 1})
	})

	t.Run("not found", func(t *testing.T) {
		r.openssl(addr, tls.VersionTLS12, "-sess_out")
		node.Stop()
		node = r.start("setup1/node.ini", "127.0.0.1:5001")
		if kind := r.openssl(addr, tls.VersionTLS12, "-sess_in"); kind != "New" {
			t.Errorf("got %s with a session that nobody has, want New", kind)
		}
		node.WantOutcomes(harness.Document{}, map[string]uint64{"unknown": 1})
		if c := node.WantUWSGI(); c.Hits != 0 || c.Miss != 1 || c.Items == 0 {
			t.Errorf("got %d hits, %d misses, %d items, want 0, 1, some", c.Hits, c.Miss, c.Items)
		}
	})
}

// TestDocumentedSetup2 is a raw router in front of three nodes, as one process each
// and with the last two in one, as the document prints them.
func TestDocumentedSetup2(t *testing.T) {
	for _, test := range []struct {
		name  string
		nodes [][2]string // the example, and where its statistics are
	}{
		{"three processes", [][2]string{{"node1", "127.0.0.1:5001"}, {"node2", "127.0.0.2:5001"}, {"node3", "127.0.0.3:5001"}}},
		{"two sections", [][2]string{{"node1", "127.0.0.1:5001"}, {"node2-and-node3", "127.0.0.2:5001"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			const addr = "127.0.0.99:443"
			r := newReader(t)
			r.needLowPort(addr)
			r.startBackends()
			r.start("setup2/rawrouter.ini", "")
			var nodes []*harness.Server
			for _, n := range test.nodes {
				nodes = append(nodes, r.start("setup2/"+n[0]+".ini", n[1]))
			}
			awaitPeers(t, nodes)
			r.wantResumedEverywhere([]string{addr}, nodes...)
			r.wantAllBackends(addr)
			r.wantCurlResumes(addr, nodes...)
		})
	}
}

// TestDocumentedMulticast is nodes that find each other by a group.
func TestDocumentedMulticast(t *testing.T) {
	r := newReader(t)
	r.startBackends()
	r.wantFleet("multicast/node1.ini", "multicast/node2.ini")
}

// TestDocumentedRepeater is nodes that find each other by a repeater, the zero
// configuration that the document announces.
func TestDocumentedRepeater(t *testing.T) {
	r := newReader(t)
	r.startBackends()
	repeater := r.start("repeater/repeater.ini", "")
	r.wantFleet("repeater/node1.ini", "repeater/node2.ini")
	if strings.Contains(repeater.Output(), "warning") {
		t.Errorf("the repeater, set up as README.md says, warns:\n%s", repeater.Output())
	}
}

// wantFleet runs two nodes at 127.0.0.1 and 127.0.0.2 that must find each other.
func (r *reader) wantFleet(files ...string) {
	r.t.Helper()
	nodes := []*harness.Server{r.start(files[0], "127.0.0.1:5001"), r.start(files[1], "127.0.0.2:5001")}
	awaitPeers(r.t, nodes)
	r.wantResumedEverywhere([]string{"127.0.0.1:8443", "127.0.0.2:8443"}, nodes...)
	r.wantAllBackends("127.0.0.2:8443")
}

// wantAllBackends makes requests until each backend has answered one: every loop distributes them
// by itself and begins with the first.
func (r *reader) wantAllBackends(addr string) {
	r.t.Helper()
	missing := []string{"/page by 127.0.0.10\n", "/page by 127.0.0.11\n", "/page by 127.0.0.12\n"}
	nettest.Eventually(r.t, harness.Patience, func() bool {
		page := r.curl("https://" + addr + "/page")
		missing = slices.DeleteFunc(missing, func(other string) bool { return other == page })
		return len(missing) == 0
	}, "all backends answer")
}

// awaitPeers waits until each node has met all the others.
func awaitPeers(t *testing.T, nodes []*harness.Server) {
	t.Helper()
	for _, s := range nodes {
		nettest.Eventually(t, harness.Patience, func() bool {
			met, r := 0, s.Shared().Replication
			for _, p := range r.Peers {
				if p.Introduced == 1 && p.Alive == 1 {
					met++
				}
			}
			return met == len(nodes)-1 && r.Join == "done"
		}, "the node with statistics at %s knows %d others", s.Stats, len(nodes)-1)
	}
}

// wantResumedEverywhere makes a session and comes back with it to the addresses in
// turn; all nodes must resume it.
func (r *reader) wantResumedEverywhere(addrs []string, nodes ...*harness.Server) {
	r.t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		const visits = 12
		before := documents(nodes)
		kind := r.openssl(addrs[0], version, "-sess_out")
		if kind != "New" {
			r.t.Errorf("%s: got %s without a session, want New", tls.VersionName(version), kind)
		}
		for i, s := range nodes {
			s.Await("the session is everywhere", func(d harness.Document) bool { return d.Caches[0].Items > before[i].Caches[0].Items })
		}
		for i := range visits {
			kind := r.openssl(addrs[i%len(addrs)], version, "-sess_in")
			if kind != "Reused" {
				r.t.Errorf("%s: visit %d: got %s, want Reused", tls.VersionName(version), i, kind)
			}
		}
		var resumed uint64
		for i, d := range documents(nodes) {
			was, is := before[i].Caches[0], nodes[i].WantUWSGI()
			n := d.Resumed() - before[i].Resumed()
			if resumed += n; n == 0 || is.Hits-was.Hits != n || is.Miss != was.Miss {
				r.t.Errorf("node %d: %d handshakes resumed, %d more hits, %d more misses", i, n, is.Hits-was.Hits, is.Miss-was.Miss)
			}
			if is.Hits <= is.Miss {
				r.t.Errorf("node %d: %d hits, %d misses", i, is.Hits, is.Miss)
			}
		}
		if resumed != visits {
			r.t.Errorf("%s: %d handshakes have resumed, want %d", tls.VersionName(version), resumed, visits)
		}
	}
}

// wantCurlResumes lets curl connect several times: it resumes elsewhere a session that it got from
// one node a moment ago.
func (r *reader) wantCurlResumes(addr string, nodes ...*harness.Server) {
	r.t.Helper()
	const visits = 6
	before := documents(nodes)
	url := "https://" + addr + "/curl"
	pages := r.curl(slices.Repeat([]string{url}, visits)...)
	if n := strings.Count(pages, "/curl by 127.0.0.1"); n != visits {
		r.t.Errorf("curl got %d pages, want %d:\n%s", n, visits, pages)
	}
	var resumed uint64
	for i, d := range documents(nodes) {
		resumed += d.Resumed() - before[i].Resumed()
	}
	// A session may be on its way to the node that is asked for it, and a busy
	// machine may take more than the 10 ms that a handshake waits.
	if resumed < visits/2 {
		r.t.Errorf("curl resumed %d of %d times", resumed, visits-1)
	}
}

func documents(nodes []*harness.Server) (all []harness.Document) {
	for _, s := range nodes {
		all = append(all, s.Document())
	}
	return all
}

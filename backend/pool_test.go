package backend_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reprise/backend"
)

var start = time.Unix(1000, 0)

// specs returns nodes named 0, 1, ... of these weights.
func specs(weights ...int) (list []backend.Spec) {
	for i, w := range weights {
		list = append(list, backend.Spec{
			Name: fmt.Sprint(i), Network: "tcp", Address: fmt.Sprintf("127.0.0.1:%d", 9000+i), Weight: w,
		})
	}
	return list
}

// limited gives each of the nodes its own limit.
func limited(list []backend.Spec, maxConns ...int) []backend.Spec {
	for i, n := range maxConns {
		list[i].MaxConns = n
	}
	return list
}

// backups makes the nodes from the first one on backups.
func backups(first int, list []backend.Spec) []backend.Spec {
	for i := range list[first:] {
		list[first+i].Backup = true
	}
	return list
}

func newPool(t testing.TB, list []backend.Spec, o backend.Options) *backend.Pool {
	t.Helper()
	p, err := backend.NewPool(list, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pick returns the name of the node picked, or the verdict. The slot stays taken.
func pick(p *backend.Pool, c *backend.Cursor, avoid *backend.Node, now time.Time) string {
	n, verdict := p.Pick(c, netip.Addr{}, avoid, now)
	switch verdict {
	case backend.Picked:
		return n.Name()
	case backend.Full:
		return "full"
	default:
		return "down"
	}
}

// picks returns n picks in a row, a microsecond apart.
func picks(p *backend.Pool, now time.Time, n int) string {
	var c backend.Cursor
	var got []string
	for i := range n {
		got = append(got, pick(p, &c, nil, now.Add(time.Duration(i)*time.Microsecond)))
	}
	return strings.Join(got, " ")
}

// TestPick says which backends are picked, one after the other. It is long because it is a
// table.
func TestPick(t *testing.T) {
	const grace = 30 * time.Second
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	fail := func(p *backend.Pool, at ...int) {
		for i, s := range at {
			p.Nodes()[i].Failed(seconds(s))
		}
	}
	drain := func(p *backend.Pool, nodes ...int) {
		for _, i := range nodes {
			p.Nodes()[i].SetDraining(true)
		}
	}
	tests := []struct {
		name  string
		specs []backend.Spec
		given func(p *backend.Pool)
		now   time.Time
		want  string
	}{
		{"round robin", specs(1, 1, 1), func(*backend.Pool) {}, start, "0 1 2 0 1 2"},
		{
			"failed is left alone", specs(1, 1, 1),
			func(p *backend.Pool) { p.Nodes()[1].Failed(start) }, seconds(29), "0 2 0 2 0 2",
		},
		{
			"one connection tries it after the grace", specs(1, 1, 1),
			func(p *backend.Pool) { p.Nodes()[1].Failed(start) }, seconds(30), "0 1 2 2 0 2",
		},
		{
			"connected heals", specs(1, 1),
			func(p *backend.Pool) { fail(p, 0); p.Nodes()[0].Connected() }, seconds(1), "0 1 0 1",
		},
		{"all failed: probed in turn, the longest failed first", specs(1, 1, 1), func(p *backend.Pool) {
			fail(p, 2, 1, 3)
		}, seconds(4), "1 0 2 1 0 2"},
		{"all failed, the longest failed drains", specs(1, 1, 1), func(p *backend.Pool) {
			fail(p, 2, 1, 3)
			drain(p, 1)
		}, seconds(4), "0 2 0 2"},
		{"draining gets nothing", specs(1, 1), func(p *backend.Pool) { drain(p, 0) }, start, "1 1 1"},
		{"all drain", specs(1, 1), func(p *backend.Pool) { drain(p, 0, 1) }, start, "down"},
		{
			"drained no more", specs(1, 1),
			func(p *backend.Pool) { drain(p, 0); p.Nodes()[0].SetDraining(false) }, start, "0 1 0 1",
		},
		{"backups rest", backups(1, specs(1, 1)), func(*backend.Pool) {}, start, "0 0 0"},
		{"backups for the failed", backups(2, specs(1, 1, 1, 1)), func(p *backend.Pool) { fail(p, 1, 1) }, seconds(2), "2 3 2 3"},
		{"backups for the draining", backups(1, specs(1, 1)), func(p *backend.Pool) { drain(p, 0) }, start, "1 1"},
		{"not for the full", backups(1, limited(specs(1, 1), 2)), func(*backend.Pool) {}, start, "0 0 full full"},
		{"backups fail as well", backups(1, specs(1, 1)), func(p *backend.Pool) { fail(p, 2, 1) }, seconds(3), "1 0 1 0"},
		{"full", limited(specs(1, 1), 1, 2), func(*backend.Pool) {}, start, "0 1 1 full"},
		{"full among failed", limited(specs(1, 1), 1, 1), func(p *backend.Pool) { fail(p, 0) }, seconds(1), "1 full full"},
		{"full of probes", limited(specs(1), 2), func(p *backend.Pool) { fail(p, 0) }, seconds(1), "0 0 full"},
		{"full and draining", limited(specs(1), 1), func(p *backend.Pool) {
			p.Pick(new(backend.Cursor), netip.Addr{}, nil, start)
			drain(p, 0)
		}, start, "down"},
		{"unresolved", []backend.Spec{
			{Network: "tcp", Address: "a.example:1"},
			{Network: "tcp", Address: "127.0.0.1:2"},
		}, func(*backend.Pool) {}, start, "127.0.0.1:2 127.0.0.1:2"},
		{"nothing resolved", []backend.Spec{{Network: "tcp", Address: "a.example:1"}}, func(*backend.Pool) {}, start, "down"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, test.specs, backend.Options{Grace: grace})
			test.given(p)
			if got := picks(p, test.now, len(strings.Fields(test.want))); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestPickAvoids(t *testing.T) {
	tests := []struct {
		name  string
		specs []backend.Spec
		given func(nodes []*backend.Node)
		want  string // node 0 is avoided
	}{
		{"another", specs(9, 1), func([]*backend.Node) {}, "1 1 1"},
		{"alone", specs(1), func([]*backend.Node) {}, "0 0"},
		{"alone and failed", specs(1), func(n []*backend.Node) { n[0].Failed(start) }, "0 0"},
		{"alone and draining", specs(1), func(n []*backend.Node) { n[0].SetDraining(true) }, "down"},
		{"a backup rather than it", backups(1, specs(1, 1)), func([]*backend.Node) {}, "1 1"},
		{"a failed one is no better", specs(1, 1), func(n []*backend.Node) { n[1].Failed(start) }, "0 0"},
		{"both failed: the other is probed", specs(1, 1), func(n []*backend.Node) {
			n[0].Failed(start)
			n[1].Failed(start.Add(1))
		}, "1 1"},
		{"it rather than wait", limited(specs(1, 1), 2, 1), func([]*backend.Node) {}, "1 0 0 full"},
	}
	for _, test := range tests {
		for _, balance := range []backend.Balance{
			backend.RoundRobin, backend.LeastConns, backend.Source,
			backend.TwoChoices,
		} {
			t.Run(fmt.Sprint(test.name, "/", balance), func(t *testing.T) {
				p := newPool(t, test.specs, backend.Options{Grace: time.Minute, Balance: balance})
				test.given(p.Nodes())
				var c backend.Cursor
				for i, want := range strings.Fields(test.want) {
					if got := pick(p, &c, p.Nodes()[0], start.Add(time.Second)); got != want {
						t.Fatalf("pick %d: got %v, want %v", i, got, want)
					}
				}
			})
		}
	}
}

func TestReleaseGivesRoom(t *testing.T) {
	p := newPool(t, limited(specs(1), 1), backend.Options{})
	var c backend.Cursor
	for range 3 {
		if got := pick(p, &c, nil, start) + " " + pick(p, &c, nil, start); got != "0 full" {
			t.Fatalf("got %v, want 0 full", got)
		}
		p.Nodes()[0].Release()
	}
}

// While a node comes back, its growing weight determines the shares.
func TestSlowStart(t *testing.T) {
	const slowStart = 10 * time.Second
	comeBacks := []struct {
		name string
		do   func(n *backend.Node)
	}{
		{"passive", func(n *backend.Node) { n.Failed(time.Now()); n.Connected() }},
		{"undrained", func(n *backend.Node) { n.SetDraining(true); n.SetDraining(false) }},
	}
	shares := []struct {
		after    time.Duration
		picks, n int // of so many picks the node gets n
	}{{-slowStart, 11, 1}, {0, 11, 1}, {slowStart / 2, 31, 11}, {slowStart, 20, 10}, {
		time.Hour, 20,
		10,
	}}
	for _, back := range comeBacks {
		for _, share := range shares {
			t.Run(fmt.Sprint(back.name, "/", share.after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // time stands still
					p := newPool(t, specs(1, 1), backend.Options{SlowStart: slowStart, Grace: time.Minute})
					if got := strings.Count(picks(p, time.Now(), 20), "0"); got != 10 {
						t.Errorf("in the beginning: got %d of 20, want 10", got)
					}
					back.do(p.Nodes()[0])
					got := strings.Count(picks(p, time.Now().Add(share.after), share.picks), "0")
					if got != share.n {
						t.Errorf("got %d of %d, want %d", got, share.picks, share.n)
					}
				})
			})
		}
	}
}

// A loop may keep using its cursor when its pool is replaced.
func TestCursorMeetsAnotherPool(t *testing.T) {
	var c backend.Cursor
	for _, weights := range [][]int{{1}, {1, 1, 1}, {1, 1}} {
		p := newPool(t, specs(weights...), backend.Options{})
		for i := range weights {
			if got := pick(p, &c, nil, start); got != fmt.Sprint(i) {
				t.Errorf("of %d nodes: got %v, want %v", len(weights), got, i)
			}
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"tcp", "192.0.2.1:80", "192.0.2.1:80 true"},
		{"tcp", ":80", "127.0.0.1:80 true"},
		{"tcp", "[2001:db8::1]:80", "[2001:db8::1]:80 true"},
		{"tcp", "[::ffff:192.0.2.1]:80", "192.0.2.1:80 true"},
		{"tcp", "a.example:80", "invalid AddrPort false"},
		{"unix", "/run/a.sock", "invalid AddrPort false"},
	} {
		p := newPool(t, []backend.Spec{{Network: test.network, Address: test.address}}, backend.Options{})
		endpoint, ok := p.Nodes()[0].Endpoint(new(backend.Cursor))
		if got := fmt.Sprint(endpoint, ok); got != test.want {
			t.Errorf("%s: got %v, want %v", test.address, got, test.want)
		}
	}
}

func TestWrongSpecs(t *testing.T) {
	for _, test := range []struct {
		name string
		spec backend.Spec
		want string
	}{
		{"network", backend.Spec{Network: "udp", Address: "127.0.0.1:1"}, "write tcp and HOST:PORT, or unix and a path"},
		{"no path", backend.Spec{Name: "a", Network: "unix"}, "write tcp and HOST:PORT, or unix and a path"},
		{"no port", backend.Spec{Network: "tcp", Address: "127.0.0.1"}, "write HOST:PORT"},
		{"port 0", backend.Spec{Network: "tcp", Address: "127.0.0.1:0"}, "write 1 to 65535"},
		{"large port", backend.Spec{Network: "tcp", Address: "127.0.0.1:65536"}, "write 1 to 65535"},
		{"weight", backend.Spec{Network: "tcp", Address: "127.0.0.1:1", Weight: -1}, "write 1 to 65536"},
		{"large weight", backend.Spec{Network: "tcp", Address: "127.0.0.1:1", Weight: 65537}, "write 1 to 65536"},
		{"connections", backend.Spec{Network: "tcp", Address: "127.0.0.1:1", MaxConns: -1}, "write 0 (no limit) or more"},
	} {
		if _, err := backend.NewPool([]backend.Spec{test.spec}, backend.Options{}); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := backend.NewPool(nil, backend.Options{}); err == nil {
		t.Error("a pool without nodes was accepted")
	}
}

func TestStats(t *testing.T) {
	list := backups(4, specs(1, 1, 1, 1, 1))
	list[3].Address = "a.example:1"
	p := newPool(t, limited(list, 7), backend.Options{Grace: time.Hour})
	nodes := p.Nodes()
	p.Pick(new(backend.Cursor), netip.Addr{}, nil, start)
	nodes[0].Connected()
	nodes[1].Failed(start)
	nodes[2].SetDraining(true)
	want := []backend.NodeStats{
		{Name: "0", State: "up", Up: 1, Hits: 1, Active: 1, MaxActive: 7},
		{Name: "1", State: "grace", Failures: 1, Grace: 1000},
		{Name: "2", State: "draining", Draining: 1},
		{Name: "3", State: "down"},
		{Name: "4", State: "backup", Up: 1},
	}
	for i, got := range p.Stats().Nodes {
		if got != want[i] {
			t.Errorf("node %d: got %+v, want %+v", i, got, want[i])
		}
	}
}

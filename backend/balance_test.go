package backend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reprise/backend"
)

func TestRoundRobin(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int
		want    string
	}{
		{"one", []int{1}, "0 0 0"},
		{"equal", []int{1, 1, 1}, "0 1 2 0 1 2"},
		{"smooth", []int{5, 1, 1}, "0 0 1 0 2 0 0 0 0 1 0 2 0 0"},
		{"twice", []int{1, 2}, "1 0 1 1 0 1"},
		{"common factor", []int{200, 100}, "0 1 0 0 1 0"},
		{"by default 1", []int{0, 1}, "0 1 0 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, specs(test.weights...), backend.Options{})
			if got := picks(p, start, len(strings.Fields(test.want))); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Connections that stay are spread by weight; one that ends makes room for the next.
func TestLeastConns(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int
		picks   int
		want    []int64
	}{
		{"equal", []int{1, 1, 1}, 300, []int64{100, 100, 100}},
		{"weights", []int{1, 2, 5}, 800, []int64{100, 200, 500}},
		{"one", []int{3}, 5, []int64{5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPool(t, specs(test.weights...), backend.Options{Balance: backend.LeastConns})
			picks(p, start, test.picks)
			for i, n := range p.Stats().Nodes {
				if n.Active != test.want[i] {
					t.Errorf("node %d: got %d, want %d", i, n.Active, test.want[i])
				}
			}
		})
	}
	p := newPool(t, specs(1, 1, 1), backend.Options{Balance: backend.LeastConns})
	picks(p, start, 30)
	for range 4 {
		p.Nodes()[1].Release()
	}
	if got := picks(p, start, 4); got != "1 1 1 1" {
		t.Errorf("after four ended: got %v, want 1 1 1 1", got)
	}
}

// Idle nodes are equal, and equal nodes take turns.
func TestLeastConnsIdle(t *testing.T) {
	p := newPool(t, specs(1, 1, 1), backend.Options{Balance: backend.LeastConns})
	var c backend.Cursor
	got := map[string]int{}
	for range 30 {
		n, _ := p.Pick(&c, netip.Addr{}, nil, start)
		n.Release()
		got[n.Name()]++
	}
	if got["0"] != 10 || got["1"] != 10 || got["2"] != 10 {
		t.Errorf("got %v, want 10 each", got)
	}
}

// client returns the i-th of many source addresses, in both families.
func client(i int) netip.Addr {
	var b [16]byte
	b[0] = 0x20
	binary.BigEndian.PutUint32(b[12:], uint32(i))
	if i%2 == 0 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

// where returns the node for each client.
func where(p *backend.Pool, now time.Time, clients int) []string {
	var c backend.Cursor
	list := make([]string, clients)
	for i := range list {
		n, _ := p.Pick(&c, client(i), nil, now)
		n.Release()
		list[i] = n.Name()
	}
	return list
}

func wantShares(t *testing.T, got []string, weights []int) {
	t.Helper()
	sum, count := 0, map[string]int{}
	for _, w := range weights {
		sum += w
	}
	for _, name := range got {
		count[name]++
	}
	for i, w := range weights {
		share := float64(w) / float64(sum)
		deviation := math.Sqrt(float64(len(got)) * share * (1 - share))
		if want := float64(len(got)) * share; math.Abs(float64(count[fmt.Sprint(i)])-want) > 5*deviation {
			t.Errorf("node %d: got %d, want about %.0f", i, count[fmt.Sprint(i)], want)
		}
	}
}

func TestSource(t *testing.T) {
	const clients = 20000
	for _, weights := range [][]int{{1}, {1, 1, 1}, {1, 2, 5}, {10, 10, 10, 10, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			p := newPool(t, specs(weights...), backend.Options{Balance: backend.Source})
			before := where(p, start, clients)
			wantShares(t, before, weights)
			if fmt.Sprint(where(p, start, clients)) != fmt.Sprint(before) {
				t.Error("clients moved though nothing had changed")
			}
			if len(weights) == 1 {
				return
			}
			p.Nodes()[1].SetDraining(true)
			for i, name := range where(p, start, clients) {
				if name == "1" || before[i] != "1" && before[i] != name {
					t.Fatalf("client %v went from %s to %s when node 1 went away", client(i), before[i], name)
				}
			}
			p.Nodes()[1].SetDraining(false)
			if fmt.Sprint(where(p, start, clients)) != fmt.Sprint(before) {
				t.Error("not all clients came back with the node")
			}
		})
	}
}

// Members of a fleet that list the nodes in different orders agree.
func TestSourceHasNoOrder(t *testing.T) {
	list := specs(1, 2, 3)
	reversed := []backend.Spec{list[2], list[1], list[0]}
	o := backend.Options{Balance: backend.Source}
	if fmt.Sprint(where(newPool(t, list, o), start, 1000)) != fmt.Sprint(where(newPool(t, reversed, o),
		start, 1000)) {
		t.Error("the order of nodes matters")
	}
}

func TestSourceMapped(t *testing.T) {
	p := newPool(t, specs(1, 1, 1, 1, 1, 1, 1), backend.Options{Balance: backend.Source})
	var c backend.Cursor
	for i := range 100 {
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		plain, _ := p.Pick(&c, ip, nil, start)
		if mapped, _ := p.Pick(&c, netip.AddrFrom16(ip.As16()), nil, start); mapped != plain {
			t.Fatalf("%v goes to %s, as an IPv6 address to %s", ip, plain.Name(), mapped.Name())
		}
	}
}

// Clients of a unix socket have no address and must not all go to one node.
func TestSourceUnknown(t *testing.T) {
	p := newPool(t, specs(1, 1, 1), backend.Options{Balance: backend.Source})
	if got := picks(p, start, 6); got != "0 1 2 0 1 2" {
		t.Errorf("got %v, want 0 1 2 0 1 2", got)
	}
}

// The same server listed twice gets two shares.
func TestSourceWithRepeatedServer(t *testing.T) {
	list := specs(1, 1, 1)
	list[1].Name = list[0].Name
	p := newPool(t, list, backend.Options{Balance: backend.Source})
	var c backend.Cursor
	for i := range 3000 {
		p.Pick(&c, client(i), nil, start)
	}
	for i, n := range p.Stats().Nodes {
		if n.Active < 800 {
			t.Errorf("node %d got %d of 3000", i, n.Active)
		}
	}
}

// A node in its slow start gets back its own clients, few at first.
func TestSourceSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 20000
		p := newPool(t, specs(1, 1), backend.Options{Balance: backend.Source, SlowStart: time.Minute})
		before := where(p, time.Now(), clients)
		p.Nodes()[0].SetDraining(true)
		p.Nodes()[0].SetDraining(false)
		got := where(p, time.Now(), clients)
		wantShares(t, got, []int{10, 100})
		for i := range got {
			if got[i] == "0" && before[i] != "0" {
				t.Fatalf("client %v was never one of node 0", client(i))
			}
		}
		if fmt.Sprint(where(p, time.Now().Add(time.Minute), clients)) != fmt.Sprint(before) {
			t.Error("not all clients came back with the node")
		}
	})
}

func TestTwoChoices(t *testing.T) {
	// Of equal nodes with lasting connections, none falls far behind; chance alone would leave the
	// fullest of 100 nodes about 30 above the mean.
	weights := make([]int, 100)
	p := newPool(t, specs(weights...), backend.Options{Balance: backend.TwoChoices})
	picks(p, start, 10000)
	for i, n := range p.Stats().Nodes {
		if n.Active > 110 {
			t.Errorf("node %d: got %d connections, want about 100", i, n.Active)
		}
	}
	// With two nodes both are compared each time, so weights are exact.
	p = newPool(t, specs(1, 3), backend.Options{Balance: backend.TwoChoices})
	picks(p, start, 400)
	if s := p.Stats().Nodes; s[0].Active != 100 || s[1].Active != 300 {
		t.Errorf("got %d and %d, want 100 and 300", s[0].Active, s[1].Active)
	}
}

// A node that comes back with no connections would get all new ones at once.
func TestSlowStartByConnections(t *testing.T) {
	for _, balance := range []backend.Balance{backend.LeastConns, backend.TwoChoices} {
		for _, test := range []struct {
			after time.Duration
			want  int
		}{{0, 10}, {time.Minute / 2, 55}, {time.Minute, 100}} {
			t.Run(fmt.Sprint(balance, "/", test.after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPool(t, specs(1, 1), backend.Options{Balance: balance, SlowStart: time.Minute})
					p.Nodes()[0].SetDraining(true)
					picks(p, time.Now(), 100)
					p.Nodes()[0].SetDraining(false)
					// It takes connections until both have the same for their weight.
					var c backend.Cursor
					got := 0
					for pick(p, &c, nil, time.Now().Add(test.after)) == "0" {
						got++
					}
					if got < test.want-1 || got > test.want+1 {
						t.Errorf("got %d connections before the other node had one, want about %d", got, test.want)
					}
				})
			})
		}
	}
}

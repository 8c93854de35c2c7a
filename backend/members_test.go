package backend_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
)

func changing(t testing.TB, o backend.Options) *backend.Pool {
	o.Changing = true
	return newPool(t, nil, o)
}

func mustAdd(t testing.TB, p *backend.Pool, address string) *backend.Node {
	t.Helper()
	n, err := p.Add(backend.Spec{Network: "tcp", Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMembers: an added member is picked in its turn, and a removed one is not picked any more.
func TestMembers(t *testing.T) {
	p := changing(t, backend.Options{})
	var c backend.Cursor
	pick := func() string {
		n, verdict := p.Pick(&c, netip.Addr{}, nil, start)
		if verdict != backend.Picked {
			return fmt.Sprint(verdict)
		}
		if _, ok := n.Endpoint(&c); !ok {
			t.Fatal("no endpoint")
		}
		n.Release()
		return n.Name()
	}
	if got := pick(); got != fmt.Sprint(backend.Down) {
		t.Errorf("an empty pool: got %s, want down", got)
	}
	a := mustAdd(t, p, "127.0.0.1:1")
	if got := pick(); got != a.Name() {
		t.Errorf("got %s, want %s", got, a.Name())
	}
	b := mustAdd(t, p, "127.0.0.1:2")
	counts := map[string]int{}
	for range 10 {
		counts[pick()]++
	}
	if counts[a.Name()] != 5 || counts[b.Name()] != 5 {
		t.Errorf("got %v, want 5 of each", counts)
	}
	b.SetWeight(4)
	clear(counts)
	for range 10 {
		counts[pick()]++
	}
	if counts[b.Name()] != 8 {
		t.Errorf("got %v, want 8 of the heavy one", counts)
	}
	held, _ := p.Pick(&c, netip.Addr{}, nil, start)
	p.Remove(a)
	p.Remove(a) // it is not a member: no effect
	for range 5 {
		if got := pick(); got != b.Name() {
			t.Errorf("got %s, want %s", got, b.Name())
		}
	}
	held.Failed(start) // a removed node's connections may still report
	held.Release()
	d := mustAdd(t, p, "127.0.0.1:3") // takes the removed one's place in cursors
	for range 10 {
		counts[pick()]++
	}
	if counts[d.Name()] == 0 {
		t.Errorf("the new member is never picked: %v", counts)
	}
	p.Close()
	if got := pick(); got != fmt.Sprint(backend.Down) || !p.Closed() {
		t.Errorf("closed: got %s and %v, want down", got, p.Closed())
	}
}

func TestMembersRefused(t *testing.T) {
	fixed := newPool(t, specs(1), backend.Options{})
	if _, err := fixed.Add(backend.Spec{Network: "tcp", Address: "127.0.0.1:1"}); err == nil {
		t.Error("a pool of fixed members accepted another")
	}
	if _, err := changing(t, backend.Options{}).Add(backend.Spec{Network: "tcp", Address: "localhost:1"}); err == nil {
		t.Error("a node with a DNS name was accepted")
	}
}

// TestAddWakes: a flow that waits for room is woken for a new member.
func TestAddWakes(t *testing.T) {
	p := changing(t, backend.Options{QueueLen: 1})
	woken := 0
	p.OnRoom(func() { woken++ })
	if _, err := p.Add(backend.Spec{Network: "tcp", Address: "127.0.0.1:1", MaxConns: 1}); err != nil {
		t.Fatal(err)
	}
	var c backend.Cursor
	p.Pick(&c, netip.Addr{}, nil, start)
	if _, verdict := p.Pick(&c, netip.Addr{}, nil, start); verdict != backend.Full || !p.Enqueue() {
		t.Fatal("not full")
	}
	before := woken
	mustAdd(t, p, "127.0.0.1:2")
	if woken == before {
		t.Error("no wake-up")
	}
	if n, verdict := p.Pick(&c, netip.Addr{}, nil, start); verdict != backend.Picked || n.Name() != "127.0.0.1:2" {
		t.Errorf("got %v, want the new member", verdict)
	}
}

// TestMembersAreChecked: checks begin and end with the membership.
func TestMembersAreChecked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := changing(t, backend.Options{})
	before := runtime.NumGoroutine()
	stop := p.StartChecks(backend.Check{Interval: time.Millisecond})
	n := mustAdd(t, p, ln.Addr().String())
	nettest.Eventually(t, 10*time.Second, func() bool { return p.Stats().Nodes[0].Checks > 0 }, "checked")
	p.Remove(n)
	nettest.Eventually(t, 10*time.Second, func() bool { return runtime.NumGoroutine() <= before }, "the check has ended")
	stop()
	mustAdd(t, p, ln.Addr().String()) // after stop: it is not checked
	nettest.Eventually(t, 10*time.Second, func() bool { return runtime.NumGoroutine() <= before }, "no check begins")
}

// TestMembersHammer: members come and go while all loops pick.
func TestMembersHammer(t *testing.T) {
	for _, balance := range []backend.Balance{
		backend.RoundRobin, backend.LeastConns, backend.Source,
		backend.TwoChoices,
	} {
		p := changing(t, backend.Options{Balance: balance, QueueLen: 10})
		p.OnRoom(func() {})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for range 3 {
			running.Go(func() {
				var c backend.Cursor
				for i := 0; ctx.Err() == nil; i++ {
					if n, verdict := p.Pick(&c, client(i), nil, start); verdict == backend.Picked {
						n.Endpoint(&c)
						n.Connected()
						n.Release()
					}
				}
			})
		}
		var nodes []*backend.Node
		for i := range 2000 {
			nodes = append(nodes, mustAdd(t, p, fmt.Sprintf("127.0.0.1:%d", 1+i)))
			if len(nodes) > 7 {
				p.Remove(nodes[i%7])
				nodes = append(nodes[:i%7], nodes[i%7+1:]...)
			}
		}
		cancel()
		running.Wait()
		for _, n := range p.Stats().Nodes {
			if n.Active != 0 {
				t.Errorf("%s: %d slots are taken, want none", n.Name, n.Active)
			}
		}
	}
}

package backend_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"reprise/backend"
)

func nameless(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("no such host")
}

// TestChange: members that stay keep their connections and state, others come and go, and a change
// has no effect before its commit, nor if it cannot be made.
func TestChange(t *testing.T) {
	o := backend.Options{Grace: time.Hour}
	p, err := backend.NewPool([]backend.Spec{member("stays"), member("goes"), member("ill")}, o)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	stays, goes, ill := p.Nodes()[0], p.Nodes()[1], p.Nodes()[2]
	ill.Failed(now)
	stays.SetDraining(true)
	var cursor backend.Cursor
	held, verdict := p.Pick(&cursor, netip.Addr{}, nil, now)
	if verdict != backend.Picked || held != goes {
		t.Fatalf("picked %v, %v", held, verdict)
	}

	if _, err := p.Prepare(t.Context(), nil, o, nameless); err == nil {
		t.Error("a pool without backends")
	}
	named := backend.Spec{Network: "tcp", Address: "backend.example:80"}
	if _, err := p.Prepare(t.Context(), []backend.Spec{member("new"), named}, o, nameless); err == nil ||
		!strings.Contains(err.Error(), "no such host") {
		t.Errorf("a name that does not resolve: %v", err)
	}
	same, err := p.Prepare(t.Context(), []backend.Spec{member("stays"), member("goes"), member("ill")}, o, nameless)
	if err != nil || same.Differs() {
		t.Errorf("the same again: differs, or %v", err)
	}
	heavier, o2 := member("stays"), o
	heavier.MaxConns, heavier.Backup, o2.QueueLen = 7, true, 3
	change, err := p.Prepare(t.Context(), []backend.Spec{member("new"), heavier, member("ill")}, o2, nameless)
	if err != nil || !change.Differs() {
		t.Fatalf("no difference, or %v", err)
	}
	if n := p.Nodes(); len(n) != 3 || n[1] != goes || p.Options().QueueLen != 0 {
		t.Error("the change took effect before its commit")
	}

	change.Commit()
	nodes := p.Nodes()
	if len(nodes) != 3 || nodes[1] != stays || nodes[2] != ill || p.Options().QueueLen != 3 {
		t.Fatalf("after the commit: %v", nodes)
	}
	s := p.Stats().Nodes
	if s[1].State != "draining" || s[1].MaxActive != 7 || s[2].State != "grace" || s[0].State != "up" {
		t.Errorf("after the commit: %+v", s)
	}
	if !goes.Removed() || stays.Removed() {
		t.Error("the wrong one is removed")
	}
	for range 5 {
		if n, verdict := p.Pick(&cursor, netip.Addr{}, nil, now); verdict != backend.Picked ||
			n != nodes[0] {
			t.Fatalf("picked %v, %v, want the new one", n, verdict)
		}
	}
	held.Release() // the slot of a removed node
}

func member(name string) backend.Spec {
	return backend.Spec{Name: name, Network: "unix", Address: "/" + name}
}

// TestRetire: a flow on its way to a retired pool still gets a node.
func TestRetire(t *testing.T) {
	p, err := backend.NewPool([]backend.Spec{{Network: "unix", Address: "/a"}}, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop := p.StartChecks(backend.Check{Interval: time.Hour})
	p.Retire()
	defer stop()
	p.Nodes()[0].SetDraining(true)
	heir, err := backend.NewPool([]backend.Spec{{Network: "unix", Address: "/b"}, {Network: "unix", Address: "/a"}},
		backend.Options{Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	heir.Inherit(p)
	if s := heir.Stats().Nodes; s[0].State != "up" || s[1].State != "draining" {
		t.Errorf("inherited: %+v", s)
	}
	p.Nodes()[0].SetDraining(false)
	p.Nodes()[0].Failed(time.Now())
	heir.Inherit(p)
	heir.Nodes()[1].SetDraining(false)
	if heir.Stats().Nodes[1].State != "grace" {
		t.Errorf("inherited: %+v", heir.Stats().Nodes)
	}
	if n, verdict := p.Pick(new(backend.Cursor), netip.Addr{}, nil,
		time.Now()); verdict != backend.Picked || !n.Removed() || !p.Closed() {
		t.Errorf("got %v, %v", n, verdict)
	}
}

// TestSetChecks: replacing the checks does not bring up a node that the earlier ones found down.
func TestSetChecks(t *testing.T) {
	p, err := backend.NewPool([]backend.Spec{{Network: "unix", Address: "/missing/socket"}}, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.StartChecks(backend.Check{Interval: time.Millisecond, Fall: 1})()
	for p.Stats().Nodes[0].State != "down" {
		time.Sleep(time.Millisecond)
	}
	p.SetChecks(&backend.Check{Interval: time.Hour})
	if got := p.Stats().Nodes[0].State; got != "down" {
		t.Errorf("it is %s with other checks", got)
	}
	p.SetChecks(nil)
	if got := p.Stats().Nodes[0].State; got != "up" {
		t.Errorf("it is %s without checks", got)
	}
}

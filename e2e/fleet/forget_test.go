package fleet

import (
	"crypto/tls"
	"slices"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

var quickFleet = []string{"--cache-udp-heartbeat=100ms", "--cache-udp-dead-after=1s", patientLookup}

// TestForgottenStaysForgotten: a forgotten session does not come back, neither by nodes that join
// or return afterwards nor from a store.
func TestForgottenStaysForgotten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args func(f *fleet) []string
	}{
		{"after all", func(*fleet) []string { return []string{"--all"} }},
		{"after a name", func(*fleet) []string { return []string{"--sni", "localhost"} }},
		{"after a listener", func(f *fleet) []string { return []string{"--listener", f.TLS(0)} }},
	} {
		t.Run("then a node joins "+test.name, func(t *testing.T) {
			testForgottenThenJoined(t, test.args)
		})
	}
	t.Run("three nodes restart in turn", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 3, quickFleet...)
		held := f.hold(0)
		for i := range f.Nodes {
			f.wantAll(i, held)
		}
		f.mustForget(1, "--all")
		for i := range f.Nodes {
			f.Restart(i)
			f.AwaitIntroduced()
			f.wantNever("forgotten, then nodes were restarted", held, 0, 1, 2)
		}
	})
	t.Run("the network held the session back", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, quickFleet...)
		n := newNetwork(f.Fleet)
		f.RunAll()
		// Datagrams with sessions are long; all others go through, also requests for repair.
		n.setPolicy(func(c captured) bool { return len(c.datagram) < 200 || n.holdBack(c) })
		held := f.hold(0)
		f.mustForget(0, "--all")
		n.setPolicy(nil)
		n.deliverHeld()
		f.wantNever("forgotten before it arrived", held, 1, 0)
	})
	testForgottenInStores(t)
	t.Run("a session spent", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, append(quickFleet, "--ssl-sessions-single-use")...)
		f.Run(0)
		held := f.hold(0)
		for _, h := range held {
			if !f.resumes(0, h) {
				t.Fatalf("%v: its first use was not granted", h)
			}
		}
		f.Run(1)
		f.AwaitIntroduced()
		f.wantNever("spent, then node 1 joined", held, 1, 0)
	})
}

// testForgottenThenJoined: a node that joins later learns of it.
func testForgottenThenJoined(t *testing.T, args func(f *fleet) []string) {
	t.Parallel()
	f := newFleet(t, 2, quickFleet...)
	f.Run(0)
	held := f.hold(0)
	f.wantAll(0, held)
	// Node 1 may have started before node 0: no node knows yet.
	if r := f.ForgetAt(0, args(f)...); r.ExitCode != 1 ||
		!strings.Contains(r.Stdout+r.Stderr, f.UDP(1)) {
		t.Errorf("node 1 has never been heard: exit code %d, want 1 and %s in:\n%s%s", r.ExitCode, f.UDP(1), r.Stdout, r.Stderr)
	}
	f.Run(1)
	f.AwaitIntroduced()
	f.wantNever("forgotten, then node 1 joined", held, 1, 0)
	f.Restart(0)
	f.AwaitIntroduced()
	f.wantNever("forgotten, then node 0 was restarted", held, 1, 0)
	f.wantAll(1, f.hold(0)) // later sessions are not affected
}

// testForgottenInStores: nor does a session that a store has kept.
func testForgottenInStores(t *testing.T) {
	t.Run("a store in between", func(t *testing.T) {
		t.Parallel()
		f, _, held := startStored(t, quickFleet...)
		f.mustForget(0, "--all")
		f.Restart(0)
		f.wantNever("forgotten, but in the store", held, 0)
		f.wantAll(0, f.hold(0))
	})
	// Two fleets of one node each, as two sites are.
	t.Run("a store that another fleet uses", func(t *testing.T) {
		t.Parallel()
		_, addr := redis(t)
		f := newFleet(t, 2, append(quickFleet, "--session-store=redis://"+addr)...)
		f.Peer = func(int, int) string { return "" }
		f.Run(0)
		f.Run(1)
		held := f.hold(0)
		f.awaitStored(len(held))
		f.mustForget(0, "--all")
		f.Nodes[1].Stop()
		f.Run(1) // a restart is when a rule in the store must be known at the latest
		f.wantNever("forgotten by the other fleet", held, 1)
	})
}

// TestForgetNamesTheSilent: forget succeeds only if every node that may have the
// sessions has forgotten them; one that is heard again learns what it missed.
func TestForgetNamesTheSilent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, deadAfter string
		givenUp         bool // no command waits for the node any more
	}{
		{"a node that is taken for alive", "1h", false},
		{"a node that is taken for dead", "1s", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, 3, "--cache-udp-heartbeat=100ms", "--cache-udp-dead-after="+test.deadAfter, patientLookup)
			held := f.hold(0)
			for i := range f.Nodes {
				f.wantAll(i, held)
			}
			f.Nodes[1].Signal(syscall.SIGSTOP)
			if test.givenUp {
				id := f.Nodes[2].Shared().ShortID()
				for _, i := range []int{0, 2} {
					nettest.Eventually(t, harness.Patience, func() bool {
						r := f.Nodes[i].Shared().Replication
						return slices.ContainsFunc(r.Peers,
							func(p harness.PeerRow) bool { return p.ID != id && p.Alive == 0 })
					}, "node %d takes node 1 for dead", i)
				}
			}
			r := f.ForgetAt(0, "--all")
			f.Nodes[1].Signal(syscall.SIGCONT)
			_, silent, _ := strings.Cut(r.Stderr, "no answer from ")
			if r.ExitCode != harness.ExitFailure || !strings.Contains(silent, f.UDP(1)) ||
				strings.Contains(silent, f.UDP(2)) || strings.Count(r.Stdout, "forgotten at ") != 1 {
				t.Errorf("node 1 is stopped: exit code %d, want 1 and no answer from %s:\n%s%s", r.ExitCode, f.UDP(1), r.Stdout, r.Stderr)
			}
			f.AwaitIntroduced()
			f.wantNever("forgotten while node 1 slept", held, 1, 2, 0)
			f.mustForget(0, "--all") // now that all are there
		})
	}
}

// TestForgetReachesOneWayPeers: a is configured with b, c with a; b and c were never told of each
// other.
func TestForgetReachesOneWayPeers(t *testing.T) {
	t.Parallel()
	const a, b, c = 0, 1, 2
	f := newFleet(t, 3, quickFleet...)
	f.Peer = func(i, j int) string {
		if i == a && j == b || i == c && j == a {
			return f.UDP(j)
		}
		return ""
	}
	f.RunAll()
	held := f.hold(b)
	held = append(held, f.hold(a)...)
	f.wantAll(b, held)
	f.mustForget(c, "--all")
	f.wantNever("forgotten at c", held, a, b, c)
	held = f.hold(c)
	f.mustForget(b, "--all")
	f.wantNever("forgotten at b", held, a, b, c)
}

// TestForgetTakesNamesAsClientsWriteThem: when forget exits with 0, the sessions are forgotten.
func TestForgetTakesNamesAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, quickFleet...)
	f.Run(0)
	named := func(name string) *goHolder {
		h := f.newHolder(tls.VersionTLS13)
		h.config.ServerName, h.config.InsecureSkipVerify = name, true
		if _, err := h.offer(f.TLS(0)); err != nil {
			t.Fatal(err)
		}
		if !f.resumes(0, h) {
			t.Fatalf("%s: does not resume", name)
		}
		return h
	}
	for _, test := range []struct{ client, forget string }{
		{"localhost", "localhost"},
		{"localhost", "localhost."},
		{"localhost", "LocalHost"},
		{"LOCALHOST", "localhost"},
		{"one.wild.example", "ONE.wild.example."},
		{"one.wild.example", "*.wild.example"},
		{"one.wild.example", "*.WILD.example."},
	} {
		h := named(test.client)
		r := f.ForgetAt(0, "--sni", test.forget)
		if r.ExitCode != 0 {
			// An error is right too, for a name that no client can have sent.
			if !strings.Contains(test.forget, "*") || !strings.Contains(r.Stderr, "*") {
				t.Errorf("forget --sni %s: exit code %d\n%s", test.forget, r.ExitCode, r.Stderr)
			}
			continue
		}
		if f.resumes(0, h) {
			t.Errorf("forget --sni %s exits 0, and a session for %s resumes\n%s", test.forget, test.client, r.Stdout)
		}
	}
	other := named("two.wild.example")
	f.mustForget(0, "--sni", "localhost")
	nettest.Eventually(t, harness.Patience, func() bool { return f.resumes(0, other) }, "a session for another name resumes")
}

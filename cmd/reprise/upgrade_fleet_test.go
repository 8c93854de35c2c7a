package main

import (
	"crypto/tls"
	"testing"

	"reprise/internal/nettest"
)

// TestUpgradeInAFleet: an upgraded node is to its peers what it was. Sessions that were
// made anywhere before resume anywhere, as do those made after; nobody is taken for
// silent when sessions are forgotten.
func TestUpgradeInAFleet(t *testing.T) {
	for _, mode := range []string{"push", "homes", "pull"} {
		t.Run(mode, func(t *testing.T) {
			f := newFleet(t, 3, mode, patientLookup)
			f.successors = true
			f.runAll()
			id := f.nodes[0].shared().shortID(t)
			made := func() (clients []*tls.Config) {
				for i := range f.nodes {
					for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
						c := with(clientConfig(f.pki), func(c *tls.Config) {
							c.MaxVersion, c.ClientSessionCache = version, new(fixedSession)
						})
						wantResumed(t, f.nodes[i].addr(), c, false)
						clients = append(clients, c)
					}
				}
				return clients
			}
			clients := made()
			settle := func() {
				if mode != "homes" { // where each node has some of them, and asks for the others
					f.awaitPushed()
				}
			}
			settle()
			for round := range 3 {
				f.nodes[0].upgrade()
				n := round + 1
				nettest.Eventually(t, patience, func() bool { return f.nodes[0].logged(`"msg":"stopped"`) == n }, "the process before ends")
				if got := f.nodes[0].shared().shortID(t); got != id {
					t.Errorf("the node is %s now, was %s", got, id)
				}
				f.awaitIntroduced()
				clients = append(clients, made()...)
				settle()
				for i, c := range clients {
					for _, s := range f.nodes {
						if !visit(t, s.addr(), c).DidResume {
							t.Errorf("upgrade %d: session %d, of node %d, does not resume at %s", n, i, i/2%3, s.addr())
						}
					}
				}
			}
			if r := f.forgetAt(1, "--all"); r.ExitCode != 0 {
				t.Errorf("forget: exit code %d, %q", r.ExitCode, r.Stdout+r.Stderr)
			}
			for _, s := range f.nodes {
				for _, c := range clients[:2] {
					wantResumed(t, s.addr(), c, false)
				}
			}
			f.nodes[0].upgrade()
			for _, c := range clients[:2] { // what is to be forgotten is
				wantResumed(t, f.nodes[0].addr(), c, false)
			}
		})
	}
}

package operations

import (
	"crypto/tls"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestUpgradeInAFleet: to its peers an upgraded node is the same. Sessions made anywhere before
// resume anywhere, as do those made after; no node is taken for silent when sessions are forgotten.
func TestUpgradeInAFleet(t *testing.T) {
	for _, mode := range []string{"push", "homes", "pull"} {
		t.Run(mode, func(t *testing.T) {
			f := harness.NewFleet(t, 3, mode, harness.PatientLookup)
			f.Successors = true
			f.RunAll()
			id := f.Nodes[0].Shared().ShortID()
			made := func() []*tls.Config { return clientsOfAll(t, f) }
			clients := made()
			settle := func() {
				if mode != "homes" { // where each node has some of them, and asks for the others
					f.AwaitPushed()
				}
			}
			settle()
			for round := range 3 {
				f.Nodes[0].Upgrade()
				n := round + 1
				nettest.Eventually(t, harness.Patience, func() bool { return f.Nodes[0].Logged(`"msg":"stopped"`) == n }, "the process before ends")
				if got := f.Nodes[0].Shared().ShortID(); got != id {
					t.Errorf("the node is %s now, was %s", got, id)
				}
				f.AwaitIntroduced()
				clients = append(clients, made()...)
				settle()
				for i, c := range clients {
					for _, s := range f.Nodes {
						if !harness.Visit(t, s.Addr(), c).DidResume {
							t.Errorf("upgrade %d: session %d, of node %d, does not resume at %s", n, i, i/2%3, s.Addr())
						}
					}
				}
			}
			if r := f.ForgetAt(1, "--all"); r.ExitCode != 0 {
				t.Errorf("forget: exit code %d, %q", r.ExitCode, r.Stdout+r.Stderr)
			}
			for _, s := range f.Nodes {
				for _, c := range clients[:2] {
					harness.WantResumed(t, s.Addr(), c, false)
				}
			}
			f.Nodes[0].Upgrade()
			for _, c := range clients[:2] { // what is to be forgotten is
				harness.WantResumed(t, f.Nodes[0].Addr(), c, false)
			}
		})
	}
}

// clientsOfAll returns clients with a session of each node, in each version.
func clientsOfAll(t *testing.T, f *harness.Fleet) (clients []*tls.Config) {
	t.Helper()
	for i := range f.Nodes {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := harness.With(harness.ClientConfig(f.PKI), func(c *tls.Config) {
				c.MaxVersion, c.ClientSessionCache = version, new(fixedSession)
			})
			harness.WantResumed(t, f.Nodes[i].Addr(), c, false)
			clients = append(clients, c)
		}
	}
	return clients
}

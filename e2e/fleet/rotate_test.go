package fleet

import (
	"testing"

	"reprise/e2e/harness"
)

// TestSecretRotates: a fleet in service changes its secret, node by node, as documented, and its
// clients notice nothing.
func TestSecretRotates(t *testing.T) {
	t.Parallel()
	f := harness.NewFleet(t, 3, "push+pull", harness.PatientLookup)
	older, newer := f.SecretFile("old"), f.SecretFile("new")
	for i := range f.Nodes {
		f.Run(i, older)
	}
	f.AwaitIntroduced()
	c := startCrowd(f, 1<<62)
	defer c.workers.Wait()
	defer c.stop.Store(true)
	c.await(100)
	for _, secrets := range [][]string{{older, newer}, {newer, older}, {newer}} {
		// Before the old secret goes, sessions made under it must end: in production after
		// ssl-sessions-timeout, here as soon as no client has one.
		c.awaitFresh()
		for i := range f.Nodes {
			c.live[i].Store(false)
			f.Nodes[i].Stop()
			f.Run(i, secrets...)
			f.AwaitIntroduced()
			c.live[i].Store(true)
			c.await(50)
		}
	}
	c.stop.Store(true)
	share := c.finish()
	t.Logf("%.2f %% of %d returns resumed while three nodes restarted three times: %v", 100*share, c.returned.Load(), f.Outcomes())
	if share < 0.99 {
		t.Errorf("%.4f of the returns resumed, want 0.99", share)
	}
	for i, s := range f.Nodes {
		if dropped := s.Shared().Replication.Dropped; dropped["foreign_secret"]+dropped["forged"] > 0 {
			t.Errorf("node %d could not open what the others sent: %v", i, dropped)
		}
	}
}

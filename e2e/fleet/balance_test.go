package fleet

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

const (
	comeBackAfter = 10 * time.Millisecond
	// visitsEach is how often a client comes back before it starts afresh.
	visitsEach = 10
	// crowdLen clients at a time connect and come back. Nodes and clients share the cores of one
	// machine: more of them measure its scheduler.
	crowdLen = 6
)

// A crowd is clients that come back to any node, half of them by TLS 1.2.
type crowd struct {
	f    *harness.Fleet
	live []atomic.Bool // nodes that the balancer knows to run

	returned, resumed atomic.Int64
	fresh             [crowdLen]atomic.Int64 // clients begun, by goroutine
	stop              atomic.Bool
	workers           sync.WaitGroup
}

// startCrowd lets clients come back until there were most returns, or stop is set.
func startCrowd(f *harness.Fleet, most int64) *crowd {
	c := &crowd{f: f, live: make([]atomic.Bool, len(f.Nodes))}
	for i := range c.live {
		c.live[i].Store(true)
	}
	for worker := range crowdLen {
		c.workers.Go(func() {
			for !c.stop.Load() && c.returned.Load() < most {
				c.comeAndReturn(versions[worker%2])
				c.fresh[worker].Add(1)
			}
		})
	}
	return c
}

// comeAndReturn is one client's life. Each connection may bring the session for the
// next one.
func (c *crowd) comeAndReturn(version uint16) {
	config, _ := harness.OneSessionConfig(c.f.PKI, version)
	for visit := range visitsEach + 1 {
		node := rand.IntN(len(c.live))
		for !c.live[node].Load() {
			node = (node + 1) % len(c.live)
		}
		state, err := harness.TryAskLine(c.f.TLS(node), config)
		if err != nil {
			if c.live[node].Load() {
				c.f.T.Errorf("node %d: %v", node, err)
			}
			return // it was cut by the death of its node
		}
		if visit > 0 {
			c.returned.Add(1)
			if state.DidResume {
				c.resumed.Add(1)
			}
		}
		time.Sleep(comeBackAfter) // this is the client, not the test
	}
}

// await waits until n more clients have come back.
func (c *crowd) await(n int64) {
	c.f.T.Helper()
	want := c.returned.Load() + n
	nettest.Eventually(c.f.T, harness.Patience, func() bool { return c.returned.Load() >= want }, "%d returns", n)
}

// awaitFresh waits until no client has a session from before.
func (c *crowd) awaitFresh() {
	c.f.T.Helper()
	for i := range c.fresh {
		want := c.fresh[i].Load() + 2
		nettest.Eventually(c.f.T, harness.Patience, func() bool { return c.fresh[i].Load() >= want }, "client %d starts afresh", i)
	}
}

// finish waits for the end and returns the share of returns that resumed.
func (c *crowd) finish() float64 {
	c.f.T.Helper()
	c.workers.Wait()
	share := float64(c.resumed.Load()) / float64(c.returned.Load())
	c.f.T.Logf("%.2f %% of %d returns resumed: %v", 100*share, c.returned.Load(), c.f.Outcomes())
	return share
}

// wantShare finishes the crowd and checks the share. A late answer means that the machine was busy
// with other things, unless there are many of them.
func (c *crowd) wantShare(least float64) {
	c.f.T.Helper()
	share := c.finish()
	late := float64(c.f.Outcomes()["late"]) / float64(c.returned.Load())
	if late < 0.01 || harness.RaceEnabled {
		share += late
	}
	if share < least {
		c.f.T.Errorf("%.4f of the returns resumed, want %v", share, least)
	}
}

// TestRandomBalancing: behind a balancer that picks nodes at random, practically every client that
// comes back resumes, in every mode; a bad network, or the death of a node, changes little. Without
// replication one in four does. REPRISE_LONG=1 in the environment makes it 5,000 returns for each
// of 3, 4 and 8 nodes, with the default time for look-ups, and compares them with the documented
// figures.
func TestRandomBalancing(t *testing.T) {
	// A loss needs some attempts, on cores that are all busy.
	options := []string{"--cache-lookup-timeout=100ms"}
	returns, sizes := int64(1000), []int{4}
	most, bad, death := 0.99, 0.97, 0.97
	switch {
	case os.Getenv("REPRISE_LONG") != "":
		options, returns, sizes = nil, 5000, []int{3, 4, 8}
		most, bad, death = 0.999, 0.99, 0.995
	case harness.RaceEnabled: // an order of magnitude slower
		returns = 300
		most, bad, death = 0.9, 0.8, 0.9
	}
	modes := []string{"auto", "push", "homes", "pull"}
	for _, nodes := range sizes {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("%d nodes/%s", nodes, mode), func(t *testing.T) {
				startCrowd(harness.StartFleet(t, nodes, mode, options...), returns).wantShare(most)
			})
		}
	}
	for _, mode := range modes {
		t.Run("a fifth of all datagrams lost/"+mode, func(t *testing.T) {
			f := harness.NewFleet(t, 4, mode, options...)
			n := newNetwork(f)
			f.RunAll()
			n.lossy.Store(true)
			startCrowd(f, returns).wantShare(bad)
			t.Logf("over %d datagrams", n.passed.Load())
		})
	}
	for _, mode := range []string{"push", "homes", "pull"} {
		t.Run("a node dies/"+mode, func(t *testing.T) {
			f := harness.StartFleet(t, 4, mode, options...)
			c := startCrowd(f, returns)
			c.await(returns / 2)
			c.live[3].Store(false)
			f.Kill(3)
			c.wantShare(death)
		})
	}
	t.Run("nothing shared", func(t *testing.T) {
		f := harness.NewFleet(t, 4, "pull", options...)
		f.Peer = func(int, int) string { return "" }
		f.RunAll()
		if share := startCrowd(f, returns/2).finish(); share < 0.1 || share > 0.4 {
			t.Errorf("%.4f of the returns resumed, want about a quarter: this test finds nothing", share)
		}
	})
}

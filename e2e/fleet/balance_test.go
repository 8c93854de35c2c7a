package fleet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/nettest"
)

const (
	comeBackAfter = 10 * time.Millisecond
	// visitsEach is how often a client comes back before it starts afresh.
	visitsEach = 10
	// crowdLen clients at a time come and come back. Nodes and clients share the
	// cores of one machine: more of them measure its scheduler.
	crowdLen = 6
)

// A crowd is clients that come back to whatever node, half of them by TLS 1.2.
type crowd struct {
	f       *fleet
	live    []atomic.Bool // nodes that the balancer knows to run
	workers sync.WaitGroup

	returned, resumed, failed atomic.Int64
}

// startCrowd lets clients come back until there were most returns.
func startCrowd(f *fleet, most int64) *crowd {
	c := &crowd{f: f, live: make([]atomic.Bool, len(f.nodes))}
	for i := range c.live {
		c.live[i].Store(true)
	}
	for worker := range crowdLen {
		c.workers.Go(func() {
			for c.returned.Load() < most {
				c.comeAndReturn(versions[worker%2])
			}
		})
	}
	return c
}

// comeAndReturn is one client's life. Each connection brings the session for the
// next one.
func (c *crowd) comeAndReturn(version uint16) {
	h := c.f.newHolder(version)
	for visit := range visitsEach + 1 {
		i := rand.IntN(len(c.live))
		for !c.live[i].Load() {
			i = (i + 1) % len(c.live)
		}
		before := h.session
		h.session = nil
		h.offered = before
		resumed, err := h.offer(c.f.tls(i))
		h.offered = nil
		if err != nil {
			if c.live[i].Load() {
				c.f.t.Errorf("node %d: %v", i, err)
			}
			c.failed.Add(1)
			return // it was cut by the death of its node
		}
		if h.session == nil {
			h.session = before // TLS 1.2 goes on with the one it has
		}
		if visit > 0 {
			c.returned.Add(1)
			if resumed {
				c.resumed.Add(1)
			}
		}
		time.Sleep(comeBackAfter) // this is the client, not the test
	}
}

// await waits until the crowd has made so many returns.
func (c *crowd) await(n int64) {
	c.f.t.Helper()
	nettest.Eventually(c.f.t, patience, func() bool { return c.returned.Load() >= n }, "%d returns", n)
}

// finish waits for the end and checks the share of returns that resumed.
func (c *crowd) finish(want float64) {
	c.f.t.Helper()
	c.workers.Wait()
	share := float64(c.resumed.Load()) / float64(c.returned.Load())
	c.f.t.Logf("%.2f %% of %d returns resumed: %v", 100*share, c.returned.Load(), c.f.outcomes())
	if share < want {
		c.f.t.Errorf("%.4f of the returns resumed, want %v", share, want)
	}
}

// outcomes adds up how sessions fared at all nodes that run.
func (f *fleet) outcomes() string {
	f.t.Helper()
	sum := map[string]uint64{}
	for _, n := range f.nodes {
		if n == nil {
			continue
		}
		for outcome, k := range n.document().Engine.TLS.Outcomes {
			if k > 0 {
				sum[outcome] += k
			}
		}
	}
	text := ""
	for _, outcome := range slices.Sorted(maps.Keys(sum)) {
		text += fmt.Sprintf(" %s:%d", outcome, sum[outcome])
	}
	return text
}

// TestRandomBalancing: behind a balancer that picks nodes at random, practically
// every client that comes back resumes, in every mode, with the default time for
// look-ups; a bad network, or the death of a node, changes little. REPRISE_LONG=1 in
// the environment makes it 5,000 returns for each of 3, 4 and 8 nodes, and holds them
// against what is promised.
func TestRandomBalancing(t *testing.T) {
	// With few returns on a machine that is busy with other things, a look-up that
	// is late says little.
	returns, sizes := int64(1000), []int{4}
	most, bad, death := 0.98, 0.9, 0.97
	switch {
	case os.Getenv("REPRISE_LONG") != "":
		returns, sizes = 5000, []int{3, 4, 8}
		most, bad, death = 0.999, 0.99, 0.995
	case raceEnabled(): // an order of magnitude slower, as no look-up time allows for
		most, bad, death = 0.8, 0.6, 0.8
	}
	modes := []string{"auto", "push", "homes", "pull"}
	for _, nodes := range sizes {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("%d nodes/%s", nodes, mode), func(t *testing.T) {
				f := startFleet(t, nodes, "--cache-replication="+mode)
				startCrowd(f, returns).finish(most)
			})
		}
	}
	for _, mode := range modes {
		t.Run("a fifth of all datagrams lost/"+mode, func(t *testing.T) {
			f := newFleet(t, 4, "--cache-replication="+mode)
			n := newNetwork(f)
			f.runAll()
			random := rand.New(rand.NewPCG(1, 2)) // of the network, which asks for one datagram at a time
			n.setPolicy(func(captured) bool { return random.IntN(5) > 0 })
			startCrowd(f, returns).finish(bad)
		})
	}
	for _, mode := range []string{"push", "homes"} {
		t.Run("a node dies/"+mode, func(t *testing.T) {
			f := startFleet(t, 4, "--cache-replication="+mode)
			c := startCrowd(f, returns)
			c.await(returns / 2)
			c.live[3].Store(false)
			f.nodes[3].Kill()
			f.nodes[3] = nil
			c.finish(death)
		})
	}
}

// raceEnabled reports whether the race detector is on, here and in the nodes.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

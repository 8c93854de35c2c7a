package main

import (
	"cmp"
	"crypto/tls"
	"math/rand/v2"
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
	// crowdLen clients at a time keep two cores busy, and not more than that.
	crowdLen = 12
)

// A crowd is clients that come back to whatever node, half of them by TLS 1.2.
type crowd struct {
	f      *fleet
	live   []atomic.Bool // nodes that the balancer knows to run
	random func(n int) int

	returned, resumed atomic.Int64
	fresh             [crowdLen]atomic.Int64 // clients begun, by goroutine
	stop              atomic.Bool
	workers           sync.WaitGroup
}

// startCrowd lets clients come back until there were most returns, or finish.
func startCrowd(f *fleet, most int64) *crowd {
	c := &crowd{f: f, live: make([]atomic.Bool, len(f.nodes)), random: rand.IntN}
	for i := range c.live {
		c.live[i].Store(true)
	}
	for worker := range crowdLen {
		c.workers.Go(func() {
			for !c.stop.Load() && c.returned.Load() < most {
				c.comeAndReturn(uint16(tls.VersionTLS12 + worker%2))
				c.fresh[worker].Add(1)
			}
		})
	}
	return c
}

// comeAndReturn is one client's life.
func (c *crowd) comeAndReturn(version uint16) {
	config, _ := walletConfig(c.f.pki, version)
	for visit := range visitsEach + 1 {
		node := c.random(len(c.live))
		for !c.live[node].Load() {
			node = (node + 1) % len(c.live)
		}
		state, err := tryAskLine(c.f.tls(node), config)
		if err != nil {
			if c.live[node].Load() {
				c.f.t.Errorf("node %d: %v", node, err)
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

// await waits until the crowd has made n more returns.
func (c *crowd) await(n int64) {
	c.f.t.Helper()
	want := c.returned.Load() + n
	nettest.Eventually(c.f.t, patience, func() bool { return c.returned.Load() >= want }, "%d returns", n)
}

// awaitFresh waits until no client has a session from before.
func (c *crowd) awaitFresh() {
	c.f.t.Helper()
	for i := range c.fresh {
		want := c.fresh[i].Load() + 2
		nettest.Eventually(c.f.t, patience, func() bool { return c.fresh[i].Load() >= want }, "client %d starts afresh", i)
	}
}

// finish ends the crowd and returns the share of returns that resumed.
func (c *crowd) finish() float64 {
	c.workers.Wait()
	return float64(c.resumed.Load()) / float64(c.returned.Load())
}

// TestBalanced: behind a balancer that picks nodes at random, practically every
// client that comes back resumes, whatever the network does; without
// replication one in four does.
func TestBalanced(t *testing.T) {
	returns := int64(5000)
	if raceEnabled {
		returns = 500
	}
	for _, test := range []struct {
		name, mode  string
		loss, death bool
		least, most float64
	}{
		{name: "nothing shared", least: 0.15, most: 0.35},
		{name: "push and pull", mode: "push+pull", least: 0.999, most: 1},
		{name: "pull", mode: "pull", least: 0.999, most: 1},
		{name: "push and pull on a bad network", mode: "push+pull", loss: true, least: 0.999, most: 1},
		{name: "pull on a bad network", mode: "pull", loss: true, least: 0.999, most: 1},
		{name: "push and pull while a node dies", mode: "push+pull", death: true, least: 0.99, most: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			const budget = 100 * time.Millisecond // a loss needs some attempts, on cores that are all busy
			f := newFleet(t, 4, cmp.Or(test.mode, "pull"), "--cache-lookup-timeout", budget.String())
			n := newNetwork(f)
			if test.mode == "" {
				f.peer = func(i, j int) string { return "" }
			}
			for i := range f.nodes {
				f.run(i)
			}
			if test.mode != "" {
				f.awaitIntroduced()
			}
			n.loss.Store(test.loss)
			begun := time.Now()
			c := startCrowd(f, returns)
			if test.death {
				c.await(returns / 2)
				c.live[3].Store(false)
				f.kill(3)
			}
			share, outcomes := c.finish(), f.outcomes()
			t.Logf("%.2f %% of %d returns resumed, in %v, over %d datagrams: %v",
				100*share, c.returned.Load(), time.Since(begun).Round(time.Millisecond), n.pass.Load(), outcomes)
			// An answer that is late says that the machine was busy with other things,
			// unless there are many of them.
			if late := float64(outcomes["late"]) / float64(c.returned.Load()); late < 0.01 || raceEnabled {
				share += late
			}
			if share < test.least || share > test.most {
				t.Errorf("%.4f of the returns resumed, want %v to %v", share, test.least, test.most)
			}
		})
	}
}

// TestSecretRotates: a fleet in service exchanges its secret, node by node, as
// documented, and its clients notice nothing.
func TestSecretRotates(t *testing.T) {
	f := newFleet(t, 3, "push+pull")
	older, newer := f.secretFile("old"), f.secretFile("new")
	for i := range f.nodes {
		f.run(i, older)
	}
	f.awaitIntroduced()
	c := startCrowd(f, 1<<62)
	defer c.finish()
	defer c.stop.Store(true)
	c.await(100)
	for _, secrets := range [][]string{{older, newer}, {newer, older}, {newer}} {
		// Before the old secret goes, sessions made under it have to: in life
		// after ssl-sessions-timeout, here as soon as nobody has one.
		c.awaitFresh()
		for i := range f.nodes {
			c.live[i].Store(false)
			f.nodes[i].Stop()
			f.run(i, secrets...)
			f.awaitIntroduced()
			c.live[i].Store(true)
			c.await(50)
		}
	}
	c.stop.Store(true)
	share := c.finish()
	t.Logf("%.2f %% of %d returns resumed while three nodes restarted three times: %v", 100*share, c.returned.Load(), f.outcomes())
	if share < 0.99 {
		t.Errorf("%.4f of the returns resumed, want 0.99", share)
	}
	for i, s := range f.nodes {
		if dropped := s.shared().Replication.Dropped; dropped["foreign_secret"]+dropped["forged"] > 0 {
			t.Errorf("node %d could not open what the others sent: %v", i, dropped)
		}
	}
}

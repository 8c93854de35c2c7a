package sim

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"reprise/replicate"
)

var (
	seeds   = flag.Int("seeds", 50, "how many scenarios to run")
	from    = flag.Uint64("from", 1, "the seed of the first of them")
	without = flag.String("without", "", "faults that do not happen, by name, separated by commas")
	oneSeed = flag.Uint64("seed", 0, "the only scenario to run, with its log")
)

// TestScenarios runs many random scenarios.
func TestScenarios(t *testing.T) {
	if *oneSeed != 0 {
		scenario(t, *oneSeed)
		return
	}
	var sum counts
	for i := range uint64(*seeds) {
		seed := *from + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { sum.add(scenario(t, seed)) })
	}
	t.Logf("%+v", sum)
	// A scenario in which nothing happens breaks no promise.
	n := *seeds
	if sum.resumed < 50*n || sum.acknowledged < n/2 || sum.spent < 10*n || sum.restores+sum.forks < n {
		t.Errorf("too little happens in %d scenarios: %+v", n, sum)
	}
}

func (c *counts) add(o counts) {
	c.made += o.made
	c.offered += o.offered
	c.resumed += o.resumed
	c.spent += o.spent
	c.acknowledged += o.acknowledged
	c.silent += o.silent
	c.forks += o.forks
	c.restores += o.restores
}

// scenario runs one.
func scenario(t *testing.T, seed uint64) counts { return runScenario(t, seed).counts }

// TestScenariosAreRepeatable: otherwise a failing scenario would be of little use.
func TestScenariosAreRepeatable(t *testing.T) {
	for seed := range uint64(3) {
		first, second := runScenario(t, seed+1).events, runScenario(t, seed+1).events
		for i := range min(len(first), len(second)) {
			if first[i] != second[i] {
				t.Fatalf("scenario %d was at first\n%s\nand then\n%s", seed+1, first[i], second[i])
			}
		}
		if len(first) != len(second) {
			t.Errorf("scenario %d has %d events, and then %d", seed+1, len(first), len(second))
		}
	}
}

func runScenario(t *testing.T, seed uint64) *world {
	cryptotest.SetGlobalRandom(t, seed)
	w := newWorld(t, seed)
	w.single = w.chance(0.5)
	modes := []replicate.Mode{replicate.Auto, replicate.Push, replicate.Homes, replicate.Pull}
	w.mode = modes[w.rand.IntN(len(modes))]
	n := 2 + w.rand.IntN(4)
	w.log("%d nodes, mode %v, single use: %v", n, w.mode, w.single)
	for range n {
		w.addSlot()
	}
	for _, s := range w.slots {
		w.after(w.between(0, 2*time.Second), func() { w.start(s) })
	}
	end := w.now + 20*time.Second
	w.planClients(end)
	w.planFaults(end)
	w.run(end)
	if w.failure != "" || *oneSeed != 0 {
		t.Log("\n" + strings.Join(w.events, "\n"))
	}
	if w.failure != "" {
		t.Fatalf("%s\n\tto run the scenario again:\n\tgo test ./sessions/sim -run TestScenarios -seed %d -v", w.failure, seed)
	}
	return w
}

// planClients schedules clients and their returns.
func (w *world) planClients(end time.Duration) {
	if w.now >= end {
		return
	}
	if s := w.anySlot((*slot).serves); s != nil {
		switch {
		case len(w.clients) == 0 || w.chance(0.2):
			w.full(s)
		case w.chance(0.7): // of the latest sessions
			w.offer(s, w.clients[len(w.clients)-1-w.rand.IntN(min(30, len(w.clients)))])
		default:
			w.offer(s, w.clients[w.rand.IntN(len(w.clients))])
		}
	}
	w.after(w.between(time.Millisecond, 30*time.Millisecond), func() { w.planClients(end) })
}

func (w *world) anySlot(fits func(*slot) bool) *slot {
	first := w.rand.IntN(len(w.slots))
	for i := range w.slots {
		if s := w.slots[(first+i)%len(w.slots)]; fits(s) {
			return s
		}
	}
	return nil
}

// A fault is something that goes wrong, or a command. It is called when a node runs at s.
type fault struct {
	name  string
	share int
	do    func(w *world, s *slot)
}

var faults = []fault{
	{"pause", 1, func(w *world, s *slot) { s.pause(w.between(100*time.Millisecond, lifetime*3/2)) }},
	{"partition", 1, func(w *world, _ *slot) { w.partition(w.between(100*time.Millisecond, lifetime)) }},
	{"restart", 1, (*world).restart},
	{"conditions", 1, func(w *world, _ *slot) {
		w.degradeNetwork(w.between(100*time.Millisecond,
			4*time.Second))
	}},
	{"forget", 3, (*world).forget},
	{"snapshot", 2, func(w *world, s *slot) { w.moments = append(w.moments, s.node.moment()) }},
	{"restore", 1, func(w *world, _ *slot) { w.restoreSome() }},
	{"fork", 1, func(w *world, _ *slot) { w.forkSome() }},
}

// planFaults schedules faults.
func (w *world) planFaults(end time.Duration) {
	var all []fault
	for _, u := range faults {
		if !slices.Contains(strings.Split(*without, ","), u.name) {
			all = append(all, slices.Repeat([]fault{u}, u.share)...)
		}
	}
	var next func()
	next = func() {
		if w.now >= end {
			return
		}
		if s := w.anySlot((*slot).serves); s != nil {
			all[w.rand.IntN(len(all))].do(w, s)
		}
		w.after(w.between(50*time.Millisecond, 1500*time.Millisecond), next)
	}
	w.after(3*time.Second, next)
}

func (w *world) restart(s *slot) {
	w.log("node %d dies", s.index)
	s.kill()
	s.troubleAt = w.now
	w.after(w.between(0, 2*time.Second), func() {
		if s.node == nil {
			w.start(s)
		}
	})
}

// restoreSome sets a node back to an earlier state.
func (w *world) restoreSome() {
	if len(w.moments) == 0 {
		return
	}
	m := w.moments[w.rand.IntN(len(w.moments))]
	s := m.of.slot
	if s.node != m.of {
		return // another life runs there
	}
	n := w.relive(m)
	w.log("node %d is restored from its state %v ago", s.index, w.now-m.at)
	w.counts.restores++
	n.goOn(s)
}

// forkSome starts a node's earlier state at another address.
func (w *world) forkSome() {
	const most = 8
	if len(w.moments) == 0 || len(w.slots) == most {
		return
	}
	m := w.moments[w.rand.IntN(len(w.moments))]
	n := w.relive(m)
	s := w.addSlot()
	s.clone = true
	w.log("node %d is forked from node %d as it was %v ago", s.index, m.of.slot.index, w.now-m.at)
	w.counts.forks++
	n.goOn(s)
}

// partition cuts nodes off from each other for some time.
func (w *world) partition(d time.Duration) {
	w.log("the network falls apart for %v", d)
	for _, s := range w.slots {
		s.group, s.troubleAt = w.rand.IntN(2), w.now
	}
	w.after(d, func() {
		w.log("the network is whole again")
		for _, s := range w.slots {
			s.group, s.troubleAt = 0, w.now
		}
	})
}

// degradeNetwork makes the network lose and delay for some time.
func (w *world) degradeNetwork(d time.Duration) {
	bad := conditions{
		loss: w.rand.Float64() * 0.3, dup: w.rand.Float64() * 0.3, delay: w.between(100*time.Microsecond,
			3*time.Millisecond),
		late: w.rand.Float64() * 0.2, held: w.rand.Float64() * 0.1,
	}
	w.log("the conditions is bad for %v: %+v", d, bad)
	w.conditions = bad
	w.after(d, func() {
		if w.conditions == bad {
			w.conditions = fair
		}
	})
}

package replicate

import (
	"crypto/rand"
	"testing"
	"time"

	"reprise/internal/boottime"
)

// Nodes in contact agree on the deciding node, it is the owner while it is heard, and the
// work is spread over all when it is not.
func TestArbiter(t *testing.T) {
	const nodes = 5
	ids := make([]ID, nodes)
	for i := range ids {
		ids[i] = NewID()
	}
	// heard makes pollers that hear all nodes but one.
	heard := func(without int) (pollers []*Poller) {
		for i := range ids {
			n := &Node{o: Options{ID: ids[i], DeadAfter: time.Hour}}
			up := make(map[ShortID]*peer)
			for j, id := range ids {
				if j != i && j != without {
					up[id.Short()] = &peer{id: id}
				}
			}
			n.up.Store(&up)
			pollers = append(pollers, &Poller{node: n, began: boottime.Now()})
		}
		return pollers
	}
	chosen := make(map[ShortID]int)
	for range 500 {
		var key Key
		_, _ = rand.Read(key[:])
		for i, p := range heard(-1) {
			if arbiter, self := p.Arbiter(key, ids[2].Short()); arbiter != ids[2].Short() ||
				self != (i == 2) {
				t.Fatalf("node %d: %v decides (itself: %t) while the owner is heard", i, arbiter, self)
			}
		}
		var agreed ShortID
		for i, p := range heard(2) {
			if i == 2 {
				continue // is gone
			}
			arbiter, self := p.Arbiter(key, ids[2].Short())
			if self != (arbiter == ids[i].Short()) || i > 0 && arbiter != agreed {
				t.Fatalf("node %d: %v decides (itself: %t), by node 0 it is %v", i, arbiter, self, agreed)
			}
			agreed = arbiter
		}
		chosen[agreed]++
	}
	for i, id := range ids {
		if got := chosen[id.Short()]; i == 2 && got > 0 || i != 2 && (got < 60 || got > 200) {
			t.Errorf("node %d decides about %d of 500 sessions", i, got)
		}
	}
}

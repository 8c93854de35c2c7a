package replicate

import (
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A peer that says it made as many batches as a message may say keeps no receiver busy:
// the gap is given up, and the loop sleeps.
func TestHugeBatchNumbersCostNothing(t *testing.T) {
	const greatest = 1<<62 - 1
	for _, m := range []wire.Heartbeat{
		{Newest: greatest, Oldest: greatest, Sent: 1},
		{Newest: greatest, Oldest: 1, Sent: 1},
		{Newest: 1, Oldest: greatest, Sent: 1},
	} {
		s := newSim(t, 2)
		s.run(3 * time.Second)
		a, b := s.nodes[0], s.nodes[1]
		p := a.peers[b.o.ID]
		a.handleHeartbeat(p, m)
		now := a.clock()
		ticks := 0
		for end := now + 6*time.Second; now < end; ticks++ {
			p.seen = now // it lives on
			if now = max(a.Tick(now), now+50*time.Microsecond); ticks > 5000 {
				t.Fatalf("%+v: the node spins", m)
			}
		}
		if in := &p.in[wire.StreamAll]; !in.batches.complete() {
			t.Errorf("%+v: batches are still waited for", m)
		}
	}
}

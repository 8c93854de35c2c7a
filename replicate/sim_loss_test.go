package replicate

import (
	"fmt"
	"testing"
	"time"
)

// Repairs keep up with a load that never pauses: what is lost comes soon after,
// and nothing is given up.
func TestSustainedLoss(t *testing.T) {
	for _, loss := range []float64{0.05, 0.2} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			s := newSim(t, 3)
			s.run(3 * time.Second)
			s.loss, s.dup = loss, loss
			const sessions = 8000
			behind := 0
			for i := range sessions {
				s.nodes[0].publish(simKey(i), "session")
				s.run(time.Millisecond)
				behind = max(behind, i+1-len(s.nodes[1].memory.sessions))
			}
			s.run(time.Second)
			for _, n := range s.nodes[1:] {
				if got := len(n.memory.sessions); got != sessions {
					t.Errorf("a node has %d sessions of %d", got, sessions)
				}
				if lost := n.peers[s.nodes[0].o.ID].counts.Lost.Load(); lost != 0 {
					t.Errorf("%d batches were given up", lost)
				}
			}
			t.Logf("at most %d ms of sessions behind", behind)
			if behind > 100 {
				t.Errorf("a node was %d sessions behind, at 1,000 a second: repairs do not keep up", behind)
			}
		})
	}
}

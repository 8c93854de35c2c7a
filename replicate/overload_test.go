package replicate

import (
	"testing"
	"time"

	"reprise/internal/nettest"
)

// Loops make ten times more sessions than the ring holds, all at once. What is
// refused is counted, nothing else is lost, and every session is found.
func TestOverload(t *testing.T) {
	fleet := loopbackFleet(t, 2, nil)
	a, b := fleet[0], fleet[1]
	nettest.Eventually(t, 10*time.Second, func() bool { return b.Stats().Join == "done" }, "no join")
	const sessions = 10 * 4096 // ten rings
	stop, stopped := make(chan struct{}), make(chan struct{})
	a.do(func() { close(stopped); <-stop }) // the poller does not get the processor
	<-stopped
	refused := 0
	for i := range sessions {
		a.memory.Put(simKey(i), []byte("session"), 0, time.Minute, false)
		if !a.Publish(Update{Kind: UpdateSession, Key: simKey(i), Left: time.Minute, Value: []byte("session")}) {
			refused++
		}
	}
	close(stop)
	if got := a.Stats().RingDropped; refused != sessions-4096 || got != uint64(refused) {
		t.Errorf("%d refused and %d counted, want %d", refused, got, sessions-4096)
	}
	nettest.Eventually(t, 20*time.Second, func() bool { return b.memory.len() == 4096 }, "what the ring took did not arrive")
	answers := make(chan bool)
	for i := 4096; i < sessions; i += 512 {
		b.TryAsk(&Question{Key: simKey(i), Owner: a.node.o.ID.Short(), Answer: func(r Reply) { answers <- r.Verdict == Found }})
		if !<-answers {
			t.Fatalf("session %d was not found by asking", i)
		}
	}
}

package replicate

import (
	"net/netip"
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
		b.TryAsk(&Question{
			Key: simKey(i), Owner: a.node.o.ID.Short(),
			Answer: func(r Reply) { answers <- r.Verdict == Found },
		})
		if !<-answers {
			t.Fatalf("session %d was not found by asking", i)
		}
	}
}

// A ring that is full of sessions leaves room for deletes and releases.
func TestFullRingTakesDeletesAndReleases(t *testing.T) {
	p, err := NewPoller(PollerOptions{
		Network: Network{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}, RingLen: 8,
	}, Options{
		ID: NewID(), Secrets: []Secret{testSecret(t, "a cluster secret for tests")}, DatagramLen: 1200, HoldFor: time.Second,
	}, newMapMemory(func() time.Duration { return 0 }))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() // it was never started
	for p.Publish(Update{Kind: UpdateSession, Key: simKey(1), Left: time.Minute, Value: []byte("session")}) {
	}
	if !p.Publish(Update{Kind: UpdateDelete, Key: simKey(1), Left: time.Minute}) {
		t.Error("there was no room for a delete")
	}
	peer := p.node.meet(NewID())
	p.Release(simKey(2), peer.id.Short(), 7)
	p.drain(p.Now())
	if got := p.node.counts.DeletesOut.Load(); got != 1 {
		t.Errorf("%d deletes were told, want 1", got)
	}
	if got := len(p.node.holds.releases); got != 1 {
		t.Errorf("%d releases were told, want 1", got)
	}
	if got := p.Stats().RingDropped; got != 1 {
		t.Errorf("%d updates were dropped, want the session for which there was no room", got)
	}
}

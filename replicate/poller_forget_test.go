package replicate

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// A node that ends while it waits for a silent peer does not report that all have obeyed.
func TestForgetAtTheEndIsAnError(t *testing.T) {
	addrs := []netip.AddrPort{
		netip.MustParseAddrPort(nettest.FreeAddr(t)),
		netip.MustParseAddrPort(nettest.FreeAddr(t)),
	}
	memory := &lockedMemory{mapMemory: newMapMemory(
		func() time.Duration { return time.Since(testBegan) })}
	a, err := NewPoller(PollerOptions{
		Network: Network{Listen: addrs[:1], Peers: addrs[1:]},
		RingLen: 16,
	}, Options{
		ID: NewID(), Secrets: []Secret{testSecret(t, "a cluster secret for tests")}, DatagramLen: 1200,
		Heartbeat: 50 * time.Millisecond, DeadAfter: time.Second, HoldFor: time.Second,
		KnownFor: time.Minute,
	}, memory)
	if err != nil {
		t.Fatal(err)
	}
	a.Start() // its peer has never been heard, so it is waited for
	asked := make(chan struct{})
	result := make(chan error, 1)
	go func() {
		close(asked)
		_, err := a.Forget(ForgetAll, 0)
		result <- err
	}()
	<-asked
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("a forget that was under way at the end: %v, want ErrClosed", err)
	}
}

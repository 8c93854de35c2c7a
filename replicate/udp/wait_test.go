package udp

import (
	"net/netip"
	"testing"
	"time"
)

func open(t testing.TB, n int) *Sockets {
	t.Helper()
	network := new(Network)
	for range n {
		network.Listen = append(network.Listen, netip.MustParseAddrPort("127.0.0.1:0"))
	}
	s, err := Open(network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A wait ends when a datagram is there, when it is woken, and when its time is over;
// and again as long as datagrams are left.
func TestWaiter(t *testing.T) {
	s := open(t, 2)
	w, err := NewWaiter(s.List)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	const long = 30 * time.Second
	wait := func(d time.Duration, wantReady int, wantWoken bool) {
		t.Helper()
		ready, woken, err := w.Wait(d)
		if err != nil || woken != wantWoken || len(ready) != min(wantReady+1, 1) || len(ready) > 0 && ready[0] != wantReady {
			t.Fatalf("ready %v, woken %v, %v; want %d, %v", ready, woken, err, wantReady, wantWoken)
		}
	}
	const none = -1
	wait(time.Millisecond, none, false)

	w.Wake()
	w.Wake()
	wait(long, none, true)
	wait(time.Millisecond, none, false)

	s.Send(s.List[1].Addr, []byte("datagram"))
	s.Send(s.List[1].Addr, []byte("datagram"))
	s.Flush()
	in := NewBatch(1, 100)
	for range 2 {
		wait(long, 1, false)
		if n, err := in.Receive(s.List[1].FD, func(_ netip.AddrPort, d []byte) {
			if string(d) != "datagram" {
				t.Errorf("received %q", d)
			}
		}); n != 1 || err != nil {
			t.Fatalf("received %d, %v", n, err)
		}
	}
	wait(time.Millisecond, none, false)

	// While it waits.
	for range 200 {
		go w.Wake()
		wait(long, none, true)
		go func() { w.Wake() }()
		wait(long, none, true)
	}
}

// Waiting and waking make no garbage.
func TestWaiterDoesNotAllocate(t *testing.T) {
	w, err := NewWaiter(open(t, 1).List)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got := testing.AllocsPerRun(100, func() {
		w.Wake()
		if _, woken, err := w.Wait(time.Second); !woken || err != nil {
			t.Fatal(woken, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations for a wake-up", got)
	}
	if got := testing.AllocsPerRun(10, func() { _, _, _ = w.Wait(100 * time.Microsecond) }); got > 1 {
		t.Errorf("%v allocations for a time-out", got)
	}
}

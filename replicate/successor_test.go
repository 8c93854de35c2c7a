package replicate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/nettest"
)

// TestSuccessor: a process goes on as a node whose process has ended. Peers take it for
// the same, hear it at once and are heard, and a command to forget waits for no other.
func TestSuccessor(t *testing.T) {
	fleet := loopbackFleet(t, 3, nil)
	old, peer := fleet[0], fleet[1]
	published := 0
	publish := func(from *livePoller, n int) {
		t.Helper()
		for range n {
			published++
			u := Update{Kind: UpdateSession, Key: testKey(published), Value: []byte("session"), Left: time.Minute}
			if !from.Publish(u) {
				t.Fatal("the ring is full")
			}
		}
	}
	arrived := func() bool {
		for i := range published {
			if _, _, _, ok := peer.memory.Find(nil, testKey(i+1)); !ok {
				return false
			}
		}
		return true
	}
	publish(old, 100)
	nettest.Eventually(t, 10*time.Second, arrived, "sessions of the old process arrive")

	for range 3 {
		publish(old, 10) // some of these still wait
		next := succeeded(t, old)
		nettest.Eventually(t, 10*time.Second, func() bool { return next.introducedLen() == 2 }, "peers introduce themselves to the successor")
		publish(next, 10)
		nettest.Eventually(t, 10*time.Second, arrived, "sessions of both processes arrive")
		u := Update{
			Kind: UpdateSession, Key: testKey(1000 + published), Value: []byte("session"),
			Left: time.Minute,
		}
		peer.Publish(u)
		nettest.Eventually(t, 10*time.Second, func() bool {
			_, _, _, ok := next.memory.Find(nil, u.Key)
			return ok
		}, "sessions of peers arrive")
		old = next
	}
	if n := peer.introducedLen(); n != 2 {
		t.Errorf("a peer knows %d others, want 2", n)
	}
	f, err := peer.Forget(ForgetAll, 0)
	if err != nil || len(f.Silent) > 0 {
		t.Errorf("forget: silent are %v, %v", f.Silent, err)
	}
	_ = peer.Close() // its log is quiet from now on
	peer.retired = true
	for _, bad := range []string{"has ended", "not heard any more"} {
		if strings.Contains(peer.log.String(), bad) {
			t.Errorf("a peer says that one %s:\n%s", bad, peer.log)
		}
	}
}

// succeeded ends the process of a node, and returns the one that goes on.
func succeeded(t *testing.T, old *livePoller) *livePoller {
	state := old.Suspend()
	var inherited []Socket
	for _, s := range old.Sockets() {
		fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		inherited = append(inherited, Socket{s.Address, fd})
	}
	network := Network{
		Listen: []netip.AddrPort{inherited[0].Address},
		Inherit: func(addr netip.AddrPort) int {
			if addr != inherited[0].Address {
				t.Errorf("asked for %v, want %v", addr, inherited[0].Address)
			}
			return inherited[0].FD
		},
	}
	if err := old.Retire(); err != nil {
		t.Fatal(err)
	}
	// It is told of no peer: it knows those that the old one knew.
	return succeedPoller(t, network, state)
}

// TestSuspendedGoesOn: a node whose successor has not come up continues as before.
func TestSuspendedGoesOn(t *testing.T) {
	fleet := loopbackFleet(t, 2, nil)
	for i := range 3 {
		fleet[0].Suspend()
		fleet[0].Resume()
		fleet[0].Publish(Update{Kind: UpdateSession, Key: testKey(i), Value: []byte("session"), Left: time.Minute})
		nettest.Eventually(t, 10*time.Second, func() bool { return fleet[1].memory.len() == i+1 }, "sessions arrive")
	}
}

// succeedPoller runs a poller that goes on as another.
func succeedPoller(t *testing.T, network Network, s State) *livePoller {
	t.Helper()
	l := newPoller(t, "a cluster secret for tests", network, func(o *Options) { o.ID = s.ID })
	l.Succeed(s, 0)
	l.Start()
	return l
}

func testKey(i int) (k Key) {
	k[0], k[1], k[2] = byte(i), byte(i>>8), 1
	return k
}

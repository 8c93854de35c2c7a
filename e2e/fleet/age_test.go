package fleet

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// lifetime is that of sessions in tests that wait for its end.
const lifetime = 4 * time.Second

var shortLived = []string{"--ssl-sessions-timeout=4s", "--cache-udp-heartbeat=100ms", "--cache-udp-dead-after=1s", patientLookup}

// patientLookup is for tests of results, not of speed, on a machine that is busy with other things.
const patientLookup = "--cache-lookup-timeout=1s"

// awaitEnd lets time pass until sessions made before now are too old. The wait is part of the test,
// not synchronisation.
func awaitEnd() { time.Sleep(lifetime + lifetime/4) }

// wantAllAlive checks that every session resumes at node i, at last, unless a machine that is
// busy with other things was so slow that the oldest, born then, may have ended.
func (f *fleet) wantAllAlive(i int, holders []holder, born time.Time) {
	f.T.Helper()
	for _, h := range holders {
		nettest.Eventually(f.T, harness.Patience, func() bool {
			return f.resumes(i, h) || time.Since(born) > lifetime
		}, "%v resumes at node %d", h, i)
	}
}

// TestExpiredStaysExpired: a session that was too old is never resumed again, even if nodes join
// afterwards, and in whatever order nodes restart.
func TestExpiredStaysExpired(t *testing.T) {
	t.Parallel()
	t.Run("a node joins", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, shortLived...)
		f.Run(0)
		born := time.Now()
		held := f.hold(0)
		f.wantAllAlive(0, held, born) // it is a session
		awaitEnd()
		f.Run(1)
		f.AwaitIntroduced()
		f.wantNever("expired, then node 1 joined", held, 1, 0)
		f.Restart(1)
		f.AwaitIntroduced()
		f.wantNever("expired, then node 1 was restarted", held, 1, 0)
	})
	testExpiredWithRestarts(t)
	t.Run("a node slept over the end", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 2, shortLived...)
		f.Nodes[1].Signal(syscall.SIGSTOP)
		held := f.hold(0)
		awaitEnd()
		f.Nodes[1].Signal(syscall.SIGCONT)
		f.AwaitIntroduced()
		f.wantNever("expired while node 1 slept", held, 1, 0)
	})
	t.Run("the network held it back", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, shortLived...)
		n := newNetwork(f.Fleet)
		f.RunAll()
		n.setPolicy(n.holdBack)
		held := f.hold(0)
		awaitEnd()
		n.setPolicy(nil)
		n.deliverHeld()
		f.AwaitIntroduced()
		f.wantNever("expired on the network", held, 1, 0)
	})
	testExpiredInStores(t)
}

// testExpiredWithRestarts: nor if nodes restart, before the end or after it.
func testExpiredWithRestarts(t *testing.T) {
	t.Run("all nodes restart in turn", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 3, shortLived...)
		born := time.Now()
		held := f.hold(0)
		for i := range f.Nodes {
			f.wantAllAlive(i, held, born)
		}
		awaitEnd()
		for _, i := range []int{2, 1, 0, 1} {
			f.Restart(i)
			f.AwaitIntroduced()
			f.wantNever("expired, then nodes were restarted", held, 0, 1, 2)
		}
	})
	t.Run("all nodes restart before the end", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 3, shortLived...)
		held := f.hold(0)
		born := time.Now()
		for i := 0; time.Since(born) < lifetime+lifetime/4; i++ {
			f.Restart(i % len(f.Nodes))
			f.AwaitIntroduced()
		}
		f.wantNever("kept alive by restarts", held, 0, 1, 2)
	})
}

// testExpiredInStores: nor is one that a store has kept.
func testExpiredInStores(t *testing.T) {
	t.Run("a store in between", func(t *testing.T) {
		t.Parallel()
		born := time.Now()
		f, _, held := startStored(t, shortLived...)
		f.Restart(0)
		f.wantAllAlive(0, held, born) // it is what the store is for
		awaitEnd()
		f.Restart(0)
		f.wantNever("expired in the store", held, 0)
	})
	// A store can be restored from a backup, and lives beyond the fleet's clocks.
	t.Run("a store that never lets go", func(t *testing.T) {
		t.Parallel()
		f, addr, held := startStored(t, shortLived...)
		for _, key := range redisKeys(t, addr) {
			redisCommand(t, addr, "PEXPIRE", key, "864000000")
		}
		awaitEnd()
		f.Restart(0)
		f.wantNever("expired by what is sealed in it", held, 0)
	})
	t.Run("a store that slept", func(t *testing.T) {
		t.Parallel()
		process, addr := redis(t)
		f := newFleet(t, 1, append(shortLived, "--session-store=redis://"+addr)...)
		f.Run(0)
		f.awaitStored(len(f.hold(0)))
		process.Signal(syscall.SIGSTOP)
		defer process.Signal(syscall.SIGCONT) // or it could not end
		held := f.hold(0)
		awaitEnd()
		process.Signal(syscall.SIGCONT)
		f.Restart(0)
		f.wantNever("expired before it was written", held, 0)
	})
}

// startStored runs one node, which has written some sessions into a store at addr.
func startStored(t *testing.T, options ...string) (f *fleet, addr string, held []holder) {
	t.Helper()
	_, addr = redis(t)
	f = newFleet(t, 1, append(slices.Clone(options), "--session-store=redis://"+addr)...)
	f.Run(0)
	held = f.hold(0)
	f.awaitStored(len(held))
	return f, addr, held
}

// awaitStored waits until node 0 has written as many sessions, and all it had, into its store.
// It is not asked how many it has: some may have ended already.
func (f *fleet) awaitStored(n int) {
	f.T.Helper()
	nettest.Eventually(f.T, harness.Patience, func() bool {
		s := f.Nodes[0].Shared().Store1
		return s.Sets >= uint64(n) && s.WriteQueue == 0
	}, "%d sessions are in the store", n)
}

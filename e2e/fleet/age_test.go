package fleet

import (
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// lifetime is that of sessions in tests that wait for its end.
const lifetime = 4 * time.Second

var shortLived = []string{"--ssl-sessions-timeout=4s", "--cache-udp-heartbeat=100ms", "--cache-udp-dead-after=1s", patientLookup}

// patientLookup is for tests of what is found, not of how fast, on a machine that
// is busy with other things.
const patientLookup = "--cache-lookup-timeout=1s"

// awaitEnd lets time pass until sessions made before now are too old. That is
// life, not synchronisation.
func awaitEnd() { time.Sleep(lifetime + lifetime/4) }

// TestExpiredStaysExpired: a session that was too old is never resumed again,
// whoever joins afterwards, and in whatever order nodes restart.
func TestExpiredStaysExpired(t *testing.T) {
	t.Run("a node joins", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, shortLived...)
		f.run(0)
		held := f.hold(0)
		f.wantAll(0, held) // it is a session
		awaitEnd()
		f.run(1)
		f.awaitIntroduced()
		f.wantNever("expired, then node 1 joined", held, 1, 0)
		f.restart(1)
		f.awaitIntroduced()
		f.wantNever("expired, then node 1 was restarted", held, 1, 0)
	})
	t.Run("all nodes restart in turn", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 3, shortLived...)
		held := f.hold(0)
		for i := range f.nodes {
			f.wantAll(i, held)
		}
		awaitEnd()
		for _, i := range []int{2, 1, 0, 1} {
			f.restart(i)
			f.awaitIntroduced()
			f.wantNever("expired, then nodes were restarted", held, 0, 1, 2)
		}
	})
	t.Run("all nodes restart before the end", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 3, shortLived...)
		held := f.hold(0)
		born := time.Now()
		for i := 0; time.Since(born) < lifetime+lifetime/4; i++ {
			f.restart(i % len(f.nodes))
			f.awaitIntroduced()
		}
		f.wantNever("kept alive by restarts", held, 0, 1, 2)
	})
	t.Run("a node slept over the end", func(t *testing.T) {
		t.Parallel()
		f := startFleet(t, 2, shortLived...)
		f.nodes[1].Signal(syscall.SIGSTOP)
		held := f.hold(0)
		awaitEnd()
		f.nodes[1].Signal(syscall.SIGCONT)
		f.awaitIntroduced()
		f.wantNever("expired while node 1 slept", held, 1, 0)
	})
	t.Run("the network held it back", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 2, shortLived...)
		n := newNetwork(f)
		f.runAll()
		n.setPolicy(n.holdBack)
		held := f.hold(0)
		awaitEnd()
		n.setPolicy(nil)
		n.deliverHeld()
		f.awaitIntroduced()
		f.wantNever("expired on the network", held, 1, 0)
	})
	t.Run("a store in between", func(t *testing.T) {
		t.Parallel()
		_, addr := redis(t)
		f := newFleet(t, 1, append(shortLived, "--session-store=redis://"+addr)...)
		f.run(0)
		held := f.hold(0)
		f.awaitStored(addr, len(held))
		f.restart(0)
		f.wantAll(0, held) // it is what the store is for
		awaitEnd()
		f.restart(0)
		f.wantNever("expired in the store", held, 0)
	})
	// A store can be restored from a backup, and lives beyond the fleet's clocks.
	t.Run("a store that never lets go", func(t *testing.T) {
		t.Parallel()
		_, addr := redis(t)
		f := newFleet(t, 1, append(shortLived, "--session-store=redis://"+addr)...)
		f.run(0)
		held := f.hold(0)
		f.awaitStored(addr, len(held))
		for _, key := range redisKeys(t, addr) {
			redisCommand(t, addr, "PEXPIRE", key, "864000000")
		}
		awaitEnd()
		f.restart(0)
		f.wantNever("expired by what is sealed in it", held, 0)
	})
	t.Run("a store that slept", func(t *testing.T) {
		t.Parallel()
		process, addr := redis(t)
		f := newFleet(t, 1, append(shortLived, "--session-store=redis://"+addr)...)
		f.run(0)
		f.awaitStored(addr, len(f.hold(0)))
		process.Signal(syscall.SIGSTOP)
		defer process.Signal(syscall.SIGCONT) // or it could not end
		held := f.hold(0)
		awaitEnd()
		process.Signal(syscall.SIGCONT)
		f.restart(0)
		f.wantNever("expired before it was written", held, 0)
	})
}

// awaitStored waits until the store has so many sessions.
func (f *fleet) awaitStored(addr string, n int) {
	f.t.Helper()
	nettest.Eventually(f.t, patience, func() bool { return len(redisKeys(f.t, addr)) >= n }, "%d sessions are in the store", n)
}

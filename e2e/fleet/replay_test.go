package fleet

import (
	"crypto/tls"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestReplayedHellosFillNothing: a ClientHello recorded once and replayed again and again by an
// attacker who cannot finish the handshake puts nothing into the memory of the fleet, and nothing
// out of it.
func TestReplayedHellosFillNothing(t *testing.T) {
	t.Parallel()
	const replays, genuine = 1200, 20
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, 2, append(quickFleet, "--cache2=name=ssl,items=1000,keysize=128,blocksize=4096")...)
			held := make([]holder, genuine)
			for i := range held {
				held[i] = f.goHolder(0, version)
			}
			f.awaitLevel()
			before := f.Nodes[1].Shared().Caches[0].Items
			hello := harness.ClientHello(t, f.newHolder(version).config)
			for range replays {
				conn, err := nettest.Dial(f.TLS(0))
				if err != nil {
					t.Fatal(err)
				}
				conn.SetDeadline(time.Now().Add(harness.Patience))
				if _, err := conn.Write(hello); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Read(make([]byte, 1)); err != nil { // the server has done its part
					t.Fatal(err)
				}
				conn.Close()
			}
			f.awaitLevel()
			for i, n := range f.Nodes {
				if items := n.Shared().Caches[0].Items; items != before {
					t.Errorf("node %d remembers %d sessions after %d replays, %d before", i, items, replays, before)
				}
			}
			for i := range f.Nodes {
				f.wantAll(i, held)
			}
		})
	}
}

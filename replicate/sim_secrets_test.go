package replicate

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A secret leaked and is exchanged for another, which happens to have the same id of
// one byte: the old one is worth nothing all the same.
func TestSecretsOfOneIDAreDistinguished(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	old := a.secrets[0].Secret
	var fresh Secret
	for i := 0; ; i++ {
		if fresh = testSecret(t, fmt.Sprintf("another cluster secret %d", i)); fresh.ID() == old.ID() {
			break
		}
	}
	a.Rekey(a.clock(), []Secret{fresh})
	a.tick()
	if p := a.peers[b.o.ID]; p.introduced {
		t.Error("a peer that was introduced under the secret that is gone is believed")
	}
	out := a.out
	var batch []byte
	a.out = transportFunc(func(_ netip.AddrPort, d []byte) { batch = slices.Clone(d) })
	a.publish(simKey(1), "session")
	a.out = out
	h, _ := wire.ParseHeader(batch)
	if _, reason := b.peers[a.o.ID].opener.Open(nil, batch, h, b.clock()); reason == wire.Opened {
		t.Error("the keys of nodes with the old secret open what is sealed after it has gone")
	}
	// With both alive at b, the second of the two introduces.
	b.Rekey(b.clock(), []Secret{old, fresh})
	s.run(3 * time.Second)
	if p := b.peers[a.o.ID]; !p.introduced || !p.secret.Is(fresh.Fingerprint()) {
		t.Error("not introduced by the second of two secrets with one id")
	}
}

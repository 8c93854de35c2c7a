package replicate

import (
	"bytes"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A ring under one goroutine is a bounded list. Each byte is a push of a value of
// that length, or drains.
func FuzzRing(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 0x83, 6, 7, 0x82, 8, 0x8f})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const slots = 4
		r := NewRing(slots)
		var model []Update
		for i, op := range ops {
			if op < 0x80 {
				u := Update{
					Kind: UpdateSession, Key: Key{byte(i), byte(i >> 8)},
					Value: bytes.Repeat([]byte{byte(i)}, 8*int(op)),
				}
				pushed := r.TryPush(u)
				if pushed != (len(model) < slots) {
					t.Fatalf("op %d: pushed %v with %d in the ring", i, pushed, len(model))
				}
				if pushed {
					model = append(model, u)
				}
				continue
			}
			n := r.Drain(int(op&0x7f), func(u *Update) {
				if u.Key != model[0].Key || !bytes.Equal(u.Value, model[0].Value) {
					t.Fatalf("op %d: drained %+v, want %+v", i, *u, model[0])
				}
				model = model[1:]
			})
			if n < int(op&0x7f) && len(model) > 0 {
				t.Fatalf("op %d: drained %d, %d left", i, n, len(model))
			}
			if sleeps := r.Sleep(); sleeps != (len(model) == 0) {
				t.Fatalf("op %d: Sleep %v with %d in the ring", i, sleeps, len(model))
			}
		}
	})
}

// Messages of a peer, well sealed, and any other bytes do no harm: the node
// goes on, and what it remembers has its bounds.
func FuzzNode(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(wire.Ask{Key: keyA, Flags: wire.FlagHold}.Append(nil), true)
	f.Add(wire.Batch{Seq: 1 << 63}.Append(nil), true)
	f.Add(wire.Batch{Stream: 9, Seq: 1}.Append(nil), true)
	f.Add(wire.Heartbeat{Newest: 1<<64 - 1, Oldest: 7, Rules: 1}.Append(nil), true)
	f.Add(wire.Echo{Sent: 1, Stream: 1, Newest: 1 << 62, Oldest: 1 << 61}.Append(nil), true)
	f.Add(wire.Repair{Stream: 1, Ranges: wire.Ranges{}.Append(wire.Range{
		First: 0,
		Count: 65535,
	})}.Append(nil), true)
	f.Add(wire.SnapshotRequest{Stream: 1, Cursor: 1 << 60, Parts: wire.Parts{}.Append(9)}.Append(nil),
		true)
	f.Add(wire.SnapshotPart{Parts: 65535}.Append(nil), true)
	f.Add(wire.Members{List: wire.MemberList{}.Append(wire.Member{
		ID:   ShortID{1},
		Addr: elsewhere,
	})}.Append(nil), true)
	f.Add(wire.Rules{List: wire.RuleList{}.Append(Rule{What: 200, Left: time.Hour})}.Append(nil), true)
	f.Add(wire.Leave{}.Append(nil), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		n, _, out, peer := pairOf(t)
		now := time.Duration(0)
		for range 3 {
			now += time.Second
			d := b
			if sealed && len(b) < 16<<10 {
				d = peer.seal(now, b)
			}
			out.last = out.last[:0]
			n.Receive(now, elsewhere, d)
			if !sealed && len(out.last) > len(d) {
				t.Fatalf("%d unsealed bytes drew %d", len(d), len(out.last))
			}
			n.Tick(now)
		}
		if len(n.peers) > 1 || len(n.rumours) > maxRumours || len(n.holds.given) > 3 ||
			len(n.snapshot.donations) > maxDonations {
			t.Fatalf("%d peers, %d rumours, %d holds", len(n.peers), len(n.rumours), len(n.holds.given))
		}
	})
}

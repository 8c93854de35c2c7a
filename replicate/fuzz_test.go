package replicate

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// What was not sealed as it is does not open, and leaves no trace.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("messages"), []byte{}, uint16(0))
	f.Add([]byte("messages"), []byte{wireVersion ^ 2}, uint16(0))
	f.Add([]byte("messages"), append(make([]byte, 25), 1), uint16(0))
	f.Add([]byte("messages"), append(make([]byte, headerLen+8), 0x80), uint16(0))
	f.Add([]byte{}, []byte{}, uint16(1))
	f.Add(make([]byte, 2000), []byte{}, uint16(30))
	secret, sender := clusterSecret(f, 1), ID{1}
	f.Fuzz(func(t *testing.T, messages, flips []byte, cut uint16) {
		good := NewSealer(secret, sender).Seal(nil, messages)
		o := NewOpener([]Secret{secret}, sender)
		dst := []byte("kept")

		// flips is a forgery as well as a change.
		for _, bad := range [][]byte{altered(good, flips, int(cut)), flips} {
			if bytes.Equal(bad, good) {
				continue
			}
			if got, reason := o.Open(dst, bad); reason == Opened || string(got) != "kept" {
				t.Fatalf("%x opened as %q, %v", bad, got, reason)
			}
		}
		if got, reason := o.Open(dst, good); reason != Opened || !bytes.Equal(got[4:], messages) {
			t.Fatalf("the good one opened as %q, %v", got, reason)
		}
		if _, reason := o.Open(dst, good); reason != Replayed {
			t.Fatalf("the good one again: %v", reason)
		}
	})
}

// altered returns datagram with flips' bits flipped and cut bytes off its end.
func altered(datagram, flips []byte, cut int) []byte {
	b := bytes.Clone(datagram)
	for i := range min(len(flips), len(b)) {
		b[i] ^= flips[i]
	}
	return b[:len(b)-min(cut, len(b))]
}

// Whatever parses, reads the same once written again; whatever does not, says
// nothing.
func FuzzMessages(f *testing.F) {
	for _, tt := range wireTests {
		f.Add(unhex(f, tt.want))
	}
	f.Add(unhex(f, "f9 0003 010203 0b 0012 0000000000000006 01 1122334455667788 ff"))
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		ms, ok := ParseMessages(plaintext)
		var again []byte
		var want []message
		for m := range ms.All() {
			c := m.contents(t)
			want, again = append(want, c), c.Append(again)
		}
		if !ok && want != nil {
			t.Fatalf("malformed, and has %d messages", len(want))
		}
		if len(again) > len(plaintext) {
			t.Fatalf("%d bytes became %d", len(plaintext), len(again))
		}
		var got []message
		ms, ok = ParseMessages(again)
		for m := range ms.All() {
			got = append(got, m.contents(t))
		}
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: got %+v, want %+v", plaintext, got, want)
		}
	})
}

// Records that parse are whole, and pack into the same bytes.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(pack(sessionA, deleteA)))
	f.Add([]byte(pack(Update{Kind: UpdateSession, Left: time.Hour, Value: make([]byte, 600)}, sessionA)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !Records(b).wellFormed() {
			return
		}
		var got []byte
		for u := range Records(b).All() {
			if len(u.Value) > maxValueLen {
				return // parses, but is never sent
			}
			p := NewBatchPacker(0)
			if !p.TryAdd(&u) {
				t.Fatal("refused by an empty packer")
			}
			got = append(got, p.Records()...)
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("got %x, want %x", got, b)
		}
	})
}

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
				u := Update{Kind: UpdateSession, Key: Key{byte(i), byte(i >> 8)}, Value: bytes.Repeat([]byte{byte(i)}, 8*int(op))}
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

package tlsconn

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

var testHandle = Handle{
	Owner: NodeID{0xa1, 0xa2, 0xa3, 0xa4},
	Key:   Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
}

// The wire form, to be read beside doc.go. It must never change under one
// version: a fleet is updated node by node.
func TestHandleWireForm(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").Sealer()
	want := strings.Join([]string{
		"4d",                               // version 2, id of the key
		"a1a2a3a4",                         // owner
		"000102030405060708090a0b0c0d0e0f", // key
		"2abf07b0b451d2d7eb181d",           // tag
	}, "")
	if got := hex.EncodeToString(sealer.Append([]byte("prefix"), testHandle)[len("prefix"):]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHandleRoundTrip(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").Sealer()
	wire := sealer.Append(nil, testHandle)
	if len(wire) != HandleLen {
		t.Errorf("got %d bytes, want %d", len(wire), HandleLen)
	}
	if got, ok := sealer.Open(wire); !ok || got != testHandle {
		t.Errorf("got %+v, %t, want %+v", got, ok, testHandle)
	}
}

func TestHandleRefusesEveryFlippedBit(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").Sealer()
	wire := sealer.Append(nil, testHandle)
	for bit := range 8 * len(wire) {
		if _, ok := sealer.Open(flip(wire, bit)); ok {
			t.Errorf("bit %d flipped: accepted", bit)
		}
	}
	for n := range wire {
		if _, ok := sealer.Open(wire[:n]); ok {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
	if _, ok := sealer.Open(append(slices.Clone(wire), 0)); ok {
		t.Error("one byte longer: accepted")
	}
}

// The id of a key only says which to try: with another cluster's id in its
// place the tag still decides.
func TestHandleOfAnotherKey(t *testing.T) {
	ours := handleKeys(t, "secret of the test cluster").Sealer()
	wire := handleKeys(t, "secret of another cluster").Sealer().Append(nil, testHandle)
	for _, id := range []byte{wire[0] & handleKeyMask, ours.keys[0].id} {
		wire[0] = handleVersion | id
		if _, ok := ours.Open(wire); ok {
			t.Errorf("key id %d: accepted", id)
		}
	}
}

func TestHandleKeysRefuse(t *testing.T) {
	long := []byte("sixteen bytes ok")
	for name, secrets := range map[string][][]byte{
		"none":         nil,
		"empty":        {{}},
		"short":        {long[:15]},
		"second short": {long, long[:15]},
	} {
		if _, err := NewHandleKeys(secrets...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewHandleKeys(long); err != nil {
		t.Error(err)
	}
}

// Two keys may have the same id: then the tag says which it was.
func TestHandleKeysWithOneID(t *testing.T) {
	var secrets []string
	for i := byte('a'); len(secrets) < 2; i++ {
		secret := "secret of cluster " + string(i)
		if handleKeys(t, secret).live[0].id == handleKeys(t, "secret of cluster a").live[0].id {
			secrets = append(secrets, secret)
		}
	}
	both := handleKeys(t, secrets...).Sealer()
	for _, secret := range secrets {
		if got, ok := both.Open(handleKeys(t, secret).Sealer().Append(nil, testHandle)); !ok ||
			got != testHandle {
			t.Errorf("%s: got %+v, %t", secret, got, ok)
		}
	}
}

// The tag is HMAC-SHA-256 as the standard library makes it.
func TestHandleTag(t *testing.T) {
	keys := handleKeys(t, "secret of the test cluster")
	wire := keys.Sealer().Append(nil, testHandle)
	mac := hmac.New(sha256.New, keys.live[0].secret[:])
	mac.Write(wire[:handleTagAt])
	if want := mac.Sum(nil)[:handleTagLen]; !bytes.Equal(wire[handleTagAt:], want) {
		t.Errorf("got %x, want %x", wire[handleTagAt:], want)
	}
}

func TestHandleCostsNoAllocation(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").Sealer()
	wire := sealer.Append(nil, testHandle)
	if got := testing.AllocsPerRun(100, func() {
		wire = sealer.Append(wire[:0], testHandle)
		sealer.Open(wire)
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkHandleOpen(b *testing.B) {
	sealer := handleKeys(b, "secret of the test cluster").Sealer()
	wire := sealer.Append(nil, testHandle)
	b.ReportAllocs()
	for b.Loop() {
		sealer.Open(wire)
	}
}

func handleKeys(t testing.TB, secrets ...string) *HandleKeys {
	t.Helper()
	var list [][]byte
	for _, s := range secrets {
		list = append(list, []byte(s))
	}
	keys, err := NewHandleKeys(list...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func flip(b []byte, bit int) []byte {
	b = slices.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// FuzzHandleOpen: whatever is accepted is exactly what this fleet would make.
func FuzzHandleOpen(f *testing.F) {
	sealer := handleKeys(f, "secret of the test cluster").Sealer()
	wire := sealer.Append(nil, testHandle)
	for _, seed := range [][]byte{
		wire, wire[:HandleLen-1], append(bytes.Clone(wire), 0),
		flip(wire, 0), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := sealer.Open(b)
		if !ok {
			if h != (Handle{}) {
				t.Fatalf("refused, yet half valid: %+v", h)
			}
			return
		}
		if again := sealer.Append(nil, h); !bytes.Equal(again, b) {
			t.Fatalf("accepted % x, which would be made as % x", b, again)
		}
	})
}

package tlsconn

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"
)

var testHandle = Handle{
	Owner:   NodeID{0xa1, 0xa2, 0xa3, 0xa4},
	Expires: time.Unix(0x66554433, 0),
	Key:     Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
}

// The wire form, to be read beside doc.go. It must never change under one
// version: a fleet is updated node by node.
func TestHandleWireForm(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").sealer()
	want := strings.Join([]string{
		"01",                               // version
		"12",                               // id of the key
		"a1a2a3a4",                         // owner
		"66554433",                         // expiry
		"000102030405060708090a0b0c0d0e0f", // key
		"2b5eb43fbdb818b6caa8e6781cb0445a", // tag
	}, "")
	if got := hex.EncodeToString(sealer.append([]byte("prefix"), testHandle)[len("prefix"):]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHandleRoundTrip(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").sealer()
	wire := sealer.append(nil, testHandle)
	if len(wire) != handleLen {
		t.Errorf("got %d bytes, want %d", len(wire), handleLen)
	}
	if got, ok := sealer.open(wire); !ok || got != testHandle {
		t.Errorf("got %+v, %t, want %+v", got, ok, testHandle)
	}
}

func TestHandleRefusesEveryFlippedBit(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").sealer()
	wire := sealer.append(nil, testHandle)
	for bit := range 8 * len(wire) {
		if _, ok := sealer.open(flip(wire, bit)); ok {
			t.Errorf("bit %d flipped: accepted", bit)
		}
	}
	for n := range wire {
		if _, ok := sealer.open(wire[:n]); ok {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
	if _, ok := sealer.open(append(slices.Clone(wire), 0)); ok {
		t.Error("one byte longer: accepted")
	}
}

// The id of a key only says which to try: with another cluster's id in its
// place the tag still decides.
func TestHandleOfAnotherKey(t *testing.T) {
	ours := handleKeys(t, "secret of the test cluster").sealer()
	wire := handleKeys(t, "secret of another cluster").sealer().append(nil, testHandle)
	for _, id := range []byte{wire[1], ours.ids[0]} {
		wire[1] = id
		if _, ok := ours.open(wire); ok {
			t.Errorf("key id %d: accepted", id)
		}
	}
}

func TestHandleExpiryOutsideItsField(t *testing.T) {
	sealer := handleKeys(t, "secret of the test cluster").sealer()
	h := testHandle
	h.Expires = time.Unix(-1, 0)
	if got, ok := sealer.open(sealer.append(nil, h)); !ok || got.Expires.Unix() != 0 {
		t.Errorf("before 1970: got %v, %t", got.Expires, ok)
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

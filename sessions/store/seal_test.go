package store

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func testSecret(t testing.TB, seed string) *secret {
	t.Helper()
	s, err := newSecret([]byte(strings.Repeat(seed, 16)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpens(t *testing.T) {
	s := testSecret(t, "a")
	key := [16]byte{1, 2, 3}
	for _, size := range []int{0, 1, 1500, maxValueLen} {
		want := session{
			state: bytes.Repeat([]byte{7}, size), age: time.Second, left: 299 * time.Second,
			written: time.UnixMilli(1_700_000_000_123),
		}
		sealed := s.seal(key, want)
		if overhead := len(sealed) - size; overhead != headLen+stampLen+12+16 {
			t.Errorf("%d bytes become %d more", size, overhead)
		}
		got, ok := s.open(key, sealed)
		if !ok || !bytes.Equal(got.state, want.state) || got.age != want.age || got.left != want.left ||
			!got.written.Equal(want.written) {
			t.Errorf("%d bytes: got %v, %v, %v, %v", size, len(got.state), got.left, got.written, ok)
		}
		if again := s.seal(key, want); bytes.Equal(sealed, again) {
			t.Errorf("the same session sealed twice looks the same")
		}
	}
}

func TestOnlyWhatWasSealedOpens(t *testing.T) {
	s := testSecret(t, "a")
	key := [16]byte{1}
	sealed := s.seal(key, session{state: []byte("state"), left: time.Minute, written: time.Now()})
	for bit := range 8 * len(sealed) {
		damaged := bytes.Clone(sealed)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, ok := s.open(key, damaged); ok {
			t.Errorf("opens with bit %d flipped", bit)
		}
	}
	for n := range sealed {
		if _, ok := s.open(key, sealed[:n]); ok {
			t.Errorf("opens when cut to %d bytes", n)
		}
	}
	if _, ok := s.open(key, append(bytes.Clone(sealed), 0)); ok {
		t.Error("opens with a byte more")
	}
	if _, ok := s.open([16]byte{2}, sealed); ok {
		t.Error("opens for another session: values can be swapped in the store")
	}
	other := testSecret(t, "b")
	other.id = s.id // two secrets may have the same
	if _, ok := other.open(key, sealed); ok {
		t.Error("opens with another secret")
	}
}

func TestNames(t *testing.T) {
	a, b := testSecret(t, "a"), testSecret(t, "b")
	key, other := [16]byte([]byte("0123456789abcdef")), [16]byte([]byte("0123456789abcdeg"))
	name := a.name("reprise:", key)
	if len(name) != len("reprise:")+43 || !strings.HasPrefix(name, "reprise:") {
		t.Errorf("%q is not the prefix and 256 bits", name)
	}
	if name != a.name("reprise:", key) {
		t.Error("a session has two names")
	}
	if name == a.name("reprise:", other) || name == b.name("reprise:", key) {
		t.Error("two sessions or secrets make one name")
	}
}

func TestSecretIsNotShort(t *testing.T) {
	for _, b := range [][]byte{nil, {}, make([]byte, minSecretLen-1)} {
		if _, err := newSecret(b); err == nil {
			t.Errorf("takes a secret of %d bytes", len(b))
		}
	}
}

func FuzzOpen(f *testing.F) {
	s, key := testSecret(f, "a"), [16]byte{1}
	valid := s.seal(key, session{state: []byte("state"), left: time.Minute, written: time.UnixMilli(0)})
	f.Add(valid)
	f.Add(valid[:headLen])
	f.Add([]byte{version, s.id})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, ok := s.open(key, sealed); ok && !bytes.Equal(sealed, valid) && string(got.state) != "state" {
			t.Errorf("%x opens as %x", sealed, got.state)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, value := testSecret(b, "a"), make([]byte, 1500)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		s.seal([16]byte{1}, session{state: value, left: time.Minute})
	}
}

func BenchmarkOpen(b *testing.B) {
	s := testSecret(b, "a")
	sealed := s.seal([16]byte{1}, session{state: make([]byte, 1500), left: time.Minute})
	b.SetBytes(int64(len(sealed)))
	b.ReportAllocs()
	for b.Loop() {
		s.open([16]byte{1}, sealed)
	}
}

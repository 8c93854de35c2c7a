package nettest_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"reprise/internal/nettest"
)

func patternBytes(t *testing.T, seed uint64, n int64) []byte {
	t.Helper()
	data, err := io.ReadAll(nettest.NewPattern(seed, n))
	if err != nil || int64(len(data)) != n {
		t.Fatalf("got %d bytes, %v, want %d", len(data), err, n)
	}
	return data
}

// TestPatternChunking: the stream is the same however it is cut.
func TestPatternChunking(t *testing.T) {
	const seed, size = 42, 10007
	want := patternBytes(t, seed, size)
	got, err := io.ReadAll(iotest.OneByteReader(nettest.NewPattern(seed, size)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("byte by byte: %v, equal %t", err, bytes.Equal(got, want))
	}
	c := nettest.NewChecker(seed)
	for rest := want; len(rest) > 0; {
		k := min(1+rand.IntN(5000), len(rest))
		if n, err := c.Write(rest[:k]); n != k || err != nil {
			t.Fatalf("at %d: got %d, %v, want %d", c.Len(), n, err, k)
		}
		rest = rest[k:]
	}
	if c.Len() != size {
		t.Errorf("got %d bytes checked, want %d", c.Len(), size)
	}
	if bytes.Equal(patternBytes(t, seed+1, size), want) {
		t.Error("another seed, the same stream")
	}
}

func TestCheckPatternFindsFaults(t *testing.T) {
	const seed, size = 3, 20000
	right := patternBytes(t, seed, size)
	cut := func(from, to int) []byte { return append(bytes.Clone(right[:from]), right[to:]...) }
	flipped := bytes.Clone(right)
	flipped[12345] ^= 1
	for _, tc := range []struct {
		name string
		data []byte
		want string // part of the error, empty for none
	}{
		{"right", right, ""},
		{"flipped bit", flipped, "wrong byte at offset 12345"},
		{"lost block", cut(8192, 12288), "wrong byte at offset 8192"},
		{"repeated block", append(bytes.Clone(right[:8192]), right[4096:]...), "wrong byte at offset 8192"},
		{"short", right[:size-1], "stream ended after 19999 bytes, want 20000"},
		{"long", patternBytes(t, seed, size+1), "stream ended after 20001 bytes, want 20000"},
		{"empty", nil, "stream ended after 0 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := nettest.CheckPattern(bytes.NewReader(tc.data), seed, size)
			if tc.want == "" && err != nil || tc.want != "" &&
				(err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCheckerErrorIsSticky(t *testing.T) {
	right := patternBytes(t, 3, 100)
	wrong := bytes.Clone(right)
	wrong[10] ^= 0x80
	c := nettest.NewChecker(3)
	n, first := c.Write(wrong)
	if n != 10 || first == nil {
		t.Errorf("got %d, %v, want 10 and an error", n, first)
	}
	if n, err := c.Write(right[10:]); n != 0 || err != first || c.Len() != 10 {
		t.Errorf("got %d, %v, %d bytes checked, want the first error again", n, err, c.Len())
	}
}

func BenchmarkPattern(b *testing.B) {
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if err := nettest.CheckPattern(nettest.NewPattern(1, 1<<20), 1, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

package wire

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"testing"
)

// Keys are derived as crypto/hkdf does it, into the place where they belong.
func TestExpandInto(t *testing.T) {
	for _, prkLen := range []int{1, 16, 32, 63, 64, 65, 200} {
		prk := bytes.Repeat([]byte{0x5a, 7}, prkLen)[:prkLen]
		for _, n := range []int{1, 16, 32} {
			want, err := hkdf.Expand(sha256.New, prk, sealInfo, n)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, n)
			if expandInto(got, prk, sealInfo); !bytes.Equal(got, want) {
				t.Errorf("a key of %d bytes from one of %d: got %x, want %x", n, prkLen, got, want)
			}
			inPlace := bytes.Clone(prk)
			if n <= prkLen {
				if expandInto(inPlace[:n], inPlace, sealInfo); !bytes.Equal(inPlace[:n], want) {
					t.Errorf("in place: got %x, want %x", inPlace[:n], want)
				}
			}
		}
	}
}

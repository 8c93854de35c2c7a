package schedule

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"math/rand/v2"
	"testing"

	"reprise/tlsconn/primitive"
)

var hashes = []struct {
	name string
	hash primitive.Hash
}{{"SHA256", primitive.SHA256}, {"SHA384", primitive.SHA384}}

// random returns up to limit-1 random bytes.
func random(r *rand.Rand, limit int) []byte {
	b := make([]byte, r.IntN(limit))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// expandLabel is HKDF-Expand-Label by the standard library.
func expandLabel(h primitive.Hash, secret []byte, label string, context []byte, n int) []byte {
	info := []byte{byte(n >> 8), byte(n), byte(len(label) + 6)}
	info = append(append(info, "tls13 "...), label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(h.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return out
}

func TestDerivationsAgreeWithStandardLibrary(t *testing.T) {
	for _, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var s Scratch
			for range 2000 {
				key, data := random(r, 300), random(r, 2000)
				want := hmac.New(h.hash.New, key)
				want.Write(data)
				got := make([]byte, h.hash.Len())
				cut := r.IntN(len(data) + 1)
				s.HMAC(h.hash, got, key, data[:cut], data[cut:])
				if !bytes.Equal(got, want.Sum(nil)) {
					t.Fatalf("HMAC of %d bytes, key of %d bytes: got %x", len(data), len(key), got)
				}

				prk, err := hkdf.Extract(h.hash.New, data, key)
				if err != nil {
					t.Fatal(err)
				}
				s.Extract(h.hash, got, key, data)
				if !bytes.Equal(got, prk) {
					t.Fatalf("Extract: got %x, want %x", got, prk)
				}

				label, context := string(random(r, 250)), random(r, 256)
				out := make([]byte, r.IntN(5*h.hash.Len())+1)
				s.ExpandLabel(h.hash, out, prk, label, context)
				if want := expandLabel(h.hash, prk, label, context, len(out)); !bytes.Equal(out, want) {
					t.Fatalf("ExpandLabel of %d bytes: got %x, want %x", len(out), out, want)
				}
			}
		})
	}
}

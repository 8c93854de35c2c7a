package schedule

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/hex"
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
			for range 500 {
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

// Test cases 1 to 3 of RFC 5869, Appendix A.
func TestVectorsOfRFC5869(t *testing.T) {
	sequence := func(from, to int) []byte {
		var b []byte
		for v := from; v <= to; v++ {
			b = append(b, byte(v))
		}
		return b
	}
	for _, test := range []struct {
		name                string
		ikm, salt, info     []byte
		wantPRK, wantOutput string
	}{
		{
			"basic", bytes.Repeat([]byte{0x0b}, 22), sequence(0x00, 0x0c), sequence(0xf0, 0xf9),
			"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
		},
		{
			"longer inputs", sequence(0x00, 0x4f), sequence(0x60, 0xaf), sequence(0xb0, 0xff),
			"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e" +
				"590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
		},
		{
			"no salt or info", bytes.Repeat([]byte{0x0b}, 22), nil, nil,
			"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s Scratch
			prk := make([]byte, 32)
			s.Extract(primitive.SHA256, prk, test.salt, test.ikm)
			if got := hex.EncodeToString(prk); got != test.wantPRK {
				t.Errorf("PRK: got %s, want %s", got, test.wantPRK)
			}
			out := make([]byte, len(test.wantOutput)/2)
			b := s.key(primitive.SHA256, prk, len(test.info)+expandRoom)
			s.expand(primitive.SHA256, out, append(b, test.info...), len(b))
			if got := hex.EncodeToString(out); got != test.wantOutput {
				t.Errorf("OKM: got %s, want %s", got, test.wantOutput)
			}
		})
	}
}

package primitive

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
)

var allSchemes = VerifySchemes12

// testKeys are a key of each kind, made once.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	ec := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{
		"P-224":    ec(elliptic.P224()),
		"P-256":    ec(elliptic.P256()),
		"P-384":    ec(elliptic.P384()),
		"P-521":    ec(elliptic.P521()),
		"Ed25519":  ed,
		"RSA 1024": must(rsa.GenerateKey(rand.Reader, 1024)),
		"RSA 2048": must(rsa.GenerateKey(rand.Reader, 2048)),
	}
})

func TestSchemesFor(t *testing.T) {
	rsaOf := func(bits uint) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	pss := []Scheme{PSSSHA256, PSSSHA384, PSSSHA512}
	pkcs1 := []Scheme{PKCS1SHA256, PKCS1SHA384, PKCS1SHA512}
	keys := testKeys()
	type list = []Scheme
	for _, tc := range []struct {
		name         string
		key          crypto.PublicKey
		tls13, tls12 []Scheme
	}{
		{"P-224", keys["P-224"].Public(), nil, nil},
		{"P-256", keys["P-256"].Public(), list{ECDSASHA256}, list{ECDSASHA256, ECDSASHA384, ECDSASHA512}},
		{"P-384", keys["P-384"].Public(), list{ECDSASHA384}, list{ECDSASHA384, ECDSASHA256, ECDSASHA512}},
		{"P-521", keys["P-521"].Public(), list{ECDSASHA512}, list{ECDSASHA512, ECDSASHA384, ECDSASHA256}},
		{"Ed25519", keys["Ed25519"].Public(), []Scheme{Ed25519}, []Scheme{Ed25519}},
		{"Ed25519, short", ed25519.PublicKey(nil), nil, nil},
		{"RSA 2048", keys["RSA 2048"].Public(), pss, slices.Concat(pss, pkcs1)},
		{"RSA 1024", keys["RSA 1024"].Public(), pss[:2], slices.Concat(pss[:2], pkcs1)},
		{"RSA 1033", rsaOf(1033), pss[:2], slices.Concat(pss[:2], pkcs1)},
		{"RSA 1034", rsaOf(1034), pss, slices.Concat(pss, pkcs1)}, // 130 bytes for 64 + 64 + 2
		{"RSA 1023", rsaOf(1023), nil, nil},
		{"RSA 8192", rsaOf(8192), pss, slices.Concat(pss, pkcs1)},
		{"RSA 8193", rsaOf(8193), nil, nil},
		{"RSA without modulus", &rsa.PublicKey{}, nil, nil},
		{"a string", "key", nil, nil},
		{"nil", nil, nil, nil},
	} {
		if got := SchemesFor(tc.key, true); !slices.Equal(got, tc.tls13) {
			t.Errorf("%s, TLS 1.3: %v, want %v", tc.name, got, tc.tls13)
		}
		if got := SchemesFor(tc.key, false); !slices.Equal(got, tc.tls12) {
			t.Errorf("%s, TLS 1.2: %v, want %v", tc.name, got, tc.tls12)
		}
	}
	// The lists are shared: what a key has taken away stays with that key.
	if got := SchemesFor(keys["RSA 2048"].Public(), true); !slices.Equal(got, pss) {
		t.Errorf("RSA 2048 again: %v, want %v", got, pss)
	}
}

func TestSignAndVerify(t *testing.T) {
	message := []byte("a message in three parts")
	for name, key := range testKeys() {
		for _, s := range allSchemes {
			t.Run(name+"/"+s.String(), func(t *testing.T) {
				var sum [MaxDigestLen]byte
				digest, opts := Digest(s, sum[:], message[:5], nil, message[5:6], message[6:])
				signature, err := key.Sign(rand.Reader, digest, opts)
				if !s.Fits(key.Public(), false) {
					if err := Verify(key.Public(), s, message, signature); !errors.Is(err, ErrSignature) {
						t.Errorf("a scheme that is not for the key: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatalf("Sign: %v", err)
				}
				if err := Verify(key.Public(), s, message, signature); err != nil {
					t.Fatalf("Verify: %v", err)
				}
				if err := Verify(key.Public(), s, message[1:], signature); !errors.Is(err, ErrSignature) {
					t.Errorf("another message: %v, want %v", err, ErrSignature)
				}
				for _, other := range allSchemes {
					if other != s && Verify(key.Public(), other, message, signature) == nil {
						t.Errorf("a signature of %v passes as one of %v", s, other)
					}
				}
				for _, i := range []int{0, len(signature) / 2, len(signature) - 1} {
					bad := slices.Clone(signature)
					bad[i] ^= 1
					if err := Verify(key.Public(), s, message, bad); !errors.Is(err, ErrSignature) {
						t.Errorf("byte %d changed: %v, want %v", i, err, ErrSignature)
					}
				}
				if err := Verify(key.Public(), s, message, nil); !errors.Is(err, ErrSignature) {
					t.Errorf("no signature: %v, want %v", err, ErrSignature)
				}
			})
		}
	}
}

// TestEveryKeySignsWithItsSchemes has no signature fail for want of room.
func TestEveryKeySignsWithItsSchemes(t *testing.T) {
	for name, key := range testKeys() {
		for _, tls13 := range []bool{true, false} {
			for _, s := range SchemesFor(key.Public(), tls13) {
				digest, opts := Digest(s, nil, []byte("message"))
				if _, err := key.Sign(rand.Reader, digest, opts); err != nil {
					t.Errorf("%s, %v: %v", name, s, err)
				}
			}
		}
	}
}

func TestVerifySchemes(t *testing.T) {
	for _, s := range VerifySchemes13 {
		if s == PKCS1SHA256 || s == PKCS1SHA384 || s == PKCS1SHA512 {
			t.Errorf("%v is taken in TLS 1.3", s)
		}
	}
	if got, want := len(VerifySchemes12), len(VerifySchemes13)+3; got != want {
		t.Errorf("%d schemes in TLS 1.2, want %d", got, want)
	}
	for _, old := range []Scheme{0x0201, 0x0203, 0x0202} { // SHA-1
		if slices.Contains(VerifySchemes12, old) {
			t.Errorf("%v is taken", old)
		}
	}
}

func TestDigestUsesTheRoomItGets(t *testing.T) {
	var sum [MaxDigestLen]byte
	for _, s := range allSchemes {
		digest, _ := Digest(s, sum[:], []byte("message"))
		if &digest[0] != &sum[0] {
			t.Errorf("%v: the digest is elsewhere", s)
		}
	}
}

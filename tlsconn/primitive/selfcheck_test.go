package primitive

import (
	"bytes"
	"testing"
)

func TestSelfCheck(t *testing.T) {
	if err := SelfCheck(); err != nil {
		t.Fatal(err)
	}
	if got, want := fastX25519.Load(), x25519Pays(); got != want {
		t.Errorf("circl serves X25519: %v, want %v", got, want)
	}
	if got, want := fastMLKEM.Load(), mlkemPays(); got != want {
		t.Errorf("circl serves ML-KEM: %v, want %v", got, want)
	}
}

// brokenCurve differs from X25519 in one thing.
type brokenCurve struct {
	x25519
	breakBase  func(public, private *[x25519Len]byte)
	breakAgree func(shared, peer *[x25519Len]byte) bool // true: it answers
	ok         bool                                     // what it answers
}

func (c *brokenCurve) base(public, private *[x25519Len]byte) {
	c.x25519.base(public, private)
	if c.breakBase != nil {
		c.breakBase(public, private)
	}
}

func (c *brokenCurve) agree(shared, private, peer *[x25519Len]byte) bool {
	ok := c.x25519.agree(shared, private, peer)
	if c.breakAgree != nil && c.breakAgree(shared, peer) {
		return c.ok
	}
	return ok
}

func TestSelfCheckFindsDifferences(t *testing.T) {
	for _, tc := range []struct {
		name  string
		curve brokenCurve
		bad   bool
	}{
		{"nothing", brokenCurve{}, false},
		{"a bit of the public key", brokenCurve{
			breakBase: func(public, _ *[x25519Len]byte) { public[31] ^= 0x80 },
		}, true},
		{"a carry for the private key of ones only", brokenCurve{
			breakBase: func(public, private *[x25519Len]byte) {
				if private[0] == 0xff {
					public[0]++
				}
			},
		}, true},
		{"zeros are taken", brokenCurve{
			breakAgree: func(shared, _ *[x25519Len]byte) bool { return *shared == [x25519Len]byte{} },
			ok:         true,
		}, true},
		{"a coordinate that is not reduced is refused", brokenCurve{
			breakAgree: func(shared, peer *[x25519Len]byte) bool {
				bad := peer[0] == 0xf3 && peer[30] == 0xff && peer[31] == 0x7f
				if bad {
					clear(shared[:])
				}
				return bad
			},
		}, true},
		{"the ignored bit is used", brokenCurve{
			breakAgree: func(shared, peer *[x25519Len]byte) bool {
				shared[0] ^= peer[31] >> 7
				return false
			},
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := checkX25519(&tc.curve); (err != nil) != tc.bad {
				t.Errorf("%v, want an error: %v", err, tc.bad)
			}
		})
	}
}

func TestSelfCheckFindsBrokenMLKEM(t *testing.T) {
	for _, tc := range []struct {
		name        string
		encapsulate func(dst, secret, key, seed []byte) ([]byte, error)
		bad         bool
	}{
		{"nothing", mlkemFast, false},
		{"another secret", func(dst, secret, key, seed []byte) ([]byte, error) {
			dst, err := mlkemFast(dst, secret, key, seed)
			secret[0] ^= 1
			return dst, err
		}, true},
		{"another ciphertext", func(dst, secret, key, seed []byte) ([]byte, error) {
			dst, err := mlkemFast(dst, secret, key, seed)
			if err == nil {
				dst[len(dst)-1] ^= 1
			}
			return dst, err
		}, true},
		{"every key is refused", func(dst, _, _, _ []byte) ([]byte, error) {
			return dst, ErrShare
		}, true},
		{"a key that is not reduced is taken", func(dst, secret, key, seed []byte) ([]byte, error) {
			if key[0] == 0xff && key[1]&0x0f == 0x0f {
				key = bytes.Clone(key)
				key[1] &= 0xf0
			}
			return mlkemFast(dst, secret, key, seed)
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := checkMLKEM(tc.encapsulate); (err != nil) != tc.bad {
				t.Errorf("%v, want an error: %v", err, tc.bad)
			}
		})
	}
}

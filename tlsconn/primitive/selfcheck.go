package primitive

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
)

// SelfCheck compares circl and edwards25519 with the standard library where they are faster than it
// on this processor, over fixed and random inputs, among them some of low order and some not in
// canonical form. They are used from then on; the standard library is used before, and after a
// difference, which is the error. Only the first call does the work (some milliseconds).
func SelfCheck() error { return selfCheck() }

var selfCheck = sync.OnceValue(func() error {
	var curve, kem error
	if x25519Pays() {
		curve = checkX25519(&x25519{})
		fastX25519.Store(curve == nil)
	}
	if mlkemPays() {
		kem = checkMLKEM(mlkemFast)
		fastMLKEM.Store(kem == nil)
	}
	return errors.Join(curve, kem)
})

// curve25519 is the checked part of x25519.
type curve25519 interface {
	base(public, private *[x25519Len]byte)
	agree(shared, private, peer *[x25519Len]byte) bool
}

func checkX25519(c curve25519) error {
	peers := edgePoints()
	privates := make([][x25519Len]byte, 3)
	for i := range privates[0] {
		privates[0][i] = 0xff
	}
	for range 4 {
		var peer [x25519Len]byte
		_, _ = rand.Read(peer[:])
		peers = append(peers, peer)
	}
	_, _ = rand.Read(privates[2][:]) // the second stays zero
	for i := range privates {
		private := &privates[i]
		standard, err := ecdh.X25519().NewPrivateKey(private[:])
		if err != nil {
			return err
		}
		var public [x25519Len]byte
		if c.base(&public, private); !bytes.Equal(public[:], standard.PublicKey().Bytes()) {
			return errors.New("X25519: edwards25519 differs from the standard library")
		}
		for _, peer := range peers {
			if !agreesAs(c, standard, private, peer) {
				return fmt.Errorf("X25519: circl differs for the point %x", peer)
			}
		}
	}
	return nil
}

// agreesAs reports whether c and the standard library agree on a secret with peer, or both fail.
func agreesAs(
	c curve25519, standard *ecdh.PrivateKey, private *[x25519Len]byte, peer [x25519Len]byte,
) bool {
	var got [x25519Len]byte
	ok := c.agree(&got, private, &peer)
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return false
	}
	want, err := standard.ECDH(public)
	if err != nil {
		return !ok
	}
	return ok && bytes.Equal(got[:], want)
}

// edgePoints returns u-coordinates at which implementations go wrong, in little endian: all of low
// order, those that are not reduced by 2^255-19, and each of them with the bit set that RFC 7748,
// Section 5 ignores.
func edgePoints() [][x25519Len]byte {
	points := [][x25519Len]byte{
		{},
		{1},
		{2},
		{9}, // zero and one are of low order
		{ // of order 8
			0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
			0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
			0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
			0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
		},
		{ // of order 8
			0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24,
			0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
			0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86,
			0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
		},
	}
	for low := 0xe9; low <= 0xff; low++ { // 2^255-23 to 2^255-1: 2^255-20 is of low order
		var p [x25519Len]byte
		for i := range p {
			p[i] = 0xff
		}
		p[0], p[31] = byte(low), 0x7f
		points = append(points, p)
	}
	for _, p := range points {
		p[31] |= 0x80
		points = append(points, p)
	}
	return points
}

// checkMLKEM checks that the standard library opens the output of encapsulate, and refuses the keys
// that encapsulate refuses.
func checkMLKEM(encapsulate func(dst, secret, key, seed []byte) ([]byte, error)) error {
	for range 4 {
		key, err := mlkem.GenerateKey768()
		if err != nil {
			return err
		}
		var secret [mlkemSecretLen]byte
		var seed [32]byte
		_, _ = rand.Read(seed[:])
		ciphertext, err := encapsulate(nil, secret[:], key.EncapsulationKey().Bytes(), seed[:])
		if err != nil {
			return fmt.Errorf("ML-KEM-768: circl refuses a good key: %w", err)
		}
		shared, err := key.Decapsulate(ciphertext)
		if err != nil || !bytes.Equal(shared, secret[:]) {
			return errors.New("ML-KEM-768: the standard library does not open what circl made")
		}
		// The first coefficient becomes 4095, which is not reduced by 3329.
		bad := key.EncapsulationKey().Bytes()
		bad[0], bad[1] = 0xff, bad[1]|0x0f
		if _, err := encapsulate(nil, secret[:], bad, seed[:]); err == nil {
			return errors.New("ML-KEM-768: circl takes a key that is not reduced")
		}
	}
	return nil
}

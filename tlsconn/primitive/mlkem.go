package primitive

import (
	"crypto/mlkem"
	"crypto/rand"
	"slices"
	"sync/atomic"

	circl "github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"github.com/klauspost/cpuid/v2"
)

// The lengths of ML-KEM-768 (FIPS 203, Section 8).
const (
	mlkemKeyLen        = mlkem.EncapsulationKeySize768
	mlkemCiphertextLen = mlkem.CiphertextSize768
	mlkemSecretLen     = mlkem.SharedKeySize
)

// fastMLKEM says that circl computes ML-KEM; only SelfCheck writes it.
var fastMLKEM atomic.Bool

// mlkemPays reports whether circl's ML-KEM is faster here than the standard library's: its
// polynomials are vectors of AVX2.
func mlkemPays() bool { return cpuid.CPU.Supports(cpuid.AVX2) }

// mlkemEncapsulate appends a ciphertext for the key to dst and sets secret to the encapsulated
// secret. A key that FIPS 203, Section 7.2 rejects is ErrShare.
func mlkemEncapsulate(dst, secret, key []byte) ([]byte, error) {
	if fastMLKEM.Load() {
		var seed [circl.EncapsulationSeedSize]byte
		_, _ = rand.Read(seed[:]) // ends the program rather than fail
		defer clear(seed[:])
		return mlkemFast(dst, secret, key, seed[:])
	}
	return mlkemStandard(dst, secret, key)
}

func mlkemFast(dst, secret, key, seed []byte) ([]byte, error) {
	var public circl.PublicKey
	if public.Unpack(key) != nil {
		return dst, ErrShare
	}
	n := len(dst)
	dst = slices.Grow(dst, mlkemCiphertextLen)[:n+mlkemCiphertextLen]
	public.EncapsulateTo(dst[n:], secret, seed)
	return dst, nil
}

func mlkemStandard(dst, secret, key []byte) ([]byte, error) {
	public, err := mlkem.NewEncapsulationKey768(key)
	if err != nil {
		return dst, ErrShare
	}
	shared, ciphertext := public.Encapsulate()
	copy(secret, shared)
	clear(shared)
	return append(dst, ciphertext...), nil
}

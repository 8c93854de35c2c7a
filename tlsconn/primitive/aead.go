package primitive

import (
	"crypto/aes"
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"
)

// An AEAD is an algorithm of authenticated encryption (RFC 5116).
type AEAD uint8

// The AEADs of the suites spoken here. Their nonces are NonceLen bytes long and
// their tags TagLen.
const (
	AES128GCM AEAD = iota
	AES256GCM
	ChaCha20Poly1305
)

// Lengths of every AEAD here, in bytes.
const (
	MaxKeyLen = 32
	NonceLen  = 12
	TagLen    = 16
)

// KeyLen returns the length of a key in bytes.
func (a AEAD) KeyLen() int {
	if a == AES128GCM {
		return 16
	}
	return 32
}

// New returns a state for the key, which must be KeyLen bytes long. It does not keep the argument.
func (a AEAD) New(key []byte) cipher.AEAD {
	if len(key) != a.KeyLen() {
		panic("primitive: length of an AEAD's key")
	}
	if a == ChaCha20Poly1305 {
		return must(chacha20poly1305.New(key))
	}
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

// must unwraps results that fail only for a wrong length.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

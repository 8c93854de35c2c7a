package wire

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

const (
	// minSecretLen is the minimum length of a cluster secret: a guessable one would let anyone into
	// the fleet (GnuTLS CVE-2020-13777, hitch's all-zero key).
	minSecretLen = 16

	// keyLen is the length of every key except the checks'.
	keyLen = 32

	repeaterInfo     = "reprise repeater v1" // as in wire version 1: key files stay valid
	introductionInfo = "reprise introduction v2"
	fingerprintInfo  = "reprise fingerprint v2"
)

// A Secret is what the nodes of a fleet share. It keeps no copy of the bytes it was made from, only
// what keys are derived from. Copies share memory; everything but [Secret.Wipe] is safe for
// concurrent use. The zero value must not be used: it panics.
//
// It proves that a node belongs to the fleet and encrypts nothing that outlives an introduction: an
// attacker that learns it can join from then on, but opens nothing that was recorded before.
type Secret struct {
	id          byte
	prk         []byte // HKDF's pseudorandom key
	fingerprint Fingerprint
}

// A Fingerprint distinguishes secrets that have the same id. It has no other use, and stays in the
// memory of a node. The zero value is that of no secret.
type Fingerprint [keyLen]byte

// Is reports whether f belongs to the same secret.
func (f Fingerprint) Is(other Fingerprint) bool {
	return subtle.ConstantTimeCompare(f[:], other[:]) == 1
}

// NewSecret derives a Secret from a cluster secret's bytes. It refuses fewer than 16 bytes and one
// byte repeated, and never pads or replaces it. The caller keeps and wipes b.
func NewSecret(b []byte) (Secret, error) {
	if len(b) < minSecretLen {
		return Secret{},
			fmt.Errorf("replicate: cluster secret has %d bytes, at least %d are needed", len(b),
				minSecretLen)
	}
	if isConstant(b) {
		return Secret{},
			errors.New(
				"replicate: cluster secret is the same byte over and over, random bytes are needed")
	}
	prk, err := hkdf.Extract(sha256.New, b, nil)
	if err != nil {
		return Secret{}, fmt.Errorf("replicate: deriving from the cluster secret: %w", err)
	}
	s := Secret{prk: prk}
	s.id = s.Checker().id
	expandInto(s.fingerprint[:], prk, fingerprintInfo)
	return s, nil
}

// ID is the byte by which datagrams name the secret of their fleet. It is not secret, and two
// secrets may have the same: [Secret.Fingerprint].
func (s Secret) ID() byte { return s.id }

// Fingerprint is the secret's, even after it has been wiped.
func (s Secret) Fingerprint() Fingerprint { return s.fingerprint }

// Wipe overwrites the secret, including its copies, which are useless afterwards.
func (s Secret) Wipe() { clear(s.prk) }

// Format writes only the id, whatever the verb: a secret must not reach a log.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secret %02x", s.id) }

// RepeaterKey derives a repeater's part of a cluster secret: enough to recognize the fleet's
// datagrams, but not to read them. Its holder can subscribe and receive sealed datagrams. The
// caller wipes it.
func (s Secret) RepeaterKey() []byte { return s.expand(repeaterInfo) }

// Checker returns the fleet's check.
func (s Secret) Checker() *Checker {
	key := s.RepeaterKey()
	defer clear(key)
	return NewChecker(key)
}

// presharedKey is the key that nodes prove to have when they are introduced.
func (s Secret) presharedKey() []byte { return s.expand(introductionInfo) }

func (s Secret) expand(info string) []byte {
	if isConstant(s.prk) { // so that a mistake of ours does not become a skeleton key
		panic("replicate: use of an empty or wiped secret")
	}
	return expand(s.prk, info, keyLen)
}

func expand(prk []byte, info string, n int) []byte {
	key := make([]byte, n)
	expandInto(key, prk, info)
	return key
}

// expandInto is HKDF-Expand (RFC 5869) to at most 32 bytes, HMAC-SHA-256(prk, info and a byte of
// 1), into dst, which may be prk.
func expandInto(dst, prk []byte, info string) {
	var sum [sha256.Size]byte
	if len(dst) > len(sum) {
		panic("replicate: a key is too long")
	}
	hmacSum(&sum, prk, []byte(info), block1)
	copy(dst, sum[:])
	clear(sum[:])
}

// CheckKey reports why a key, of a repeater or another, could be guessed.
func CheckKey(key []byte) error {
	if len(key) < minSecretLen {
		return fmt.Errorf("replicate: repeater key has %d bytes, at least %d are needed", len(key),
			minSecretLen)
	}
	if isConstant(key) {
		return errors.New(
			"replicate: repeater key is the same byte over and over, random bytes are needed")
	}
	return nil
}

// isConstant reports whether b is one byte repeated, or nothing.
func isConstant(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return true
}

package primitive

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// A Hash is the hash of a cipher suite, over which transcripts are made and by
// which secrets are derived.
type Hash uint8

// The hashes of the suites spoken here.
const (
	SHA256 Hash = iota
	SHA384
)

// MaxHashLen is the longest output of a Hash, in bytes.
const MaxHashLen = sha512.Size384

// Len returns the length of the hash's output in bytes.
func (h Hash) Len() int {
	if h == SHA384 {
		return sha512.Size384
	}
	return sha256.Size
}

// New returns a hash state for a transcript.
func (h Hash) New() hash.Hash {
	if h == SHA384 {
		return sha512.New384()
	}
	return sha256.New()
}

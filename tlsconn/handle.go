package tlsconn

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// HandleLen is the length of a handle in wire form, the maximum of a session ID of TLS 1.2 (RFC
// 5246, Section 7.4.1.2).
const HandleLen = 32

const (
	handleVersion  = 2 << 5 // in the high bits of the first byte; version 1 had 42 bytes
	handleKeyMask  = 1<<5 - 1
	handleOwnerAt  = 1
	handleRandomAt = handleOwnerAt + len(NodeID{})
	handleTagAt    = handleRandomAt + len(Key{}) // end of the part that the tag covers
	handleTagLen   = HandleLen - handleTagAt

	// minSecretLen is the minimum length of a cluster secret. An empty or guessable key would be a
	// skeleton key to every session (GnuTLS CVE-2020-13777; hitch with ECDSA certificates).
	minSecretLen = 16
)

// NodeID is a node's short id, which its handles carry so that a node without the session knows
// which node to ask.
type NodeID [4]byte

// Key names a session in the store: random, and known only to the client.
type Key [16]byte

// NewKey returns a fresh random session key.
func NewKey() (k Key) {
	// crypto/rand.Read never fails (it crashes the program instead).
	_, _ = rand.Read(k[:])
	return k
}

// A Handle is the parsed form of a client's session ID or ticket.
type Handle struct {
	Owner NodeID
	Key   Key
}

// HandleKeys authenticates handles under keys derived from cluster secrets. It
// is immutable and safe for concurrent use.
type HandleKeys struct {
	// live[0] makes new tags; all are accepted, so that a secret can be replaced without losing the
	// sessions made under the old one.
	live []handleKey
}

type handleKey struct {
	id     byte
	secret [sha256.Size]byte
}

// NewHandleKeys derives the keys from cluster secrets: the first makes new handles, the others are
// still accepted. A secret shorter than 16 bytes is an error, never padded or replaced.
func NewHandleKeys(secrets ...[]byte) (*HandleKeys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("tlsconn: no cluster secret")
	}
	k := new(HandleKeys)
	for i, secret := range secrets {
		if len(secret) < minSecretLen {
			return nil,
				fmt.Errorf("tlsconn: cluster secret %d has %d bytes, at least %d are needed", i+1,
					len(secret), minSecretLen)
		}
		derived, err := hkdf.Key(sha256.New, secret, nil, "reprise session handle v2",
			sha256.Size+1)
		if err != nil {
			return nil, fmt.Errorf("tlsconn: deriving the handle key: %w", err)
		}
		// The id is derived too, so that nodes agree on it without a convention; it is not secret,
		// and two keys may share one.
		key := handleKey{id: derived[sha256.Size] & handleKeyMask}
		copy(key.secret[:], derived)
		clear(derived)
		k.live = append(k.live, key)
	}
	return k, nil
}

// A Sealer makes and opens handles; it belongs to one goroutine because it
// computes in arrays of its own.
type Sealer struct{ keys []handleMAC }

// handleMAC is HMAC-SHA-256 (RFC 2104) for messages of one length, with the key in place: any
// client may make a node compute it at any rate, so it is two calls of Sum256 and no allocation.
type handleMAC struct {
	id    byte
	inner [sha256.BlockSize + handleTagAt]byte // key xor ipad, message
	outer [sha256.BlockSize + sha256.Size]byte // key xor opad, inner hash
}

// Sealer returns a sealer for one goroutine.
func (k *HandleKeys) Sealer() *Sealer {
	s := &Sealer{keys: make([]handleMAC, len(k.live))}
	for i := range k.live {
		m := &s.keys[i]
		m.id = k.live[i].id
		copy(m.inner[:], k.live[i].secret[:])
		copy(m.outer[:], k.live[i].secret[:])
		for j := range sha256.BlockSize {
			m.inner[j] ^= 0x36
			m.outer[j] ^= 0x5c
		}
	}
	return s
}

// tag returns the whole MAC of the first handleTagAt bytes of a handle.
func (m *handleMAC) tag(handle []byte) [sha256.Size]byte {
	copy(m.inner[sha256.BlockSize:], handle[:handleTagAt])
	sum := sha256.Sum256(m.inner[:])
	copy(m.outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(m.outer[:])
}

// Append appends h in wire form to b.
func (s *Sealer) Append(b []byte, h Handle) []byte {
	start := len(b)
	b = append(b, handleVersion|s.keys[0].id)
	b = append(b, h.Owner[:]...)
	b = append(b, h.Key[:]...)
	tag := s.keys[0].tag(b[start:])
	return append(b, tag[:handleTagLen]...)
}

// Made reports whether this fleet has made a handle.
func (s *Sealer) Made(b []byte) bool {
	_, ok := s.Open(b)
	return ok
}

// Open parses and authenticates a handle; ok is false for anything that this fleet has not made.
func (s *Sealer) Open(b []byte) (h Handle, ok bool) {
	if len(b) != HandleLen || b[0]&^handleKeyMask != handleVersion {
		return Handle{}, false
	}
	for i := range s.keys {
		if s.keys[i].id != b[0]&handleKeyMask {
			continue
		}
		tag := s.keys[i].tag(b)
		if subtle.ConstantTimeCompare(b[handleTagAt:], tag[:handleTagLen]) == 1 {
			copy(h.Owner[:], b[handleOwnerAt:])
			copy(h.Key[:], b[handleRandomAt:])
			return h, true
		}
	}
	return Handle{}, false
}

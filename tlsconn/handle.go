package tlsconn

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"
)

const (
	handleVersion = 1
	handleLen     = 42
	handleBodyLen = 26 // what the tag covers
	handleTagLen  = handleLen - handleBodyLen

	// minSecretLen is what a cluster secret must at least have. An empty or
	// guessable key would be a skeleton key to every session (GnuTLS
	// CVE-2020-13777; hitch with ECDSA certificates).
	minSecretLen = 16
)

// NodeID is a node's short id, which its handles carry so that a node that does
// not have the session knows whom to ask.
type NodeID [4]byte

// Key names a session in the store: random, and told to nobody but the client.
type Key [16]byte

// A Handle is what a client holds as its ticket, parsed.
type Handle struct {
	Owner   NodeID
	Expires time.Time // by the owner's clock, whole seconds
	Key     Key
}

// HandleKeys authenticates handles under keys derived from cluster secrets. It
// is immutable and safe for concurrent use.
type HandleKeys struct {
	// live[0] makes new tags; all are accepted, so that a secret can be
	// exchanged without losing the sessions made under the old one.
	live []handleKey
}

type handleKey struct {
	id     byte
	secret []byte
}

// NewHandleKeys derives the keys from cluster secrets: the first makes new
// handles, the others are still accepted. A secret shorter than 16 bytes is an
// error, never padded or replaced.
func NewHandleKeys(secrets ...[]byte) (*HandleKeys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("tlsconn: no cluster secret")
	}
	k := new(HandleKeys)
	for i, secret := range secrets {
		if len(secret) < minSecretLen {
			return nil, fmt.Errorf("tlsconn: cluster secret %d has %d bytes, at least %d are needed", i+1, len(secret), minSecretLen)
		}
		derived, err := hkdf.Key(sha256.New, secret, nil, "reprise session handle v1", 33)
		if err != nil {
			return nil, fmt.Errorf("tlsconn: deriving the handle key: %w", err)
		}
		// The id is derived too, so that nodes agree on it without a
		// convention; it is not secret.
		k.live = append(k.live, handleKey{id: derived[32], secret: derived[:32]})
	}
	return k, nil
}

// A handleSealer makes and opens handles; it belongs to one goroutine because
// it keeps its HMAC states.
type handleSealer struct {
	ids  []byte
	macs []hash.Hash
	sum  [sha256.Size]byte
}

func (k *HandleKeys) sealer() *handleSealer {
	s := new(handleSealer)
	for _, key := range k.live {
		s.ids = append(s.ids, key.id)
		s.macs = append(s.macs, hmac.New(sha256.New, key.secret))
	}
	return s
}

// newKey returns a fresh random session key.
func newKey() (k Key) {
	// crypto/rand.Read never fails (it crashes the program instead).
	_, _ = rand.Read(k[:])
	return k
}

// append appends h in wire form to b.
func (s *handleSealer) append(b []byte, h Handle) []byte {
	start := len(b)
	b = append(b, handleVersion, s.ids[0])
	b = append(b, h.Owner[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(max(0, h.Expires.Unix())))
	b = append(b, h.Key[:]...)
	return append(b, s.tag(s.macs[0], b[start:])...)
}

// open parses and authenticates a handle; ok is false for anything this fleet
// has not made.
func (s *handleSealer) open(b []byte) (h Handle, ok bool) {
	if len(b) != handleLen || b[0] != handleVersion {
		return Handle{}, false
	}
	for i, id := range s.ids {
		if id != b[1] {
			continue
		}
		if subtle.ConstantTimeCompare(b[handleBodyLen:], s.tag(s.macs[i], b[:handleBodyLen])) == 1 {
			copy(h.Owner[:], b[2:])
			h.Expires = time.Unix(int64(binary.BigEndian.Uint32(b[6:])), 0)
			copy(h.Key[:], b[10:])
			return h, true
		}
	}
	return Handle{}, false
}

func (s *handleSealer) tag(mac hash.Hash, body []byte) []byte {
	mac.Reset()
	mac.Write(body)
	return mac.Sum(s.sum[:0])[:handleTagLen]
}

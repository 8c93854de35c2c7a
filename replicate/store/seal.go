package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Sizes of a sealed value, see the package comment.
const (
	version      = 1
	headLen      = 2
	stampLen     = 12
	minSecretLen = 16
)

// A secret is a cluster secret, ready to name and seal sessions. It is read-only
// until wiped, and so safe for concurrent use.
type secret struct {
	id      byte
	master  []byte // HKDF's pseudo-random key
	nameKey []byte
}

// A session is what is inside a sealed value.
type session struct {
	state    []byte // the caller's value
	lifetime time.Duration
	written  time.Time // by the writer's clock
}

func newSecret(b []byte) (*secret, error) {
	if len(b) < minSecretLen {
		return nil, fmt.Errorf("a cluster secret has %d bytes, must have %d or more", len(b), minSecretLen)
	}
	master, err := hkdf.Extract(sha256.New, b, nil)
	if err != nil {
		return nil, err
	}
	s := &secret{master: master}
	s.nameKey = s.derive("reprise store v1 name", sha256.Size)
	s.id = s.derive("reprise store v1 id", 1)[0]
	return s, nil
}

// name is what the server calls the session with the given key.
func (s *secret) name(prefix string, key [16]byte) string {
	mac := hmac.New(sha256.New, s.nameKey)
	mac.Write(key[:])
	return prefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// seal returns the value under which v is stored for key.
func (s *secret) seal(key [16]byte, v session) []byte {
	plaintext := make([]byte, 0, stampLen+len(v.state))
	plaintext = binary.BigEndian.AppendUint32(plaintext, uint32(min(v.lifetime.Milliseconds(), math.MaxUint32)))
	plaintext = binary.BigEndian.AppendUint64(plaintext, uint64(v.written.UnixMilli()))
	plaintext = append(plaintext, v.state...)
	defer clear(plaintext)

	aead := s.aead(key)
	sealed := make([]byte, headLen, headLen+len(plaintext)+aead.Overhead())
	sealed[0], sealed[1] = version, s.id
	return aead.Seal(sealed, nil, plaintext, additionalData(sealed, key))
}

// open returns what was sealed for key. It reports false for anything else.
func (s *secret) open(key [16]byte, sealed []byte) (session, bool) {
	if len(sealed) < headLen || sealed[0] != version || sealed[1] != s.id {
		return session{}, false
	}
	plaintext, err := s.aead(key).Open(nil, nil, sealed[headLen:], additionalData(sealed, key))
	if err != nil || len(plaintext) < stampLen {
		return session{}, false
	}
	return session{
		lifetime: time.Duration(binary.BigEndian.Uint32(plaintext)) * time.Millisecond,
		written:  time.UnixMilli(int64(binary.BigEndian.Uint64(plaintext[4:]))),
		state:    plaintext[stampLen:],
	}, true
}

// wipe forgets the secret. Key schedules inside crypto/aes are out of reach; they
// are garbage as soon as a value is sealed.
func (s *secret) wipe() {
	clear(s.master)
	clear(s.nameKey)
}

// additionalData is what a value is bound to besides its plaintext.
func additionalData(sealed []byte, key [16]byte) []byte {
	return append(append(make([]byte, 0, headLen+len(key)), sealed[:headLen]...), key[:]...)
}

// aead is the cipher for one session. Its nonces are random and part of what it
// seals.
func (s *secret) aead(key [16]byte) cipher.AEAD {
	k := s.derive("reprise store v1"+string(key[:]), 32)
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic(errors.Join(errors.New("store: AES-256-GCM is not to be had"), err)) // the key's length is a constant
}

func (s *secret) derive(info string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, s.master, info, length)
	if err != nil {
		panic(err) // only if length were absurd
	}
	return key
}

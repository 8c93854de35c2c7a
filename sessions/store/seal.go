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
	version      = 2
	headLen      = 2
	stampLen     = 16
	minSecretLen = 16
)

// A secret is a cluster secret, ready to name and seal sessions. It is immutable until wiped, and
// so safe for concurrent use.
type secret struct {
	id      byte
	master  []byte // HKDF's pseudo-random key
	nameKey []byte
}

// A session is the content of a sealed value.
type session struct {
	state     []byte // the caller's value
	age, left time.Duration
	written   time.Time // when age and left were true, by the writer's clock
}

// rulesPurpose is the purpose for which the rules to forget are sealed. It cannot be a session's
// key: these have another length.
const rulesPurpose = "rules"

func newSecret(b []byte) (*secret, error) {
	if len(b) < minSecretLen {
		return nil, fmt.Errorf("a cluster secret has %d bytes, must have %d or more", len(b),
			minSecretLen)
	}
	master, err := hkdf.Extract(sha256.New, b, nil)
	if err != nil {
		return nil, err
	}
	s := &secret{master: master}
	s.nameKey = s.derive("reprise store v2 name", sha256.Size)
	s.id = s.derive("reprise store v2 id", 1)[0]
	return s, nil
}

// name is the server's name for the session with the given key.
func (s *secret) name(prefix string, key [16]byte) string {
	return s.nameOf(prefix,
		string(key[:]))
}

// nameOf is the server's name for a value sealed for a purpose.
func (s *secret) nameOf(prefix, purpose string) string {
	mac := hmac.New(sha256.New, s.nameKey)
	mac.Write([]byte(purpose))
	return prefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// seal returns the value under which v is stored for key.
func (s *secret) seal(key [16]byte, v session) []byte { return s.sealFor(string(key[:]), v) }

// open returns what was sealed for key. It returns false for anything else.
func (s *secret) open(key [16]byte, sealed []byte) (session, bool) {
	return s.openFor(string(key[:]), sealed)
}

func (s *secret) sealFor(purpose string, v session) []byte {
	plaintext := make([]byte, 0, stampLen+len(v.state))
	// rounded up: older is safer
	plaintext = appendMillis(plaintext, v.age+time.Millisecond-1)
	plaintext = appendMillis(plaintext, v.left)
	plaintext = binary.BigEndian.AppendUint64(plaintext, uint64(v.written.UnixMilli()))
	plaintext = append(plaintext, v.state...)
	defer clear(plaintext)

	aead := s.aead(purpose)
	sealed := make([]byte, headLen, headLen+len(plaintext)+aead.Overhead())
	sealed[0], sealed[1] = version, s.id
	return aead.Seal(sealed, nil, plaintext, additionalData(sealed, purpose))
}

func (s *secret) openFor(purpose string, sealed []byte) (session, bool) {
	if len(sealed) < headLen || sealed[0] != version || sealed[1] != s.id {
		return session{}, false
	}
	plaintext, err := s.aead(purpose).Open(nil, nil, sealed[headLen:],
		additionalData(sealed, purpose))
	if err != nil || len(plaintext) < stampLen {
		return session{}, false
	}
	return session{
		age:     parseMillis(plaintext),
		left:    parseMillis(plaintext[4:]),
		written: time.UnixMilli(int64(binary.BigEndian.Uint64(plaintext[8:]))),
		state:   plaintext[stampLen:],
	}, true
}

// at returns v's age and remaining life when it is read. Its age is the larger by either clock,
// that of writer and reader or, if known, the server's: neither can make it younger than it was
// when it was sealed, nor can the server return life that has passed since.
func (v *session) at(now time.Time, told time.Duration) (age, left time.Duration) {
	elapsed := max(now.Sub(v.written), 0)
	if told != untold {
		elapsed = max(elapsed, v.left-told)
	}
	return v.age + elapsed, v.left - elapsed
}

// elapsedAtLeast is the time since v was written, by the clock that shows less.
func (v *session) elapsedAtLeast(now time.Time, told time.Duration) time.Duration {
	elapsed := max(now.Sub(v.written), 0)
	if told != untold {
		elapsed = min(elapsed, max(v.left-told, 0))
	}
	return elapsed
}

func appendMillis(b []byte, d time.Duration) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(min(max(d.Milliseconds(), 0), math.MaxUint32)))
}

func parseMillis(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond
}

// wipe overwrites the secret. Key schedules inside crypto/aes are out of reach; they become garbage
// as soon as a value is sealed.
func (s *secret) wipe() {
	clear(s.master)
	clear(s.nameKey)
}

// additionalData binds a value to its header and purpose.
func additionalData(sealed []byte, purpose string) []byte {
	return append(append(make([]byte, 0, headLen+len(purpose)), sealed[:headLen]...), purpose...)
}

// aead is the cipher for one session, or for the rules. Its nonces are random and
// part of what it seals.
func (s *secret) aead(purpose string) cipher.AEAD {
	k := s.derive("reprise store v2"+purpose, 32)
	defer clear(k)
	block, err := aes.NewCipher(k)
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	// the key's length is a constant
	panic(errors.Join(errors.New("store: AES-256-GCM is not to be had"), err))
}

func (s *secret) derive(info string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, s.master, info, length)
	if err != nil {
		panic(err) // only if the length were absurd
	}
	return key
}

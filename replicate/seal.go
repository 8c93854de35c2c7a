package replicate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	wireVersion = 1

	headerLen = 26
	tagLen    = 16
	nonceLen  = 12

	// DatagramOverhead is how many bytes longer a datagram is than its messages.
	DatagramOverhead = headerLen + tagLen

	// minSecretLen is what a cluster secret must at least have: a guessable one
	// would open every session of the fleet (GnuTLS CVE-2020-13777, hitch's
	// all-zero key).
	minSecretLen = 16

	keyInfo   = "reprise datagram v1"
	keyIDInfo = "reprise datagram key id v1"
)

// A Secret is what the nodes of a fleet share. It keeps no copy of the bytes it
// was made of, only what datagram keys are derived from. Copies share memory;
// everything but [Secret.Wipe] is safe for concurrent use. The zero value is not
// for use: it panics.
type Secret struct {
	id  byte
	prk []byte // HKDF's pseudorandom key
}

// NewSecret derives a Secret from a cluster secret's bytes. It refuses what is
// shorter than 16 bytes or one byte repeated, never pads or replaces it. b stays
// the caller's, to be wiped.
func NewSecret(b []byte) (Secret, error) {
	if len(b) < minSecretLen {
		return Secret{}, fmt.Errorf("replicate: cluster secret has %d bytes, at least %d are needed", len(b), minSecretLen)
	}
	if isConstant(b) {
		return Secret{}, errors.New("replicate: cluster secret is the same byte over and over, random bytes are needed")
	}
	prk, err := hkdf.Extract(sha256.New, b, nil)
	if err != nil {
		return Secret{}, fmt.Errorf("replicate: deriving from the cluster secret: %w", err)
	}
	// The id is derived too, so that nodes agree on it without a convention.
	// It tells nothing about the keys.
	id, err := hkdf.Expand(sha256.New, prk, keyIDInfo, 1)
	if err != nil {
		return Secret{}, fmt.Errorf("replicate: deriving the cluster secret's id: %w", err)
	}
	return Secret{id: id[0], prk: prk}, nil
}

// ID is the byte by which datagrams name the secret they are sealed under. It is
// not secret, and two secrets may have the same.
func (s Secret) ID() byte { return s.id }

// Wipe overwrites the secret, also in its copies, which are useless afterwards.
// Sealers and openers made before go on working: the keys inside them are out of
// reach, and go with them.
func (s Secret) Wipe() { clear(s.prk) }

// Format writes only the id, whatever the verb: a secret must not reach a log.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "secret %02x", s.id) }

// aead returns the AEAD for the datagrams of one life of a node.
func (s Secret) aead(sender ID) cipher.AEAD {
	if isConstant(s.prk) { // so that a mistake of ours does not become a skeleton key
		panic("replicate: use of an empty or wiped secret")
	}
	key, err := hkdf.Expand(sha256.New, s.prk, keyInfo+string(sender[:]), 32)
	if err != nil {
		panic(err) // only for a key length out of range
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key length out of range
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a block length out of range
	}
	return aead
}

// Header is what a datagram shows to everyone. Nothing of it is to be believed
// before the datagram was opened.
type Header struct {
	KeyID   byte
	Sender  ID
	Counter uint64
}

// Reason says why a datagram was dropped, for a counter.
type Reason uint8

const (
	Opened         Reason = iota // it was not
	TooShort                     // no room for header and tag
	ForeignVersion               // another version of this protocol, or another protocol
	ForeignKey                   // sealed under a secret that this node does not have
	NotAuthentic                 // forged, damaged, or sealed under another secret that has the same id
	Replayed                     // authentic, but its counter is not new or too old to tell
)

// String returns a few lower-case words.
func (r Reason) String() string {
	words := [...]string{
		"opened", "too short", "foreign version", "foreign key", "not authentic", "replayed",
		"malformed", "reflected", "not introduced", "too many peers", "too many strangers", // a Node's
	}
	if int(r) < len(words) {
		return words[r]
	}
	return "invalid"
}

// ParseHeader reads a datagram's header, so that the sender's [Opener] can be
// found. The reason is Opened, TooShort or ForeignVersion.
func ParseHeader(datagram []byte) (Header, Reason) {
	if len(datagram) == 0 {
		return Header{}, TooShort
	}
	// First the version: another one may have a shorter header.
	if datagram[0] != wireVersion {
		return Header{}, ForeignVersion
	}
	if len(datagram) < DatagramOverhead {
		return Header{}, TooShort
	}
	return Header{
		KeyID:   datagram[1],
		Sender:  ID(datagram[2:18]),
		Counter: binary.BigEndian.Uint64(datagram[18:headerLen]),
	}, Opened
}

func (h Header) append(b []byte) []byte {
	b = append(b, wireVersion, h.KeyID)
	b = append(b, h.Sender[:]...)
	return binary.BigEndian.AppendUint64(b, h.Counter)
}

// A Sealer makes the datagrams of one life of a node. It belongs to one
// goroutine.
type Sealer struct {
	aead  cipher.AEAD
	next  Header         // of the datagram to come
	nonce [nonceLen]byte // here because it would escape from the stack
}

// NewSealer returns a sealer for a sender, whose ID must be random and have no
// other sealer: two would use the same nonces under the same key, which gives
// AES-GCM away.
func NewSealer(secret Secret, sender ID) *Sealer {
	s := &Sealer{next: Header{Sender: sender, Counter: 1}}
	s.Rekey(secret)
	return s
}

// Rekey goes on under another secret. The counter goes on too, because receivers
// have one window per sender.
func (s *Sealer) Rekey(secret Secret) {
	s.aead = secret.aead(s.next.Sender)
	s.next.KeyID = secret.id
}

// Seal appends a datagram with messages to dst, [DatagramOverhead] bytes longer
// than they are; with room in dst it does not allocate. messages must not overlap
// what is appended. It panics rather than use a counter twice, after 2^64
// datagrams.
func (s *Sealer) Seal(dst, messages []byte) []byte {
	if s.next.Counter == math.MaxUint64 {
		panic("replicate: a sender's datagrams are used up")
	}
	start := len(dst)
	dst = s.next.append(dst)
	putNonce(&s.nonce, s.next.Counter)
	dst = s.aead.Seal(dst, s.nonce[:], messages, dst[start:])
	s.next.Counter++
	return dst
}

// An Opener opens the datagrams of one sender and drops what it opened before. It
// belongs to one goroutine.
type Opener struct {
	sender ID
	keys   []openerKey
	window Window
	nonce  [nonceLen]byte // here because it would escape from the stack
}

type openerKey struct {
	id   byte
	aead cipher.AEAD
}

// NewOpener returns an opener for a sender's datagrams under any of the live
// secrets.
func NewOpener(secrets []Secret, sender ID) *Opener {
	o := &Opener{sender: sender}
	o.Rekey(secrets)
	return o
}

// Rekey exchanges the live secrets. What was opened before stays a replay.
func (o *Opener) Rekey(secrets []Secret) {
	keys := make([]openerKey, len(secrets))
	for i, s := range secrets {
		keys[i] = openerKey{id: s.id, aead: s.aead(o.sender)}
	}
	o.keys = keys
}

// Open appends a datagram's messages to dst; with room in dst it does not
// allocate. For any reason but Opened it returns dst as it was. dst must not
// overlap the datagram.
func (o *Opener) Open(dst, datagram []byte) ([]byte, Reason) {
	h, reason := ParseHeader(datagram)
	if reason != Opened {
		return dst, reason
	}
	header, sealed := datagram[:headerLen], datagram[headerLen:]
	putNonce(&o.nonce, h.Counter)
	reason = ForeignKey
	for _, k := range o.keys { // ids may collide, so the first that matches need not be the one
		if k.id != h.KeyID {
			continue
		}
		opened, err := k.aead.Open(dst, o.nonce[:], sealed, header)
		if err != nil {
			reason = NotAuthentic
			continue
		}
		if !o.window.Check(h.Counter) {
			clear(opened[len(dst):])
			return dst, Replayed
		}
		return opened, Opened
	}
	return dst, reason
}

func putNonce(nonce *[nonceLen]byte, counter uint64) {
	binary.BigEndian.PutUint64(nonce[nonceLen-8:], counter)
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

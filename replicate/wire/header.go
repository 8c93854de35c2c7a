package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

const (
	// Version is the first byte of every datagram of this protocol.
	Version = 2

	// HeaderLen is the length of the beginning of every datagram, including the check.
	HeaderLen = blockLen + checkLen

	blockLen  = aes.BlockSize
	checkLen  = 8
	bodyCheck = blockLen + checkLen/2 // where the body's half of the check begins

	checkInfo = "reprise check v2"
	bodyInfo  = "reprise body check v2"
	idInfo    = "reprise secret id v2"
)

// Kind is the purpose of a datagram.
type Kind uint8

// The kinds.
const (
	KindSealed  Kind = 1 // messages, sealed under the sender's key
	KindRetry   Kind = 2 // "I cannot open what you sent: introduce yourself", with a cookie
	KindHello   Kind = 3 // an introduction's first message
	KindWelcome Kind = 4 // its second
	KindProof   Kind = 5 // its third
)

// Header is the unencrypted part of a datagram.
type Header struct {
	Kind     Kind
	SecretID byte
	// sealed: the low byte of the key's; retry: the kind of the datagram that could not be opened
	Epoch  byte
	Sender ShortID // the node that sealed it
	// Counter is, in a sealed datagram, its number in the sender's life; in an introduction's
	// messages, the number that its initiator chose; in a retry, the counter of the datagram that
	// could not be opened.
	Counter uint64
}

// Reason says why a datagram was dropped, for a counter.
type Reason uint8

const (
	Opened         Reason = iota // it was not dropped
	TooShort                     // no room for what it claims to be
	ForeignVersion               // another version of this protocol, or another protocol
	ForeignSecret                // of a fleet with another secret
	// its check is wrong: garbage, damaged, or of another secret with the same id
	Forged
	// the header's check is right but not the rest: damaged, or sealed under an unknown key
	NotAuthentic
	Replayed // its counter is not new, or too old to tell
	KeyGone  // sealed under a key that has expired, or does not exist yet
	Stale    // too long under way
)

// String returns a few lower-case words.
func (r Reason) String() string {
	words := [...]string{
		"opened", "too short", "foreign version", "foreign secret", "forged", "not authentic",
		"replayed", "key gone", "stale",
		"malformed", "reflected", "not introduced", "too many peers", "introductions", // a Node's
	}
	if int(r) < len(words) {
		return words[r]
	}
	return "invalid"
}

// ParseHeader reads a datagram's header, which must not be trusted before its check. The reason is
// Opened, TooShort or ForeignVersion.
func ParseHeader(datagram []byte) (Header, Reason) {
	if len(datagram) == 0 {
		return Header{}, TooShort
	}
	// First the version: another one may have a shorter header.
	if datagram[0] != Version {
		return Header{}, ForeignVersion
	}
	if len(datagram) < HeaderLen {
		return Header{}, TooShort
	}
	return Header{
		Kind: Kind(datagram[1]), SecretID: datagram[2], Epoch: datagram[3],
		Sender: ShortID(datagram[4:]), Counter: binary.BigEndian.Uint64(datagram[8:]),
	}, Opened
}

// append appends the header and its half of the check to b; [Checker.finish] fills in the other
// half once the body is complete.
func (h Header) append(b []byte, c *Checker) []byte {
	start := len(b)
	b = append(b, Version, byte(h.Kind), c.id, h.Epoch)
	b = append(b, h.Sender[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Counter)
	sum := c.sum(b[start:])
	b = append(b, sum[:checkLen/2]...)
	return append(b, make([]byte, checkLen/2)...)
}

// A Checker makes and verifies the check of datagrams: a cheap proof that they were made in the
// fleet. Its first half covers the header, which is one block of AES, and for garbage it is the
// only computation: 20 ns instead of a hash's 250. The second half covers header and body, so that
// an attacker cannot put garbage behind a recorded header and have nodes try to open it, or a
// repeater send it to a whole fleet. Both are cut to four bytes: guessing them only gets a datagram
// to the decryption, which rejects it. A recorded datagram passes again; counters and cookies
// prevent that.
// cookies are against that.
//
// The second half is AES of header xor h(body), where h is GCM's hash of additional data under a
// separate fixed key and nonce: a universal hash, whose output stays hidden, under a pseudorandom
// function (Carter and Wegman, 1981).
//
// It belongs to one goroutine.
type Checker struct {
	id      byte
	block   cipher.Block
	hash    cipher.AEAD
	in, out [blockLen]byte // here because they would escape from the stack
}

// hashNonce is that fixed nonce; its outputs stay inside.
var hashNonce = make([]byte, 12)

// NewChecker derives the check from a repeater's key: [Secret.RepeaterKey].
func NewChecker(repeaterKey []byte) *Checker {
	// The id is derived too, so that all agree on it without a convention. It reveals nothing about
	// the keys.
	c := &Checker{id: expand(repeaterKey, idInfo, 1)[0], block: newBlock(repeaterKey, checkInfo)}
	var err error
	if c.hash, err = cipher.NewGCM(newBlock(repeaterKey, bodyInfo)); err != nil {
		panic(err) // only for another block length
	}
	return c
}

func newBlock(repeaterKey []byte, info string) cipher.Block {
	key := expand(repeaterKey, info, 16)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key length out of range
	}
	return block
}

// ID is that of the secret.
func (c *Checker) ID() byte { return c.id }

func (c *Checker) sum(header []byte) [checkLen / 2]byte {
	c.in = [blockLen]byte(header)
	c.block.Encrypt(c.out[:], c.in[:])
	return [checkLen / 2]byte(c.out[:])
}

// sumAll covers header and body.
func (c *Checker) sumAll(datagram []byte) [checkLen / 2]byte {
	c.hash.Seal(c.in[:0], hashNonce, nil, datagram[HeaderLen:])
	subtle.XORBytes(c.in[:], c.in[:], datagram[:blockLen])
	c.block.Encrypt(c.out[:], c.in[:])
	return [checkLen / 2]byte(c.out[checkLen/2:])
}

// finish fills in the second half of the check of an otherwise complete datagram.
func (c *Checker) finish(datagram []byte) []byte {
	sum := c.sumAll(datagram)
	copy(datagram[bodyCheck:HeaderLen], sum[:])
	return datagram
}

// Verify reports whether the check of a datagram that has a header is right.
func (c *Checker) Verify(datagram []byte) bool {
	return c.VerifyHeader(datagram) && c.VerifyBody(datagram)
}

// VerifyHeader is the first half of Verify: whether the header was made in the fleet.
func (c *Checker) VerifyHeader(datagram []byte) bool {
	if datagram[2] != c.id {
		return false
	}
	want := c.sum(datagram)
	return subtle.ConstantTimeCompare(want[:], datagram[blockLen:bodyCheck]) == 1
}

// VerifyBody is the second half: whether the body belongs to the header.
func (c *Checker) VerifyBody(datagram []byte) bool {
	want := c.sumAll(datagram)
	return subtle.ConstantTimeCompare(want[:], datagram[bodyCheck:HeaderLen]) == 1
}

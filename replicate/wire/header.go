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

	// HeaderLen is the length of what every datagram begins with, the check
	// included.
	HeaderLen = blockLen + checkLen

	blockLen = aes.BlockSize
	checkLen = 8

	checkInfo = "reprise check v2"
	idInfo    = "reprise secret id v2"
)

// Kind says what a datagram is for.
type Kind uint8

// The kinds.
const (
	KindSealed  Kind = 1 // messages, sealed under the sender's key
	KindRetry   Kind = 2 // "I cannot open what you sent: introduce yourself", with a cookie
	KindHello   Kind = 3 // an introduction's first message
	KindWelcome Kind = 4 // its second
	KindProof   Kind = 5 // its third
)

// Header is what a datagram shows to everyone.
type Header struct {
	Kind     Kind
	SecretID byte
	Epoch    byte    // sealed: the low byte of the key's; retry: the kind of what could not be opened
	Sender   ShortID // who sealed it
	// Counter is, of a sealed datagram, its number in the sender's life; of an
	// introduction's messages, the number that its initiator chose; of a retry,
	// the counter of what could not be opened.
	Counter uint64
}

// Reason says why a datagram was dropped, for a counter.
type Reason uint8

const (
	Opened         Reason = iota // it was not
	TooShort                     // no room for what it claims to be
	ForeignVersion               // another version of this protocol, or another protocol
	ForeignSecret                // of a fleet with another secret
	Forged                       // its check is wrong: garbage, damaged, or another secret that has the same id
	NotAuthentic                 // the check is right and the rest is not: damaged, or sealed under a key not known
	Replayed                     // its counter is not new, or too old to tell
	KeyGone                      // sealed under a key whose time is over, or that has yet to come
	Stale                        // too long on its way
)

// String returns a few lower-case words.
func (r Reason) String() string {
	words := [...]string{
		"opened", "too short", "foreign version", "foreign secret", "forged", "not authentic", "replayed", "key gone", "stale",
		"malformed", "reflected", "not introduced", "too many peers", "introductions", // a Node's
	}
	if int(r) < len(words) {
		return words[r]
	}
	return "invalid"
}

// ParseHeader reads a datagram's header, of which nothing is to be believed before
// its check. The reason is Opened, TooShort or ForeignVersion.
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

// append appends the header and its check to b.
func (h Header) append(b []byte, c *Checker) []byte {
	start := len(b)
	b = append(b, Version, byte(h.Kind), c.id, h.Epoch)
	b = append(b, h.Sender[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Counter)
	sum := c.sum(b[start:])
	return append(b, sum[:]...)
}

// A Checker makes and verifies the check of datagrams: a cheap proof that the
// header was made by somebody of the fleet, and when garbage comes the only thing
// that is computed. It is AES-128 of the header, which is one block, cut to eight
// bytes: a pseudorandom function of it, in 20 ns instead of a hash's 250. A header
// that was recorded passes again; counters and cookies are against that.
//
// It belongs to one goroutine.
type Checker struct {
	id      byte
	block   cipher.Block
	in, out [blockLen]byte // here because they would escape from the stack
}

// NewChecker derives the check from a repeater's key: [Secret.RepeaterKey].
func NewChecker(repeaterKey []byte) *Checker {
	key := expand(repeaterKey, checkInfo, 16)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key length out of range
	}
	// The id is derived too, so that all agree on it without a convention. It
	// tells nothing about the key.
	return &Checker{id: expand(repeaterKey, idInfo, 1)[0], block: block}
}

// ID is that of the secret.
func (c *Checker) ID() byte { return c.id }

func (c *Checker) sum(header []byte) [checkLen]byte {
	c.in = [blockLen]byte(header)
	c.block.Encrypt(c.out[:], c.in[:])
	return [checkLen]byte(c.out[:])
}

// Verify reports whether the check of a datagram that has a header is right.
func (c *Checker) Verify(datagram []byte) bool {
	if datagram[2] != c.id {
		return false
	}
	want := c.sum(datagram)
	return subtle.ConstantTimeCompare(want[:], datagram[blockLen:HeaderLen]) == 1
}

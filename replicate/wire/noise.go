package wire

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/cloudflare/circl/dh/x25519"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	noiseName = "Noise_NNpsk0_25519_ChaChaPoly_SHA256"

	// ephemeralLen is the length of a public key.
	ephemeralLen = x25519.Size
)

// A handshake is one side of a Noise handshake of the pattern NNpsk0 (the Noise Protocol Framework,
// revision 34, Sections 5, 7.4 and 9):
//
//	-> psk, e
//	<- e, ee
//
// and of the one transport message that follows, from the initiator. It is implemented here so that
// all its keys are in arrays which are cleared when it ends. A library leaves copies on the heap,
// and an introduction's keys must be gone: they encrypt the chains from which both sides' keys
// come, and would open all that was recorded since.
//
// Each key seals one message, so all nonces are 0.
type handshake struct {
	hash   [sha256.Size]byte // "h": over all messages
	chain  [sha256.Size]byte // "ck"
	temp   [sha256.Size]byte // of HKDF
	secret x25519.Key        // our ephemeral key
	shared x25519.Key
	aead   aead // under "k"
	isLive bool // not yet wiped
}

var zeroNonce [chacha20poly1305.NonceSize]byte

// newHandshake begins a handshake, which is bound to the parts of its prologue. The caller keeps
// psk.
func newHandshake(psk []byte, prologue ...[]byte) *handshake {
	n := &handshake{aead: wipeable(chacha20poly1305.New), isLive: true}
	n.hash = sha256.Sum256([]byte(noiseName))
	n.chain = n.hash
	n.mixHash(prologue...)
	n.mixKeyAndHash(psk)
	return n
}

// wipe overwrites the keys. The handshake is unusable afterwards: it opens nothing, not even a
// message sealed under the key of zeros.
func (n *handshake) wipe() {
	n.aead.wipe()
	clear(n.hash[:])
	clear(n.chain[:])
	clear(n.temp[:])
	clear(n.secret[:])
	clear(n.shared[:])
	n.isLive = false
}

// appendHello appends the initiator's message.
func (n *handshake) appendHello(b, payload []byte) []byte {
	return n.seal(n.appendEphemeral(b), payload)
}

// readHello reads it. The key exchange is not computed before it is known that the sender has the
// pre-shared key.
func (n *handshake) readHello(message []byte) (public x25519.Key, payload []byte, ok bool) {
	if !n.isLive || len(message) < ephemeralLen+aeadLen {
		return public, nil, false
	}
	public = n.readEphemeral(message)
	payload, ok = n.open(message[ephemeralLen:])
	return public, payload, ok
}

// appendWelcome appends the responder's message. It returns false if the initiator's public key is
// one of low order.
func (n *handshake) appendWelcome(b []byte, other *x25519.Key, payload []byte) ([]byte, bool) {
	b = n.appendEphemeral(b)
	if !n.agree(other) {
		return nil, false
	}
	b = n.seal(b, payload)
	n.split()
	return b, true
}

// readWelcome reads it. A forged message changes nothing: the genuine one may follow.
func (n *handshake) readWelcome(message []byte) (payload []byte, ok bool) {
	if !n.isLive || len(message) < ephemeralLen+aeadLen {
		return nil, false
	}
	hash, chain := n.hash, n.chain
	public := n.readEphemeral(message)
	if n.agree(&public) {
		payload, ok = n.open(message[ephemeralLen:])
	}
	if !ok {
		n.hash, n.chain = hash, chain
		return nil, false
	}
	n.split()
	return payload, true
}

// sealProof appends the initiator's transport message. It ends the handshake.
func (n *handshake) sealProof(b, payload, additional []byte) []byte {
	b = n.aead.Seal(b, zeroNonce[:], payload, additional)
	n.wipe()
	return b
}

// openProof opens it. An authentic message ends the handshake.
func (n *handshake) openProof(message, additional []byte) (payload []byte, ok bool) {
	if !n.isLive {
		return nil, false
	}
	payload, err := n.aead.Open(nil, zeroNonce[:], message, additional)
	if err != nil {
		return nil, false
	}
	n.wipe()
	return payload, true
}

// appendEphemeral writes the token "e" of a pattern with a pre-shared key.
func (n *handshake) appendEphemeral(b []byte) []byte {
	if n.secret == (x25519.Key{}) { // or it is a test's
		_, _ = rand.Read(n.secret[:]) // never fails
	}
	var public x25519.Key
	x25519.KeyGen(&public, &n.secret)
	n.mixHash(public[:])
	n.mixKey(public[:])
	return append(b, public[:]...)
}

// readEphemeral reads it.
func (n *handshake) readEphemeral(message []byte) x25519.Key {
	public := x25519.Key(message)
	n.mixHash(public[:])
	n.mixKey(public[:])
	return public
}

// agree performs the token "ee".
func (n *handshake) agree(other *x25519.Key) bool {
	if !x25519.Shared(&n.shared, &n.secret, other) {
		return false
	}
	n.mixKey(n.shared[:])
	return true
}

func (n *handshake) mixHash(parts ...[]byte) {
	h := sha256.New() // over nothing secret
	h.Write(n.hash[:])
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(n.hash[:0])
}

func (n *handshake) mixKey(material []byte) {
	hmacSum(&n.temp, n.chain[:], material)
	hmacSum(&n.chain, n.temp[:], block1)
	hmacSum(n.aead.key, n.temp[:], n.chain[:], block2)
}

func (n *handshake) mixKeyAndHash(material []byte) {
	hmacSum(&n.temp, n.chain[:], material)
	hmacSum(&n.chain, n.temp[:], block1)
	var mixed [sha256.Size]byte
	hmacSum(&mixed, n.temp[:], n.chain[:], block2)
	n.mixHash(mixed[:])
	hmacSum(n.aead.key, n.temp[:], mixed[:], block3)
}

// split derives the key of the initiator's transport messages. Those of the responder are not
// needed: it sends none.
func (n *handshake) split() {
	hmacSum(&n.temp, n.chain[:])
	hmacSum(n.aead.key, n.temp[:], block1)
	clear(n.chain[:])
	clear(n.temp[:])
	clear(n.secret[:])
	clear(n.shared[:])
}

func (n *handshake) seal(b, payload []byte) []byte {
	start := len(b)
	b = n.aead.Seal(b, zeroNonce[:], payload, n.hash[:])
	n.mixHash(b[start:])
	return b
}

func (n *handshake) open(sealed []byte) ([]byte, bool) {
	payload, err := n.aead.Open(nil, zeroNonce[:], sealed, n.hash[:])
	if err != nil {
		return nil, false
	}
	n.mixHash(sealed)
	return payload, true
}

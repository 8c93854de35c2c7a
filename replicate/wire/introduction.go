package wire

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// An introduction is three datagrams, after a retry that asked for it:
//
//	responder                     initiator
//	retry: cookie             ->            an answer to what it could not open
//	                          <-  hello     cookie, Noise message 1
//	welcome: Noise message 2  ->
//	                          <-  proof     Noise transport message
//
// It is Noise_NNpsk0_25519_ChaChaPoly_SHA256 (the Noise Protocol Framework, revision 34), with the
// cluster secret's introduction key as the pre-shared key. Each side sends in its [Introduction],
// encrypted under ephemeral keys, what the other needs to open its datagrams: the initiator in the
// proof, the responder in the welcome. The welcome proves to the initiator that the responder has
// the secret and lives now; the proof proves the same in the other direction, and that the
// initiator receives what is sent to its address.
//
// The cookie comes first so that an address is proved before anything is computed or stored for it,
// and so that an unproved address never gets more than a retry, which is shorter than the datagram
// it answers.

const (
	// MaxNameLen bounds a node's name.
	MaxNameLen = 64

	toLen         = 4
	retryLen      = HeaderLen + toLen + 16
	helloLen      = HeaderLen + toLen + 16 + noiseHelloLen
	noiseHelloLen = ephemeralLen + aeadLen
	prologue      = "reprise introduction v2"

	// introductionLen is the length of an [Introduction] without the name.
	introductionLen = 16 + 16 + 4 + keyLen + 8 + 4 + 8 + 8 + 4 + 1

	// MaxWelcomeLen is the length of a welcome with the longest name, and exceeds that of a proof.
	MaxWelcomeLen = HeaderLen + toLen + ephemeralLen + introductionLen + MaxNameLen + aeadLen
)

// An Instance names a node's installation: the same in each of its lives, and used by no other node
// at the same time.
type Instance [16]byte

// An Introduction is the first data that nodes exchange.
type Introduction struct {
	ID       ID
	Instance Instance
	Epoch    uint32 // of Chain
	Chain    Chain
	Counter  uint64 // of the next datagram
	Clock    uint32 // the sender's clock, in units of 16 us
	Wall     time.Time
	Context  uint64        // hash of the session contexts served
	Lifetime time.Duration // of sessions, in whole milliseconds
	Name     string
}

// Wipe overwrites the key.
func (i *Introduction) Wipe() { clear(i.Chain[:]) }

func (i *Introduction) append(b []byte) []byte {
	b = append(b, i.ID[:]...)
	b = append(b, i.Instance[:]...)
	b = binary.BigEndian.AppendUint32(b, i.Epoch)
	b = append(b, i.Chain[:]...)
	b = binary.BigEndian.AppendUint64(b, i.Counter)
	b = binary.BigEndian.AppendUint32(b, i.Clock)
	b = binary.BigEndian.AppendUint64(b, uint64(i.Wall.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, i.Context)
	b = appendDuration(b, i.Lifetime, time.Millisecond)
	name := i.Name[:min(len(i.Name), MaxNameLen)]
	return append(append(b, byte(len(name))), name...)
}

// parseIntroduction reads what append wrote. Additions of later versions are skipped.
func parseIntroduction(b []byte) (i Introduction, ok bool) {
	if len(b) < introductionLen {
		return Introduction{}, false
	}
	nameLen := int(b[introductionLen-1])
	if nameLen > MaxNameLen || len(b) < introductionLen+nameLen {
		return Introduction{}, false
	}
	i = Introduction{
		ID: ID(b), Instance: Instance(b[16:]), Epoch: binary.BigEndian.Uint32(b[32:]),
		Chain:   Chain(b[36:]),
		Counter: binary.BigEndian.Uint64(b[68:]), Clock: binary.BigEndian.Uint32(b[76:]),
		Wall:     time.UnixMilli(int64(binary.BigEndian.Uint64(b[80:]))),
		Context:  binary.BigEndian.Uint64(b[88:]),
		Lifetime: parseDuration(b[96:], time.Millisecond),
		Name:     printable(string(b[introductionLen : introductionLen+nameLen])),
	}
	return i, true
}

// printable replaces characters that would disturb a log or a metric's label.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
}

// AppendRetry appends a retry for a datagram with the given header, to a node at an address.
func AppendRetry(b []byte, c *Checker, from ShortID, h Header, cookie Cookie) []byte {
	start := len(b)
	b = Header{Kind: KindRetry, Epoch: byte(h.Kind), Sender: from, Counter: h.Counter}.append(b, c)
	b = append(b, h.Sender[:]...)
	b = append(b, cookie[:]...)
	c.finish(b[start:])
	return b
}

// A Retry asks the node To to introduce itself with a cookie.
type Retry struct {
	To     ShortID
	Cookie Cookie
}

// ParseRetry reads a retry behind its header.
func ParseRetry(datagram []byte) (Retry, bool) {
	if len(datagram) < retryLen {
		return Retry{}, false
	}
	return Retry{ShortID(datagram[HeaderLen:]), Cookie(datagram[HeaderLen+toLen:])}, true
}

// An Initiator is an introduction that this node has begun.
type Initiator struct {
	// Hello is the datagram to be sent, perhaps again.
	Hello  []byte
	To     ShortID
	Number uint64
	state  *handshake
}

// NewInitiator begins an introduction of the node from to the node to, with a cookie from that.
func NewInitiator(s Secret, c *Checker, from, to ShortID, cookie Cookie) *Initiator {
	var number [8]byte
	_, _ = rand.Read(number[:]) // never fails
	i := &Initiator{To: to, Number: binary.BigEndian.Uint64(number[:])}
	b := make([]byte, 0, helloLen)
	b = Header{Kind: KindHello, Sender: from, Counter: i.Number}.append(b, c)
	b = append(b, to[:]...)
	b = append(b, cookie[:]...)
	i.state = newState(s, b)
	i.Hello = c.finish(i.state.appendHello(b, nil))
	return i
}

// Welcome handles the responder's welcome. It returns the responder's introduction, which it
// proves, and the proof to be sent with our own introduction.
func (i *Initiator) Welcome(datagram []byte, c *Checker,
	own *Introduction,
) (other Introduction, proof []byte, ok bool) {
	h, reason := ParseHeader(datagram)
	if reason != Opened || len(datagram) < HeaderLen+toLen || h.Counter != i.Number ||
		h.Sender != i.To {
		return Introduction{}, nil, false
	}
	plain, ok := i.state.readWelcome(datagram[HeaderLen+toLen:])
	if !ok {
		return Introduction{}, nil, false
	}
	defer i.Wipe()
	defer clear(plain)
	if other, ok = parseIntroduction(plain); !ok || other.ID.Short() != i.To {
		other.Wipe()
		return Introduction{}, nil, false
	}
	own.Name = own.Name[:min(len(own.Name), MaxNameLen)]
	payload := own.append(make([]byte, 0, introductionLen+MaxNameLen))
	defer clear(payload)
	proof = Header{Kind: KindProof, Sender: own.ID.Short(), Counter: i.Number}.append(nil, c)
	proof = append(proof, i.To[:]...)
	bound := proofData(proof)
	return other, c.finish(i.state.sealProof(proof, payload, bound[:])), true
}

// Wipe overwrites the keys of an introduction that ends.
func (i *Initiator) Wipe() { i.state.wipe() }

// HelloTo returns the addressee of a hello, and its cookie.
func HelloTo(datagram []byte) (to ShortID, cookie Cookie, ok bool) {
	if len(datagram) < helloLen {
		return ShortID{}, Cookie{}, false
	}
	return ShortID(datagram[HeaderLen:]), Cookie(datagram[HeaderLen+toLen:]), true
}

// To returns the addressee of a welcome or a proof.
func To(datagram []byte) (to ShortID, ok bool) {
	if len(datagram) < HeaderLen+toLen {
		return ShortID{}, false
	}
	return ShortID(datagram[HeaderLen:]), true
}

// A Responder is an introduction that another node has begun, between welcome and proof.
type Responder struct {
	// Welcome is the datagram to be sent, perhaps again.
	Welcome []byte
	From    ShortID
	Number  uint64
	// For the caller: the address the cookie was valid for, and the secret.
	Addr   netip.AddrPort
	Secret Fingerprint
	state  *handshake
}

// Wipe overwrites the keys of an introduction that ends.
func (r *Responder) Wipe() { r.state.wipe() }

// NewResponder answers a hello whose cookie is valid. It reports whether a node that has the secret
// made the hello; the key exchange is not computed before that is known.
func NewResponder(s Secret, c *Checker, hello []byte, own *Introduction) (*Responder, bool) {
	h, reason := ParseHeader(hello)
	if reason != Opened || len(hello) < helloLen {
		return nil, false
	}
	const noiseAt = helloLen - noiseHelloLen
	state := newState(s, hello[:noiseAt])
	public, _, ok := state.readHello(hello[noiseAt:helloLen])
	if !ok {
		state.wipe()
		return nil, false
	}
	own.Name = own.Name[:min(len(own.Name), MaxNameLen)]
	payload := own.append(make([]byte, 0, introductionLen+MaxNameLen))
	defer clear(payload)
	b := Header{Kind: KindWelcome, Sender: own.ID.Short(), Counter: h.Counter}.append(nil, c)
	b = append(b, h.Sender[:]...)
	welcome, ok := state.appendWelcome(b, &public, payload)
	if !ok {
		state.wipe()
		return nil, false
	}
	return &Responder{Welcome: c.finish(welcome), From: h.Sender, Number: h.Counter, state: state},
		true
}

// Proof handles the initiator's proof and returns the initiator's introduction.
func (r *Responder) Proof(datagram []byte) (other Introduction, ok bool) {
	if len(datagram) < HeaderLen+toLen {
		return Introduction{}, false
	}
	const sealedAt = HeaderLen + toLen
	bound := proofData(datagram)
	plain, ok := r.state.openProof(datagram[sealedAt:], bound[:])
	if !ok {
		return Introduction{}, false
	}
	defer clear(plain)
	if other, ok = parseIntroduction(plain); !ok || other.ID.Short() != r.From {
		other.Wipe()
		return Introduction{}, false
	}
	return other, true
}

// newState begins a handshake bound to the beginning of its hello.
func newState(s Secret, hello []byte) *handshake {
	psk := s.presharedKey()
	defer clear(psk)
	return newHandshake(psk, []byte(prologue), hello[:blockLen], hello[HeaderLen:])
}

// proofData is the data to which a proof is bound: all before the ciphertext, except the check,
// which is made last.
func proofData(proof []byte) (b [blockLen + toLen]byte) {
	copy(b[:], proof[:blockLen])
	copy(b[blockLen:], proof[HeaderLen:HeaderLen+toLen])
	return b
}

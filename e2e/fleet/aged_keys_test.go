package fleet

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
)

// The parts of version 2 of the wire format (docs/WIRE.md) that an attacker uses.
const (
	wireVersion   = 2
	kindSealed    = 1
	kindProof     = 5  // an introduction's last message, with the chain of all later keys
	blockLen      = 16 // of the header that is authenticated
	headerLen     = blockLen + 8
	randomLen     = 16
	toLen         = 4 // behind the header of an introduction's messages
	keyLen        = 32
	ratchetEvery  = 30 * time.Second
	ratchetInfo   = "reprise ratchet v2"
	sealInfo      = "reprise seal v2"
	ratchetsTried = 3
)

// TestOldRecordingsStayClosedToMemory: an attacker records every datagram of a fleet, and later
// gets the memory of all its nodes. That opens no datagram older than two steps of the ratchet, and
// no introduction, which would reveal the source of all later keys.
//
// It waits while other tests run: it is in the first file with a test that waits, and begins before
// those that are not parallel.
func TestOldRecordingsStayClosedToMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the ratchet")
	}
	f := newFleet(t, 2, quickFleet...)
	n := newNetwork(f.Fleet)
	f.RunAll()
	for i := range 8 {
		f.wantAll(1-i%2, []holder{f.goHolder(i%2, versions[i/2%2])})
	}
	old := newAttack(n.captured())
	if len(old.datagrams) < 2 || len(old.proofs) == 0 {
		t.Fatalf("sealed datagrams of %d keys and %d introductions recorded, want some of each node's", len(old.datagrams), len(old.proofs))
	}
	recorded := time.Now()
	if f.openedByMemory(old, 1) == 0 {
		t.Fatal("the memory of now does not open what was sealed just now: this test finds nothing")
	}
	t.Parallel()
	for i := 0; i < 10 || time.Since(recorded) < 2*ratchetEvery+5*time.Second; i++ {
		f.goHolder(i%2, versions[i/2%2]) // the fleet is in use
		time.Sleep(500 * time.Millisecond)
	}
	if opened := f.openedByMemory(old, math.MaxInt); opened > 0 {
		t.Errorf("the memory of the nodes opens datagrams of %d keys that are %v old", opened, time.Since(recorded).Round(time.Second))
	}
	if f.openedByMemory(newAttack(n.captured()[len(n.captured())-10:]), 1) == 0 {
		t.Error("the memory of now does not open what was sealed just now")
	}
}

// The search finds the key of an introduction, in plain form and as HMAC pads it.
func TestSearchFindsIntroductions(t *testing.T) {
	proof, key := recordedProof(t)
	for _, pad := range hmacPads {
		a := newAttack([]captured{{datagram: proof}})
		memory := bytes.Repeat([]byte{0, 1, 2, 3}, 1000)
		for i := range key {
			memory[1004+i] = key[i] ^ pad
		}
		opened := map[[5]byte]string{}
		a.read(memory)
		for c := range a.candidates {
			a.try(c, opened)
		}
		if len(opened) != 1 {
			t.Errorf("a key padded with %02x: found %v", pad, opened)
		}
	}
}

// recordedProof makes an introduction as docs/WIRE.md has it, and returns its proof and
// the key of that.
func recordedProof(t *testing.T) (proof, key []byte) {
	t.Helper()
	side := func(initiator bool) *noise.HandshakeState {
		s, err := noise.NewHandshakeState(noise.Config{
			CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
			Pattern:     noise.HandshakeNN, Initiator: initiator, PresharedKey: make([]byte,
				keyLen), Prologue: []byte("a hello"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := side(true), side(false)
	hello, _, _, err := a.WriteMessage(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err = b.ReadMessage(nil, hello); err != nil {
		t.Fatal(err)
	}
	welcome, _, _, err := b.WriteMessage(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, own, _, err := a.ReadMessage(nil, welcome)
	if err != nil {
		t.Fatal(err)
	}
	k := own.UnsafeKey()
	proof = make([]byte, headerLen+toLen)
	proof[0], proof[1] = wireVersion, kindProof
	if proof, err = own.Encrypt(proof, boundTo(proof), make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	return proof, k[:]
}

// boundTo is the additional data of a proof: the bytes before it, without the check.
func boundTo(proof []byte) []byte {
	return slices.Concat(proof[:blockLen], proof[headerLen:headerLen+toLen])
}

// An attack is datagrams to be opened, one for each key.
type attack struct {
	datagrams  map[[5]byte][]byte    // by epoch and sender
	proofs     map[[5]byte][]byte    // of introductions, by number and sender
	candidates map[[keyLen]byte]bool // strings that could be keys
}

func newAttack(list []captured) *attack {
	a := &attack{
		datagrams: map[[5]byte][]byte{}, proofs: map[[5]byte][]byte{},
		candidates: map[[keyLen]byte]bool{},
	}
	for _, c := range list {
		d := c.datagram
		if len(d) < headerLen+randomLen+chacha20poly1305.Overhead || d[0] != wireVersion {
			continue
		}
		switch d[1] {
		case kindSealed:
			// The shortest of each key is opened soonest.
			if id := [5]byte(d[3:8]); a.datagrams[id] == nil || len(d) < len(a.datagrams[id]) {
				a.datagrams[id] = d
			}
		case kindProof:
			id := [5]byte(d[3:8])
			id[0] = d[blockLen-1] // the last byte of a random number
			a.proofs[id] = d
		}
	}
	return a
}

// openedByMemory tries every string of 32 bytes in the nodes' memory that could be
// a key, as a key and as a ratchet's state, until it has found enough keys, and returns how
// many it found. All are read before the first is tried, which takes long: a step of the
// ratchet may come meanwhile.
func (f *fleet) openedByMemory(a *attack, enough int) int {
	f.T.Helper()
	clear(a.candidates)
	for _, n := range f.Nodes {
		memory(n, a.read)
	}
	opened := map[[5]byte]string{}
	for c := range a.candidates {
		if a.try(c, opened); len(opened) >= enough {
			break
		}
	}
	f.T.Logf("%d strings read, to be tried against %d keys and %d introductions, found: %v",
		len(a.candidates), len(a.datagrams), len(a.proofs), opened)
	return len(opened)
}

// read notes what lies in a part of a memory, wherever a key can lie.
func (a *attack) read(part []byte) {
	for at := 0; at+keyLen <= len(part); at += 4 {
		if looksRandom(part[at : at+keyLen]) {
			a.candidates[[keyLen]byte(part[at:])] = true
		}
	}
}

// looksRandom tells keys from pointers, numbers and text: of a random string of 32
// bytes one in 10^9 does not look so.
func looksRandom(b []byte) bool {
	var seen [256]bool
	distinct, zero, high := 0, 0, 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			distinct++
		}
		if c == 0 {
			zero++
		}
		if c >= 0x80 {
			high++
		}
	}
	return distinct >= 22 && zero <= 4 && high >= 3
}

// try tries a string as a key, and as the source of keys.
func (a *attack) try(candidate [keyLen]byte, opened map[[5]byte]string) {
	a.tryKey(candidate[:], "a key", opened)
	chain := candidate[:]
	for i := range ratchetsTried {
		a.tryKey(expand(chain, sealInfo), fmt.Sprintf("a ratchet's state, %d steps before", i), opened)
		chain = expand(chain, ratchetInfo)
	}
	for _, pad := range hmacPads {
		key := candidate
		for i := range key {
			key[i] ^= pad
		}
		a.tryProof(key[:], opened)
	}
}

// hmacPads are the forms in which HMAC-SHA-256 leaves its key in memory: 0 is the key itself.
var hmacPads = [...]byte{0, 0x36, 0x5c}

// tryProof tries a string as the key of an introduction's last message. It hands over the other
// keys, and is the last one in use.
func (a *attack) tryProof(key []byte, opened map[[5]byte]string) {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return
	}
	for id, d := range a.proofs {
		const sealedAt = headerLen + toLen
		if _, err := aead.Open(nil, make([]byte, chacha20poly1305.NonceSize), d[sealedAt:],
			boundTo(d)); err == nil {
			opened[id] += " an introduction's key"
		}
	}
}

func (a *attack) tryKey(key []byte, what string, opened map[[5]byte]string) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return
	}
	for id, d := range a.datagrams {
		nonce := append([]byte(nil), d[headerLen:headerLen+randomLen]...)
		nonce = binary.BigEndian.AppendUint64(nonce, binary.BigEndian.Uint64(d[8:]))
		if _, err := aead.Open(nil, nonce, d[headerLen+randomLen:], d[:blockLen]); err == nil {
			opened[id] += " " + what
		}
	}
}

func expand(secret []byte, info string) []byte {
	out, err := hkdf.Expand(sha256.New, secret, info, keyLen)
	if err != nil {
		panic(err) // only for a length out of range
	}
	return out
}

package fleet

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// What an attacker knows of version 2 of the wire format (docs/WIRE.md).
const (
	wireVersion   = 2
	kindSealed    = 1
	blockLen      = 16 // of the header that is authenticated
	headerLen     = blockLen + 8
	randomLen     = 16
	keyLen        = 32
	ratchetEvery  = 30 * time.Second
	ratchetInfo   = "reprise ratchet v2"
	sealInfo      = "reprise seal v2"
	ratchetsTried = 3
)

// TestOldRecordingsStayClosedToMemory: somebody records every datagram of a fleet,
// and later gets the memory of all its nodes as it is then. That opens nothing that
// is older than two steps of the ratchet.
func TestOldRecordingsStayClosedToMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the ratchet")
	}
	t.Parallel()
	f := newFleet(t, 2, quickFleet...)
	n := newNetwork(f)
	f.runAll()
	for i := range 8 {
		f.wantAll(1-i%2, []holder{f.goHolder(i%2, versions[i/2%2])})
	}
	old := newAttack(n.captured())
	if len(old.datagrams) < 2 {
		t.Fatalf("sealed datagrams of %d keys recorded, want some of each node's", len(old.datagrams))
	}
	recorded := time.Now()
	if f.openedByMemory(old) == 0 {
		t.Fatal("the memory of now does not open what was sealed just now: this test finds nothing")
	}
	for i := 0; time.Since(recorded) < 2*ratchetEvery+5*time.Second; i++ {
		f.goHolder(i%2, versions[i/2%2]) // the fleet is in use
		time.Sleep(500 * time.Millisecond)
	}
	if opened := f.openedByMemory(old); opened > 0 {
		t.Errorf("the memory of the nodes opens datagrams of %d keys that are %v old", opened, time.Since(recorded).Round(time.Second))
	}
	if f.openedByMemory(newAttack(n.captured()[len(n.captured())-10:])) == 0 {
		t.Error("the memory of now does not open what was sealed just now")
	}
}

// An attack is datagrams to be opened, one for each key.
type attack struct {
	datagrams map[[5]byte][]byte // by epoch and sender
	tried     map[[keyLen]byte]bool
}

func newAttack(list []captured) *attack {
	a := &attack{datagrams: map[[5]byte][]byte{}}
	for _, c := range list {
		d := c.datagram
		if len(d) > headerLen+randomLen+chacha20poly1305.Overhead && d[0] == wireVersion && d[1] == kindSealed {
			a.datagrams[[5]byte(d[3:8])] = d
		}
	}
	return a
}

// openedByMemory tries every string of 32 bytes in the nodes' memory that could be
// a key, as a key and as a ratchet's state, and returns how many keys it found.
func (f *fleet) openedByMemory(a *attack) int {
	f.t.Helper()
	a.tried = map[[keyLen]byte]bool{}
	opened := map[[5]byte]string{}
	for _, n := range f.nodes {
		n.memory(func(part []byte) {
			for at := 0; at+keyLen <= len(part); at += 4 {
				if candidate := [keyLen]byte(part[at:]); looksRandom(part[at:at+keyLen]) && !a.tried[candidate] {
					a.tried[candidate] = true
					a.try(candidate, opened)
				}
			}
		})
	}
	f.t.Logf("%d strings tried against %d keys, found: %v", len(a.tried), len(a.datagrams), opened)
	return len(opened)
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

// try tries a string as a key, and as what keys are derived from.
func (a *attack) try(candidate [keyLen]byte, opened map[[5]byte]string) {
	a.tryKey(candidate[:], "a key", opened)
	chain := candidate[:]
	for i := range ratchetsTried {
		a.tryKey(expand(chain, sealInfo), fmt.Sprintf("a ratchet's state, %d steps before", i), opened)
		chain = expand(chain, ratchetInfo)
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

package wire

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
)

// A Key names a session: random, and known only to its client and the fleet.
type Key [16]byte

// An ID names one life of a node: random, made at its start.
type ID [16]byte

// NewID returns a random id for a node that starts.
func NewID() (id ID) {
	for id.Short() == Everybody {
		_, _ = rand.Read(id[:]) // never fails
	}
	return id
}

// Short returns the id's first bytes.
func (id ID) Short() ShortID { return ShortID(id[:len(ShortID{})]) }

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// A ShortID is the beginning of a node's [ID]. Session handles use it for their owner, datagrams
// for their sender and messages for their addressee. It is unique only within a fleet, and only
// probably.
type ShortID [4]byte

// String returns the id in hexadecimal.
func (id ShortID) String() string { return hex.EncodeToString(id[:]) }

// Uint32 returns the id as a number, for use as a key of maps.
func (id ShortID) Uint32() uint32 { return binary.BigEndian.Uint32(id[:]) }

// A RuleID identifies a command to forget in all nodes; it is random.
type RuleID [16]byte

package tlsconn

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// A session state begins with
//
//	offset  length  field
//	     0       8  NameHash of the server name it was made under, big endian
//	     8       8  ContextHash of the session context
//	    16       1  Codec of what follows
//
// A store uses the hashes to find the sessions that it is told to forget.
const StatePrefixLen = 17

// Codec says which engine wrote a session state.
type Codec byte

// The codecs.
const (
	CodecOwn      Codec = 1 // of this package
	CodecStandard Codec = 2 // of crypto/tls
)

// AppendStatePrefix appends the beginning of a session state to b.
func AppendStatePrefix(b []byte, nameHash, contextHash uint64, codec Codec) []byte {
	b = binary.BigEndian.AppendUint64(b, nameHash)
	b = binary.BigEndian.AppendUint64(b, contextHash)
	return append(b, byte(codec))
}

// OpenState returns what follows the prefix of a state that codec's engine wrote. Otherwise miss is
// the reason.
func OpenState(state []byte, codec Codec) (body []byte, miss Outcome, ok bool) {
	if len(state) < StatePrefixLen {
		return nil, MissCorrupt, false
	}
	switch c := Codec(state[StatePrefixLen-1]); {
	case c == codec:
		return state[StatePrefixLen:], 0, true
	case c == CodecOwn || c == CodecStandard:
		return nil, MissOtherEngine, false
	default:
		return nil, MissCorrupt, false
	}
}

// NameHash is the hash of the server name in a session state: four bytes of the name's hash, and
// four of its parent domain's, the ParentHash. So a rule may cover all names under a domain.
func NameHash(serverName string) uint64 { return nameHash64(hashName(serverName), serverName) }

func nameHash64(name [sha256.Size]byte, serverName string) uint64 {
	_, parent, _ := strings.Cut(serverName, ".")
	return uint64(binary.BigEndian.Uint32(name[:]))<<32 | ParentHash(parent)
}

// ParentHash is the hash in a session state of the domain directly above its server name.
func ParentHash(domain string) uint64 {
	h := hashName(domain)
	return uint64(binary.BigEndian.Uint32(h[:]))
}

// ContextHash is the hash of the session context in a session state.
func ContextHash(context string) uint64 {
	h := hashStrings(context)
	return binary.BigEndian.Uint64(h[:])
}

// StateHashes returns the hashes in a session state: the NameHash, the ParentHash and the
// ContextHash. ok is false if it is too short.
func StateHashes(state []byte) (name, parent, context uint64, ok bool) {
	if len(state) < StatePrefixLen {
		return 0, 0, 0, false
	}
	name = binary.BigEndian.Uint64(state)
	return name, name & (1<<32 - 1), binary.BigEndian.Uint64(state[8:]), true
}

package tlsconn

import "encoding/binary"

// A session state begins with
//
//	offset  length  field
//	     0       8  NameHash of the server name it was made under, big endian
//	     8       8  ContextHash of the session context
//	    16       1  Codec of what follows
//
// By the hashes a store finds what it is told to forget.
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

// OpenState returns what follows the prefix of a state that codec's engine wrote.
// Otherwise miss says what is wrong with it.
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

// NameHash is what a session state says of the server name it was made under.
func NameHash(serverName string) uint64 {
	h := hashName(serverName)
	return binary.BigEndian.Uint64(h[:])
}

// ContextHash is what a session state says of its session context.
func ContextHash(context string) uint64 {
	h := hashStrings(context)
	return binary.BigEndian.Uint64(h[:])
}

// StateMatches reports whether a session state was made under the given hashes;
// nil stands for any.
func StateMatches(state []byte, nameHash, contextHash *uint64) bool {
	if len(state) < StatePrefixLen {
		return false
	}
	return (nameHash == nil || *nameHash == binary.BigEndian.Uint64(state)) &&
		(contextHash == nil || *contextHash == binary.BigEndian.Uint64(state[8:]))
}

package tlsconn

import (
	"encoding/binary"
	"slices"

	"reprise/tlsconn/primitive"
)

// A sessionState is a session's state in our engine's format, after the prefix that state.go
// describes:
//
//	offset  length  field
//	     0       1  version of this format, 1
//	     1       2  protocol version
//	     3       2  cipher suite
//	     5       1  flags: 1 extended master secret
//	     6      24  scope
//	    30       1  length of the secret
//	    31       n  secret: TLS 1.3 the PSK, TLS 1.2 the master secret
//	  31+n       3  length of the client's certificate, 0 if it has none
//	  34+n       m  client's certificate, DER
type sessionState struct {
	version uint16
	suite   *primitive.Suite
	ems     bool
	scope   Scope
	secret  [primitive.MaxHashLen]byte
	cert    []byte // aliases what was parsed
}

const (
	// maxStateLen is the greatest length of a state without a certificate.
	maxStateLen  = 6 + ScopeLen + 1 + primitive.MaxHashLen + 3
	stateFormat  = 1
	stateFlagEMS = 1
	masterLen    = 48
)

// secretLen returns the length of the secret.
func (st *sessionState) secretLen() int {
	if st.suite.TLS13 {
		return st.suite.Hash.Len()
	}
	return masterLen
}

// append appends the encoded state. It makes room first: if the slice grew later, the old memory
// with the secret would not be wiped.
func (st *sessionState) append(b []byte) []byte {
	b = slices.Grow(b, maxStateLen+len(st.cert))
	b = append(b, stateFormat)
	b = binary.BigEndian.AppendUint16(b, st.version)
	b = binary.BigEndian.AppendUint16(b, st.suite.ID)
	var flags byte
	if st.ems {
		flags = stateFlagEMS
	}
	b = append(b, flags)
	b = st.scope.Append(b)
	n := st.secretLen()
	b = append(b, byte(n))
	b = append(b, st.secret[:n]...)
	b = append(b, byte(len(st.cert)>>16), byte(len(st.cert)>>8), byte(len(st.cert)))
	return append(b, st.cert...)
}

// parse reads an encoded state. An accepted one is complete.
func (st *sessionState) parse(b []byte) bool {
	*st = sessionState{}
	if len(b) < 6 || b[0] != stateFormat || b[5]&^stateFlagEMS != 0 {
		return false
	}
	st.version = binary.BigEndian.Uint16(b[1:])
	st.suite = primitive.SuiteByID(binary.BigEndian.Uint16(b[3:]))
	st.ems = b[5]&stateFlagEMS != 0
	if st.suite == nil || st.suite.TLS13 != (st.version == version13) || !st.suite.TLS13 &&
		st.version != version12 {
		return false
	}
	var good bool
	if st.scope, b, good = ParseScope(b[6:]); !good {
		return false
	}
	n := st.secretLen()
	if len(b) < 1+n+3 || int(b[0]) != n {
		return false
	}
	copy(st.secret[:], b[1:1+n])
	b = b[1+n:]
	m := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if len(b) != 3+m {
		return false
	}
	if m > 0 {
		st.cert = b[3:]
	}
	return true
}

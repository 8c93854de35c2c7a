package primitive

import "strconv"

// A Group is a named group of the supported_groups registry (RFC 8446, Section 4.2.7). P-521 is
// left out: it would cost 3 ms for an attacker's 380 bytes.
type Group uint16

// The groups spoken here.
const (
	P256           Group = 23
	P384           Group = 24
	X25519         Group = 29
	X448           Group = 30     // for clients without another group: it costs as much as P-384
	X25519MLKEM768 Group = 0x11ec // draft-ietf-tls-ecdhe-mlkem
)

// Known reports whether g is supported.
func (g Group) Known() bool {
	switch g {
	case P256, P384, X25519, X448, X25519MLKEM768:
		return true
	}
	return false
}

// String returns the group's name as OpenSSL writes it.
func (g Group) String() string {
	switch g {
	case P256:
		return "P-256"
	case P384:
		return "P-384"
	case X25519:
		return "X25519"
	case X448:
		return "X448"
	case X25519MLKEM768:
		return "X25519MLKEM768"
	}
	return "group 0x" + strconv.FormatUint(uint64(g), 16)
}

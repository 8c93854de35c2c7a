package primitive

import (
	"crypto/rand"

	circl "github.com/cloudflare/circl/dh/x448"
)

const x448Len = circl.Size

// An x448 is a key of X448 (RFC 7748, Section 5), which the standard library does not have: circl
// alone computes it, checked by the vectors of the RFC.
type x448 struct{ private circl.Key }

// generate makes the key and appends its public part to dst.
func (x *x448) generate(dst []byte) []byte {
	var public circl.Key
	_, _ = rand.Read(x.private[:]) // ends the program rather than fail
	circl.KeyGen(&public, &x.private)
	return append(dst, public[:]...)
}

// agree sets shared to the secret of the key and the peer's. It returns false for a share that is
// not a key of the group or is of low order.
func (x *x448) agree(shared *[x448Len]byte, peer []byte) bool {
	if len(peer) != x448Len {
		return false
	}
	public, secret := circl.Key(peer), circl.Key{}
	ok := circl.Shared(&secret, &x.private, &public)
	*shared = secret
	clear(secret[:])
	return ok
}

func (x *x448) clear() { clear(x.private[:]) }

package primitive

import (
	"crypto/subtle"
	"sync/atomic"

	"filippo.io/edwards25519"
	circl "github.com/cloudflare/circl/dh/x25519"
	"github.com/klauspost/cpuid/v2"
)

const x25519Len = 32

// fastX25519 says that circl computes X25519; only SelfCheck writes it.
var fastX25519 atomic.Bool

// x25519Pays reports whether circl's X25519 is faster here than the standard library's: its ladder
// needs MULX, ADCX and ADOX of amd64 for that.
func x25519Pays() bool {
	return cpuid.CPU.Supports(cpuid.BMI2, cpuid.ADX)
}

// x25519 is the function of RFC 7748, Section 5, in the form that is fast on amd64, with its
// scratch.
type x25519 struct {
	shared, private, peer circl.Key
	scalar                edwards25519.Scalar
	point                 edwards25519.Point
}

func (c *x25519) clear() { *c = x25519{} }

// base sets public to the public key of private. It multiplies the base point on the Edwards form
// of the curve, for which there are tables, and converts the result to its coordinate on the
// Montgomery form.
func (c *x25519) base(public, private *[x25519Len]byte) {
	if _, err := c.scalar.SetBytesWithClamping(private[:]); err != nil {
		panic(err) // the length is right
	}
	copy(public[:], c.point.ScalarBaseMult(&c.scalar).BytesMontgomery())
}

// agree sets shared to the secret of private and peer. It returns false if that is zero, which
// happens only for points of low order (RFC 7748, Section 6.1).
func (c *x25519) agree(shared, private, peer *[x25519Len]byte) bool {
	c.private, c.peer = circl.Key(*private), circl.Key(*peer)
	ok := circl.Shared(&c.shared, &c.private, &c.peer)
	*shared = [x25519Len]byte(c.shared)
	var zero [x25519Len]byte
	return subtle.ConstantTimeCompare(shared[:], zero[:]) == 0 && ok
}

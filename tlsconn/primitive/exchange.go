package primitive

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
)

// The reasons why a share is refused.
var (
	// ErrGroup says that the group is not spoken here, or not in that version of TLS.
	ErrGroup = errors.New("group is not supported")
	// ErrShare says that the peer's share is not a key of the group, or gives a
	// secret of zeros only (RFC 7748, Section 6.1): illegal_parameter.
	ErrShare = errors.New("key share is not valid")
)

// maxSecretLen is the length of X25519MLKEM768's secret, the longest one.
const maxSecretLen = 64

// An Exchange is the scratch of a server's (EC)DHE in TLS 1.3 (RFC 8446, Section
// 7.4), where the client's share comes first. It belongs to one goroutine, holds
// nothing from one call of Respond to the next, and is ready when zero.
type Exchange struct {
	curve   x25519
	private [x25519Len]byte
	peer    [x25519Len]byte
	public  [x25519Len]byte
	secret  [maxSecretLen]byte
}

// Respond appends the server's share for the client's to dst and returns both it,
// as the extended dst, and the shared secret. The secret aliases x until the next
// call of Respond or Clear.
func (x *Exchange) Respond(dst []byte, g Group, client []byte) (share, secret []byte, err error) {
	switch g {
	case X25519:
		dst, err = x.respondX25519(dst, client, x.secret[:x25519Len])
		return dst, x.secret[:x25519Len], err
	case X25519MLKEM768:
		return x.respondHybrid(dst, client)
	case P256, P384:
		return x.respondNIST(dst, g, client)
	}
	return dst, nil, ErrGroup
}

// Clear wipes what Respond left.
func (x *Exchange) Clear() {
	x.curve.clear()
	clear(x.private[:])
	clear(x.peer[:])
	clear(x.public[:])
	clear(x.secret[:])
}

func (x *Exchange) respondX25519(dst, client, secret []byte) ([]byte, error) {
	if len(client) != x25519Len {
		return dst, ErrShare
	}
	copy(x.peer[:], client)
	_, _ = rand.Read(x.private[:]) // ends the program rather than fail
	if !x.curve.agree((*[x25519Len]byte)(secret), &x.private, &x.peer) {
		return dst, ErrShare
	}
	x.curve.base(&x.public, &x.private)
	return append(dst, x.public[:]...), nil
}

// respondHybrid puts ML-KEM first, in the shares and in the secret
// (draft-ietf-tls-ecdhe-mlkem, Section 4).
func (x *Exchange) respondHybrid(dst, client []byte) (share, secret []byte, err error) {
	if len(client) != mlkemKeyLen+x25519Len {
		return dst, nil, ErrShare
	}
	start := len(dst)
	dst, err = mlkemEncapsulate(dst, x.secret[:mlkemSecretLen], client[:mlkemKeyLen])
	if err == nil {
		dst, err = x.respondX25519(dst, client[mlkemKeyLen:], x.secret[mlkemSecretLen:])
	}
	if err != nil {
		return dst[:start], nil, err
	}
	return dst, x.secret[:], nil
}

func (x *Exchange) respondNIST(
	dst []byte, g Group, client []byte,
) (share, secret []byte, err error) {
	curve := nistCurve(g)
	peer, err := curve.NewPublicKey(client)
	if err != nil {
		return dst, nil, ErrShare
	}
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return dst, nil, err
	}
	agreed, err := private.ECDH(peer)
	if err != nil {
		return dst, nil, ErrShare
	}
	secret = append(x.secret[:0], agreed...)
	clear(agreed)
	return append(dst, private.PublicKey().Bytes()...), secret, nil
}

func nistCurve(g Group) ecdh.Curve {
	if g == P384 {
		return ecdh.P384()
	}
	return ecdh.P256()
}

// An Ephemeral is a server's (EC)DHE key in TLS 1.2 (RFC 8422, Section 5.4),
// where the client's share comes a flight after the server's. It is used once.
type Ephemeral struct {
	group   Group
	private [x25519Len]byte  // of X25519
	nist    *ecdh.PrivateKey // of P-256 and P-384
}

// Generate makes a key and appends its public part to dst.
func (e *Ephemeral) Generate(dst []byte, g Group) (public []byte, err error) {
	e.Clear()
	switch g {
	case X25519:
		var c x25519
		var out [x25519Len]byte
		_, _ = rand.Read(e.private[:]) // ends the program rather than fail
		c.base(&out, &e.private)
		c.clear()
		dst = append(dst, out[:]...)
	case P256, P384:
		if e.nist, err = nistCurve(g).GenerateKey(rand.Reader); err != nil {
			return dst, err
		}
		dst = append(dst, e.nist.PublicKey().Bytes()...)
	default:
		return dst, ErrGroup
	}
	e.group = g
	return dst, nil
}

// Agree appends the secret shared with the owner of the share to dst. A share
// that is no key of the group, or is of low order, is ErrShare.
func (e *Ephemeral) Agree(dst, peer []byte) (secret []byte, err error) {
	switch e.group {
	case X25519:
		if len(peer) != x25519Len {
			return dst, ErrShare
		}
		var c x25519
		var out [x25519Len]byte
		if !c.agree(&out, &e.private, (*[x25519Len]byte)(peer)) {
			return dst, ErrShare
		}
		dst = append(dst, out[:]...)
		clear(out[:])
		c.clear()
		return dst, nil
	case P256, P384:
		public, err := nistCurve(e.group).NewPublicKey(peer)
		if err != nil {
			return dst, ErrShare
		}
		agreed, err := e.nist.ECDH(public)
		if err != nil {
			return dst, ErrShare
		}
		dst = append(dst, agreed...)
		clear(agreed)
		return dst, nil
	}
	return dst, ErrGroup
}

// Clear wipes the key. What the standard library keeps of a P-256 or P-384 key is
// out of reach and left to the garbage collector.
func (e *Ephemeral) Clear() { *e = Ephemeral{} }

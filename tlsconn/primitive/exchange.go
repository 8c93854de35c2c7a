package primitive

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
)

// The reasons why a share is refused.
var (
	// ErrGroup says that the group is not supported, or not in that version of TLS.
	ErrGroup = errors.New("group is not supported")
	// ErrShare says that the peer's share is not a key of the group, or yields an all-zero secret
	// (RFC 7748, Section 6.1): illegal_parameter.
	ErrShare = errors.New("key share is not valid")
)

// maxSecretLen is the length of X25519MLKEM768's secret, the longest one.
const maxSecretLen = 64

// An Exchange is the scratch of a server's (EC)DHE in TLS 1.3 (RFC 8446, Section 7.4), where the
// client's share comes first. It belongs to one goroutine, keeps nothing from one call of Respond
// to the next, and its zero value is ready.
type Exchange struct {
	curve   x25519
	private [x25519Len]byte
	peer    [x25519Len]byte
	public  [x25519Len]byte
	secret  [maxSecretLen]byte
}

// Respond appends the server's share for the client's to dst and returns both it, as the extended
// dst, and the shared secret. The secret aliases x until the next call of Respond or Clear.
func (x *Exchange) Respond(dst []byte, g Group, client []byte) (share, secret []byte, err error) {
	secret = x.secret[:x25519Len]
	switch g {
	case X25519:
		dst, err = x.respondX25519(dst, client, secret)
	case X25519MLKEM768:
		secret = x.secret[:]
		dst, err = x.respondHybrid(dst, client)
	case P256:
		dst, err = respondStandard(dst, ecdh.P256(), client, secret)
	case X448:
		secret = x.secret[:x448Len]
		dst, err = respondX448(dst, client, (*[x448Len]byte)(secret))
	case P384:
		secret = x.secret[:48]
		dst, err = respondStandard(dst, ecdh.P384(), client, secret)
	default:
		err = ErrGroup
	}
	if err != nil {
		return dst, nil, err
	}
	return dst, secret, nil
}

// Clear wipes the results of Respond.
func (x *Exchange) Clear() {
	x.curve.clear()
	clear(x.private[:])
	clear(x.peer[:])
	clear(x.public[:])
	clear(x.secret[:])
}

// respondX25519 writes to secret, which is x25519Len bytes of x.secret.
func (x *Exchange) respondX25519(dst, client, secret []byte) ([]byte, error) {
	if !fastX25519.Load() {
		return respondStandard(dst, ecdh.X25519(), client, secret)
	}
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

func respondX448(dst, client []byte, secret *[x448Len]byte) ([]byte, error) {
	var key x448
	defer key.clear()
	share := key.generate(dst)
	if !key.agree(secret, client) {
		return dst, ErrShare
	}
	return share, nil
}

// respondHybrid puts ML-KEM first, in the shares and in the secret
// (draft-ietf-tls-ecdhe-mlkem, Section 4).
func (x *Exchange) respondHybrid(dst, client []byte) ([]byte, error) {
	if len(client) != mlkemKeyLen+x25519Len {
		return dst, ErrShare
	}
	key, point := client[:mlkemKeyLen], client[mlkemKeyLen:]
	share, err := mlkemEncapsulate(dst, x.secret[:mlkemSecretLen], key)
	if err == nil {
		share, err = x.respondX25519(share, point, x.secret[mlkemSecretLen:])
	}
	if err != nil {
		return dst, err
	}
	return share, nil
}

// respondStandard uses the standard library. The secret's length is right.
func respondStandard(dst []byte, curve ecdh.Curve, client, secret []byte) ([]byte, error) {
	peer, err := curve.NewPublicKey(client)
	if err != nil {
		return dst, ErrShare
	}
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return dst, err
	}
	agreed, err := private.ECDH(peer) // an error for a secret of zeros
	if err != nil {
		return dst, ErrShare
	}
	copy(secret, agreed)
	clear(agreed)
	return append(dst, private.PublicKey().Bytes()...), nil
}

// An Ephemeral is a server's (EC)DHE key in TLS 1.2 (RFC 8422, Section 5.4),
// where the client's share comes a flight after the server's. It is used once.
type Ephemeral struct {
	fast    bool             // private is the key; otherwise key
	private [x25519Len]byte  // of X25519
	key     *ecdh.PrivateKey // of the standard library
	x448    *x448
}

// Generate makes a key and appends its public part to dst.
func (e *Ephemeral) Generate(dst []byte, g Group) (public []byte, err error) {
	e.Clear()
	var curve ecdh.Curve
	switch g {
	case X25519:
		if fastX25519.Load() {
			return e.generateFast(dst), nil
		}
		curve = ecdh.X25519()
	case P256:
		curve = ecdh.P256()
	case P384:
		curve = ecdh.P384()
	case X448:
		e.x448 = new(x448)
		return e.x448.generate(dst), nil
	default:
		return dst, ErrGroup
	}
	if e.key, err = curve.GenerateKey(rand.Reader); err != nil {
		return dst, err
	}
	return append(dst, e.key.PublicKey().Bytes()...), nil
}

func (e *Ephemeral) generateFast(dst []byte) []byte {
	var c x25519
	var public [x25519Len]byte
	_, _ = rand.Read(e.private[:]) // ends the program rather than fail
	e.fast = true
	c.base(&public, &e.private)
	c.clear()
	return append(dst, public[:]...)
}

// Agree appends the secret shared with the owner of the share to dst. A share
// that is not a key of the group, or is of low order, is ErrShare.
func (e *Ephemeral) Agree(dst, peer []byte) (secret []byte, err error) {
	switch {
	case e.fast:
		return e.agreeFast(dst, peer)
	case e.x448 != nil:
		var agreed [x448Len]byte
		if !e.x448.agree(&agreed, peer) {
			return dst, ErrShare
		}
		dst = append(dst, agreed[:]...)
		clear(agreed[:])
		return dst, nil
	case e.key == nil:
		return dst, ErrGroup
	}
	public, err := e.key.Curve().NewPublicKey(peer)
	if err != nil {
		return dst, ErrShare
	}
	agreed, err := e.key.ECDH(public) // an error for a secret of zeros
	if err != nil {
		return dst, ErrShare
	}
	dst = append(dst, agreed...)
	clear(agreed)
	return dst, nil
}

func (e *Ephemeral) agreeFast(dst, peer []byte) ([]byte, error) {
	if len(peer) != x25519Len {
		return dst, ErrShare
	}
	var c x25519
	var agreed [x25519Len]byte
	if !c.agree(&agreed, &e.private, (*[x25519Len]byte)(peer)) {
		return dst, ErrShare
	}
	dst = append(dst, agreed[:]...)
	clear(agreed[:])
	c.clear()
	return dst, nil
}

// Clear wipes the key. The standard library's copies are out of reach and left to the garbage
// collector.
func (e *Ephemeral) Clear() {
	if e.x448 != nil {
		e.x448.clear()
	}
	*e = Ephemeral{}
}

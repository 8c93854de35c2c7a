package primitive

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"slices"
	"strconv"
)

// A Scheme is a signature algorithm (RFC 8446, Section 4.2.3). None here uses SHA-1.
type Scheme uint16

// The schemes spoken here.
const (
	PKCS1SHA256 Scheme = 0x0401 // those of PKCS #1 sign in TLS 1.2 only
	PKCS1SHA384 Scheme = 0x0501
	PKCS1SHA512 Scheme = 0x0601
	ECDSASHA256 Scheme = 0x0403 // the curve is P-256 in TLS 1.3
	ECDSASHA384 Scheme = 0x0503 // P-384
	ECDSASHA512 Scheme = 0x0603 // P-521
	PSSSHA256   Scheme = 0x0804
	PSSSHA384   Scheme = 0x0805
	PSSSHA512   Scheme = 0x0806
	Ed25519     Scheme = 0x0807
)

// Bounds of RSA keys. Longer ones make verification a weapon, as in crypto/tls.
const (
	minRSABits = 1024
	maxRSABits = 8192
)

// MaxDigestLen is the longest digest that Digest makes for a scheme that hashes.
const MaxDigestLen = sha512.Size

// ErrSignature says that a signature is not the key's, or that the scheme does not fit the key.
var ErrSignature = errors.New("signature is not valid")

// The schemes that Verify accepts from clients: VerifySchemes13 and VerifySchemes12 by the version
// of TLS. CertificateSchemes may have signed the certificates themselves (RFC 8446, Section 4.2.3:
// signature_algorithms_cert).
var (
	VerifySchemes13 = []Scheme{
		ECDSASHA256, PSSSHA256, Ed25519, ECDSASHA384, PSSSHA384, ECDSASHA512, PSSSHA512,
	}
	VerifySchemes12 = slices.Concat(VerifySchemes13, []Scheme{
		PKCS1SHA256, PKCS1SHA384, PKCS1SHA512,
	})
	CertificateSchemes = VerifySchemes12
)

// String returns the scheme's name in RFC 8446.
func (s Scheme) String() string {
	switch s {
	case PKCS1SHA256:
		return "rsa_pkcs1_sha256"
	case PKCS1SHA384:
		return "rsa_pkcs1_sha384"
	case PKCS1SHA512:
		return "rsa_pkcs1_sha512"
	case ECDSASHA256:
		return "ecdsa_secp256r1_sha256"
	case ECDSASHA384:
		return "ecdsa_secp384r1_sha384"
	case ECDSASHA512:
		return "ecdsa_secp521r1_sha512"
	case PSSSHA256:
		return "rsa_pss_rsae_sha256"
	case PSSSHA384:
		return "rsa_pss_rsae_sha384"
	case PSSSHA512:
		return "rsa_pss_rsae_sha512"
	case Ed25519:
		return "ed25519"
	}
	return "scheme 0x" + strconv.FormatUint(uint64(s), 16)
}

// hash returns the scheme's hash; 0 for Ed25519, which signs the message itself,
// and for schemes that are not spoken here.
func (s Scheme) hash() crypto.Hash {
	switch s {
	case PKCS1SHA256, ECDSASHA256, PSSSHA256:
		return crypto.SHA256
	case PKCS1SHA384, ECDSASHA384, PSSSHA384:
		return crypto.SHA384
	case PKCS1SHA512, ECDSASHA512, PSSSHA512:
		return crypto.SHA512
	}
	return 0
}

// The schemes by kind of key, in order of preference.
var (
	schemesEd25519 = []Scheme{Ed25519}
	schemesP256    = []Scheme{ECDSASHA256, ECDSASHA384, ECDSASHA512} // the first is TLS 1.3's
	schemesP384    = []Scheme{ECDSASHA384, ECDSASHA256, ECDSASHA512}
	schemesP521    = []Scheme{ECDSASHA512, ECDSASHA384, ECDSASHA256}
	schemesRSA13   = []Scheme{PSSSHA256, PSSSHA384, PSSSHA512}
	schemesRSA12   = slices.Concat(schemesRSA13, []Scheme{PKCS1SHA256, PKCS1SHA384, PKCS1SHA512})
)

// SchemesFor returns the key's signature schemes in that version of TLS, in order of preference;
// none if the key cannot be used. In TLS 1.2 a curve is not tied to a hash (RFC 5246, Section
// 7.4.1.4.1). The slice must not be changed.
func SchemesFor(pub crypto.PublicKey, tls13 bool) []Scheme {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return schemesEd25519
		}
	case *ecdsa.PublicKey:
		schemes := schemesOfCurve(k.Curve)
		if tls13 && len(schemes) > 0 {
			schemes = schemes[:1:1]
		}
		return schemes
	case *rsa.PublicKey:
		schemes := schemesRSA12
		if tls13 {
			schemes = schemesRSA13
		}
		tooLong := func(s Scheme) bool { return !fitsRSA(k, s) }
		if !slices.ContainsFunc(schemes, tooLong) {
			return schemes
		}
		return slices.DeleteFunc(slices.Clone(schemes), tooLong)
	}
	return nil
}

func schemesOfCurve(c elliptic.Curve) []Scheme {
	switch c {
	case elliptic.P256():
		return schemesP256
	case elliptic.P384():
		return schemesP384
	case elliptic.P521():
		return schemesP521
	}
	return nil
}

// fitsRSA reports whether a signature of the scheme fits in the modulus: the salt is as long as the
// hash (RFC 8446, Section 4.2.3; RFC 8017, Section 9.1.1).
func fitsRSA(k *rsa.PublicKey, s Scheme) bool {
	if k.N == nil {
		return false
	}
	bits := k.N.BitLen()
	if bits < minRSABits || bits > maxRSABits {
		return false
	}
	switch s {
	case PSSSHA256, PSSSHA384, PSSSHA512:
		return (bits-1+7)/8 >= 2*s.hash().Size()+2
	}
	return true // PKCS #1 needs 94 bytes at most
}

// Fits reports whether the key can use the scheme in that version of TLS.
func (s Scheme) Fits(pub crypto.PublicKey, tls13 bool) bool {
	return slices.Contains(SchemesFor(pub, tls13), s)
}

// Digest returns the input of a crypto.Signer for the message, which may come in parts, and the
// options. The digest is appended to sum[:0], which has enough room with MaxDigestLen bytes; for
// Ed25519 it is the message itself.
func Digest(s Scheme, sum []byte, message ...[]byte) (digest []byte, opts crypto.SignerOpts) {
	sum = sum[:0]
	switch h := s.hash(); h {
	case crypto.SHA256:
		state := sha256.New()
		for _, part := range message {
			state.Write(part)
		}
		return state.Sum(sum), options(s)
	case crypto.SHA384, crypto.SHA512:
		state := h.New()
		for _, part := range message {
			state.Write(part)
		}
		return state.Sum(sum), options(s)
	}
	for _, part := range message {
		sum = append(sum, part...)
	}
	return sum, crypto.Hash(0)
}

var (
	pssSHA256 = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	pssSHA384 = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384}
	pssSHA512 = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512}
)

func options(s Scheme) crypto.SignerOpts {
	switch s {
	case PSSSHA256:
		return pssSHA256
	case PSSSHA384:
		return pssSHA384
	case PSSSHA512:
		return pssSHA512
	}
	return s.hash()
}

// Verify checks the key's signature of the message. The scheme must fit the key as in TLS 1.2; that
// a curve has its own hash in TLS 1.3, and that PKCS #1 is not allowed, is for the caller to check
// by Fits. A failure is ErrSignature.
func Verify(pub crypto.PublicKey, s Scheme, message, signature []byte) error {
	if !s.Fits(pub, false) {
		return ErrSignature
	}
	var sum [MaxDigestLen]byte
	ok := false
	switch k := pub.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, signature)
	case *ecdsa.PublicKey:
		digest, _ := Digest(s, sum[:0], message)
		ok = ecdsa.VerifyASN1(k, digest, signature)
	case *rsa.PublicKey:
		digest, opts := Digest(s, sum[:0], message)
		if pss, isPSS := opts.(*rsa.PSSOptions); isPSS {
			ok = rsa.VerifyPSS(k, pss.Hash, digest, signature, pss) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(k, s.hash(), digest, signature) == nil
		}
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

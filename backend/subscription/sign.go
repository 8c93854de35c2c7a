package subscription

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	// used by uWSGI's documentation; it signs no certificates here, and signed packets carry their
	// time
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// KeyFile returns the name of a domain's key file by uWSGI's rule: every byte but letters, digits,
// dots, hyphens and underscores becomes an underscore, so that a domain cannot name a file
// elsewhere.
func KeyFile(domain []byte) string {
	name := make([]byte, 0, len(domain)+len(".pem"))
	for _, c := range domain {
		switch {
		case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z', c == '.', c == '-', c == '_':
			name = append(name, c)
		default:
			name = append(name, '_')
		}
	}
	return string(append(name, ".pem"...))
}

// ParseKey reads a public key in PEM ("PUBLIC KEY").
func ParseKey(data []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("no public key in PEM: make it by openssl pkey -pubout")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return key, nil
	}
	return nil, errors.New("not a key for RSA or ECDSA")
}

func verify(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool {
	h := hash.New()
	h.Write(signed)
	digest := h.Sum(nil)
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	}
	return false
}

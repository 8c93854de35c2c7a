package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Pair is a certificate with its chain and its key.
type Pair struct {
	tls.Certificate
	chain []*x509.Certificate // Leaf is the first
}

// Kind names the kind of the pair's key, "ECDSA", "RSA" or "Ed25519": clients can use a certificate
// only if they support its kind.
func (p *Pair) Kind() string {
	kind, _ := scheme(p.Leaf.PublicKey) // ReadPair has checked it
	return kind
}

// keyKinds says which keys work.
const keyKinds = "use ECDSA (P-256, P-384, P-521), RSA from 1024 bits, or Ed25519"

// ReadPair reads a certificate, with the chain behind it, and its key; both may stand in
// one file.
func ReadPair(certFile, keyFile string) (*Pair, error) {
	chain, err := ReadCertificates(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	switch of := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
		return isKeyOf(key, c.PublicKey)
	}); {
	case of < 0:
		if _, err := scheme(chain[0].PublicKey); err != nil {
			return nil, fmt.Errorf("%s: %w", certFile, err)
		}
		return nil, fmt.Errorf("%s is not the key of %s: name the pair that was made together",
			keyFile,
			certFile)
	case of > 0:
		return nil,
			fmt.Errorf("%s: the %s certificate is the key's: put it first, and behind it the "+
				"one that issued it, and so on", certFile, ordinal(of+1))
	}
	pair := &Pair{chain: chain}
	pair.PrivateKey, pair.Leaf = key, chain[0]
	for _, c := range chain {
		pair.Certificate.Certificate = append(pair.Certificate.Certificate, c.Raw)
	}
	return pair, nil
}

// ReadCertificates reads all certificates of a file, at least one: a chain, or the authorities that
// may issue others.
func ReadCertificates(file string) ([]*x509.Certificate, error) {
	blocks, err := readBlocks(file)
	if err != nil {
		return nil, err
	}
	defer wipe(blocks)
	var list []*x509.Certificate
	for i := range blocks {
		switch b := &blocks[i]; {
		// RFC 7468, Section 5.3 and Appendix A
		case b.label == "CERTIFICATE", b.label == "X509 CERTIFICATE":
			c, err := x509.ParseCertificate(b.data)
			if err != nil {
				reason := strings.TrimPrefix(err.Error(), "x509: ")
				return nil, fmt.Errorf("%s: %w", file, b.errorf("%s", reason))
			}
			list = append(list, c)
		case b.label == "TRUSTED CERTIFICATE":
			return nil, fmt.Errorf("%s: %w", file,
				b.errorf("write it with openssl x509, without -trustout"))
		case !b.isKey() && !isParameter(b.label):
			return nil, fmt.Errorf("%s: %w", file, b.errorf("not known here: remove it"))
		}
	}
	if len(list) == 0 {
		return nil, errors.New(file + " holds no PEM certificate")
	}
	return list, nil
}

// isParameter reports whether a block holds parameters that tools write beside keys and that are
// not needed.
func isParameter(label string) bool {
	return label == "EC PARAMETERS" || label == "DH PARAMETERS" || label == "X9.42 DH PARAMETERS" ||
		label == "DSA PARAMETERS"
}

// readKey reads the one private key of a file.
func readKey(file string) (crypto.Signer, error) {
	blocks, err := readBlocks(file)
	if err != nil {
		return nil, err
	}
	defer wipe(blocks)
	keys := slices.DeleteFunc(slices.Clone(blocks), func(b block) bool { return !b.isKey() })
	switch {
	case len(keys) == 0:
		return nil, errors.New(file + " holds no PEM private key")
	case len(keys) > 1:
		return nil, fmt.Errorf("%s: %w", file,
			keys[1].errorf("a second private key: leave the one "+
				"that is the certificate's"))
	}
	b := &keys[0]
	if b.label == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.headers, "ENCRYPTED") {
		return nil, fmt.Errorf("%s is encrypted: write the key without a passphrase, with openssl "+
			"pkey -in %s", file, file)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, b.errorf("%w", err))
	}
	return key, nil
}

func parseKey(b *block) (crypto.Signer, error) {
	var key any
	var err error
	switch b.label {
	case "PRIVATE KEY":
		if kind := kindOf(b.data); kind != "" {
			return nil, fmt.Errorf("%s keys do not work: %s", kind, keyKinds)
		}
		key, err = x509.ParsePKCS8PrivateKey(b.data)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.data)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.data)
	default:
		return nil, fmt.Errorf("a kind of key that does not work: %s", keyKinds)
	}
	if err != nil {
		return nil, fmt.Errorf("%s (%s)", strings.TrimPrefix(err.Error(), "x509: "), keyKinds)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key that cannot sign: %s", keyKinds)
	}
	if _, err := scheme(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// kindOf names a PKCS #8 key of a kind that is known but does not work, for an operator who made it
// on purpose.
func kindOf(pkcs8 []byte) string {
	var key struct {
		Version   int
		Algorithm struct {
			OID        asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key []byte
	}
	_, err := asn1.Unmarshal(pkcs8, &key)
	clear(key.Key)
	if err != nil {
		return ""
	}
	return map[string]string{
		"1.2.840.113549.1.1.10": "RSA-PSS", // RFC 4055: Go signs with keys of rsaEncryption only
		"1.3.101.113":           "Ed448",
		"1.3.101.110":           "X25519",
		"1.3.101.111":           "X448",
		"1.2.840.10040.4.1":     "DSA",
	}[key.Algorithm.OID.String()]
}

// scheme returns the kind of the key, or an error if no handshake could use it.
func scheme(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 1024 {
			return "", fmt.Errorf("an RSA key of %d bits does not work: %s", n, keyKinds)
		}
		return "RSA", nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return "", fmt.Errorf("a key on P-224 does not work: %s", keyKinds)
		}
		return "ECDSA", nil
	case ed25519.PublicKey:
		return "Ed25519", nil
	default:
		return "", fmt.Errorf("a certificate for a kind of key that does not work: %s", keyKinds)
	}
}

func isKeyOf(key crypto.Signer, public crypto.PublicKey) bool {
	own, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

func ordinal(n int) string {
	switch n {
	case 1:
		return "1st"
	case 2:
		return "2nd"
	case 3:
		return "3rd"
	default:
		return fmt.Sprintf("%dth", n)
	}
}

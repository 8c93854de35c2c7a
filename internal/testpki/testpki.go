package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// validity is how long certificates and revocation lists made here are good for.
const validity = 24 * time.Hour

// KeyType is the kind of key a certificate certifies.
type KeyType int

// The key types clients meet in the field.
const (
	ECDSA   KeyType = iota // P-256, a fresh key per certificate
	RSA                    // 2048 bits, one key for the whole process
	Ed25519                // a fresh key per certificate
)

// String returns the usual name of k.
func (k KeyType) String() string {
	switch k {
	case ECDSA:
		return "ECDSA"
	case RSA:
		return "RSA"
	case Ed25519:
		return "Ed25519"
	}
	return fmt.Sprintf("KeyType(%d)", int(k))
}

// Template says what a certificate certifies. Its zero value is an ECDSA server
// certificate that matches no name.
type Template struct {
	Names      []string  // alternative names: DNS names, wildcards or IP addresses
	CommonName string    // Names[0] if empty
	Key        KeyType   // ECDSA unless set
	Client     bool      // for client authentication instead of server authentication
	NotAfter   time.Time // a day from now if zero; in the past for an expired certificate
}

// Cert is a certificate with its private key. It is read-only once made.
type Cert struct {
	TLS     tls.Certificate // with Leaf set
	CertPEM []byte
	KeyPEM  []byte // PKCS #8

	// Paths of the files that [Cert.Write] made, empty before.
	CertFile string // CertPEM
	KeyFile  string // KeyPEM
	PEMFile  string // both, certificate first, as hitch and HAProxy want it
}

// CA is a certificate authority with an ECDSA key.
type CA struct{ root *Cert }

// NewCA makes an authority whose common name is name.
func NewCA(name string) (*CA, error) {
	root, err := issue(Template{CommonName: name}, nil, true)
	if err != nil {
		return nil, err
	}
	return &CA{root}, nil
}

// SelfSigned makes a certificate that is its own authority: a client that
// trusts CertPEM accepts it.
func SelfSigned(t Template) (*Cert, error) { return issue(t, nil, false) }

// Issue makes a certificate signed by c.
func (c *CA) Issue(t Template) (*Cert, error) { return issue(t, c.root, false) }

// Intermediate makes an authority that c has certified.
func (c *CA) Intermediate(name string) (*CA, error) {
	cert, err := issue(Template{CommonName: name}, c.root, true)
	if err != nil {
		return nil, err
	}
	return &CA{cert}, nil
}

// Cert returns the authority as a certificate, which another one may revoke.
func (c *CA) Cert() *Cert { return c.root }

// CertPEM returns the authority's own certificate.
func (c *CA) CertPEM() []byte { return c.root.CertPEM }

// Pool returns a new pool that holds only this authority.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.root.TLS.Leaf)
	return pool
}

// Revoke returns a PEM revocation list (RFC 5280, Section 5) signed by c that
// holds exactly the given certificates; with none it is a valid, empty list.
func (c *CA) Revoke(certs ...*Cert) ([]byte, error) {
	return c.RevokeUntil(time.Now().Add(validity), certs...)
}

// RevokeUntil is Revoke for a list with a given next update, which may have passed by less than an
// hour.
func (c *CA) RevokeUntil(nextUpdate time.Time, certs ...*Cert) ([]byte, error) {
	now := time.Now()
	list := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()), // grows, as a newer list's must
		ThisUpdate: now.Add(-time.Hour),
		NextUpdate: nextUpdate,
	}
	for _, cert := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{
				SerialNumber:   cert.TLS.Leaf.SerialNumber,
				RevocationTime: now.Add(-time.Hour),
			})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.root.TLS.Leaf, c.root.signer())
	if err != nil {
		return nil, fmt.Errorf("testpki: revocation list: %w", err)
	}
	return encodePEM("X509 CRL", der), nil
}

// Write stores c as base.crt, base.key and base.pem in dir, readable by this
// user only, and returns a copy of c that knows their paths.
func (c *Cert) Write(dir, base string) (*Cert, error) {
	w := *c
	w.CertFile = filepath.Join(dir, base+".crt")
	w.KeyFile = filepath.Join(dir, base+".key")
	w.PEMFile = filepath.Join(dir, base+".pem")
	both := append(append([]byte{}, c.CertPEM...), c.KeyPEM...)
	for path, data := range map[string][]byte{
		w.CertFile: c.CertPEM, w.KeyFile: c.KeyPEM,
		w.PEMFile: both,
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, fmt.Errorf("testpki: %w", err)
		}
	}
	return &w, nil
}

func (c *Cert) signer() crypto.Signer { return c.TLS.PrivateKey.(crypto.Signer) }

// issue makes a certificate signed by parent, or by itself if parent is nil.
func issue(t Template, parent *Cert, isCA bool) (*Cert, error) {
	key, err := newKey(t.Key)
	if err != nil {
		return nil, fmt.Errorf("testpki: %v key: %w", t.Key, err)
	}
	template, err := t.x509(isCA || parent == nil)
	if err != nil {
		return nil, err
	}
	signer, issuer := key, template
	if parent != nil {
		signer, issuer = parent.signer(), parent.TLS.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("testpki: certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("testpki: certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("testpki: %v key: %w", t.Key, err)
	}
	return &Cert{
		TLS:     tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		CertPEM: encodePEM("CERTIFICATE", der),
		KeyPEM:  encodePEM("PRIVATE KEY", pkcs8),
	}, nil
}

// x509 spells t out for the standard library.
func (t Template) x509(isCA bool) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("testpki: serial number: %w", err)
	}
	notAfter := t.NotAfter
	if notAfter.IsZero() {
		notAfter = time.Now().Add(validity)
	}
	notBefore := time.Now().Add(-validity) // well past, so that clocks may differ
	if !notBefore.Before(notAfter) {
		notBefore = notAfter.Add(-validity)
	}
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: t.CommonName},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  isCA,
	}
	if t.Client {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if t.Key == RSA {
		c.KeyUsage |= x509.KeyUsageKeyEncipherment // TLS 1.2's RSA key exchange
	}
	if isCA {
		c.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage = nil // an authority's would restrict what it may issue
	}
	if t.CommonName == "" && len(t.Names) > 0 {
		c.Subject.CommonName = t.Names[0]
	}
	for _, name := range t.Names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c, nil
}

var rsaKey = sync.OnceValues(func() (
	*rsa.PrivateKey, error,
) {
	return rsa.GenerateKey(rand.Reader, 2048)
})

func newKey(k KeyType) (crypto.Signer, error) {
	switch k {
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		return rsaKey()
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown key type")
}

func encodePEM(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

package standard

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"

	"reprise/tlsconn"
)

// chains are those of the configuration with the keys of one server.
type chains struct {
	byName   tlsconn.Names[[]*tls.Certificate]
	fallback []*tls.Certificate
	known    tlsconn.Names[struct{}]
	strict   tlsconn.NameStrictness
}

func bind(c *tlsconn.Certificates, s *Server) *chains {
	b := &chains{
		byName: make(tlsconn.Names[[]*tls.Certificate]), known: c.Known(),
		strict: s.config.Strict,
	}
	for _, cert := range c.List() {
		bound := cert.TLS
		bound.PrivateKey = s.offload(bound.PrivateKey)
		b.byName[cert.Name] = append(b.byName[cert.Name], &bound)
	}
	b.fallback = b.byName[c.Default()]
	return b
}

// get implements tls.Config.GetCertificate.
func (b *chains) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !b.admits(hello.ServerName) {
		return nil, nil // crypto/tls has no certificate and sends unrecognized_name
	}
	candidates := b.forName(hello.ServerName)
	if len(candidates) > 1 {
		abilities := *hello
		abilities.ServerName = "" // it has chosen already, and need not be in the certificate
		for _, cert := range candidates {
			if abilities.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
	}
	// crypto/tls finds and reports why it does not fit.
	return candidates[0], nil
}

// admits reports whether a client that asks for name may go on.
func (b *chains) admits(name string) bool { return b.strict.Admits(name, b.known) }

func (b *chains) forName(name string) []*tls.Certificate {
	if certs, ok := b.byName.Find(name); ok && name != "" {
		return certs
	}
	return b.fallback
}

// offload returns key, or one that signs on a key worker.
func (s *Server) offload(key crypto.PrivateKey) crypto.PrivateKey {
	signer, ok := key.(crypto.Signer)
	if !ok || s.config.Workers == nil || !tlsconn.SignsSlowly(signer) {
		return key // ECDSA and Ed25519 take less time than the handover
	}
	return &offloaded{Signer: signer, server: s}
}

// certPool returns the CAs as crypto/tls's pool.
func certPool(cas []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca)
	}
	return pool
}

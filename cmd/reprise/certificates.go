package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"reprise/config"
	"reprise/tlsconn"
)

// tlsConfig loads what a listener needs, all but what each loop adds.
func (n *node) tlsConfig(l *config.TLSListener) (*tlsconn.Config, error) {
	c := &tlsconn.Config{
		MinVersion: n.config.MinVersion,
		ALPN:       l.ALPN,
		Context:    l.SessionContext,
		Lifetime:   n.config.SessionTimeout,
		SingleUse:  n.config.SingleUse,
	}
	// Random, since a restarted node has lost what the old one's handles name.
	if _, err := rand.Read(c.Owner[:]); err != nil {
		return nil, err
	}
	if n.sessions != nil {
		c.Sessions = n.sessions
	}
	if n.workers != nil {
		c.Workers = n.workers
	}
	var err error
	if c.Policy, err = loadPolicy(l.Policy); err != nil {
		return nil, err
	}
	var certs []tlsconn.Certificate
	for _, cert := range l.Certs {
		loaded, err := loadCertificate(cert)
		if err != nil {
			return nil, err
		}
		if !samePolicy(cert.Policy, l.Policy) {
			policy, err := loadPolicy(cert.Policy)
			if err != nil {
				return nil, err
			}
			loaded.Policy = &policy
		}
		certs = append(certs, loaded)
	}
	c.Certificates, err = tlsconn.NewCertificates(certs)
	return c, err
}

func loadCertificate(c config.Certificate) (tlsconn.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return tlsconn.Certificate{}, fmt.Errorf("%s, %s: %w", c.CertFile, c.KeyFile, err)
	}
	return tlsconn.Certificate{Name: c.Name, TLS: pair}, nil
}

func loadPolicy(p config.Policy) (tlsconn.Policy, error) {
	loaded := tlsconn.Policy{CipherSuites: p.Ciphers}
	if p.ClientCA == "" {
		return loaded, nil
	}
	loaded.ClientAuth = tlsconn.OptionalClientCert
	if p.ClientCARequired {
		loaded.ClientAuth = tlsconn.RequireClientCert
	}
	rest, err := os.ReadFile(p.ClientCA)
	if err != nil {
		return loaded, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return loaded, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return loaded, fmt.Errorf("%s: %w", p.ClientCA, err)
		}
		loaded.ClientCAs = append(loaded.ClientCAs, ca)
	}
}

// handleKeys derives the keys that authenticate handles from the first
// listener's first private key, which the nodes of a fleet share.
func (n *node) handleKeys() (*tlsconn.HandleKeys, error) {
	first := n.config.TLS[0].Certs[0]
	loaded, err := loadCertificate(first)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(loaded.TLS.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", first.KeyFile, err)
	}
	defer clear(der)
	return tlsconn.NewHandleKeys(der)
}

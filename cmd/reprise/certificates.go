package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"reprise/config"
	"reprise/tlsconn"
)

// tlsConfig loads what a listener needs, all but what each loop adds.
func (n *node) tlsConfig(l *config.TLS) (*tlsconn.Config, error) {
	c := &tlsconn.Config{
		MinVersion: n.config.MinVersion,
		ALPN:       l.ALPN,
		Context:    l.SessionContext,
		Lifetime:   n.config.SessionTimeout,
		SingleUse:  n.config.SingleUse,
		Tickets:    n.config.SessionTickets,
		Owner:      tlsconn.NodeID(n.id.Short()),
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

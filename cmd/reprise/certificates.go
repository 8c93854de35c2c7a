package main

import (
	"slices"
	"time"

	"reprise/config"
	"reprise/config/pki"
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
		c.Sessions, c.Life = n.sessions, n.sessions.Now
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
	c.Certificates, err = tlsconn.NewCertificates(validFirst(certs, time.Now()))
	return c, err
}

// validFirst returns the certificates with those that are not valid now behind all
// others: of several for one name the first that suits the client is served.
func validFirst(certs []tlsconn.Certificate, now time.Time) []tlsconn.Certificate {
	invalid := func(c tlsconn.Certificate) bool { return !pki.Valid(c.TLS.Leaf, now) }
	for i := range certs {
		valid := slices.IndexFunc(certs[i:], func(c tlsconn.Certificate) bool { return c.Name == certs[i].Name && !invalid(c) })
		if valid > 0 {
			// The order of names stays: the first is whom unknown clients get.
			certs[i], certs[i+valid] = certs[i+valid], certs[i]
		}
	}
	return certs
}

func loadCertificate(c config.Certificate) (tlsconn.Certificate, error) {
	pair, err := pki.ReadPair(c.CertFile, c.KeyFile)
	if err != nil {
		return tlsconn.Certificate{}, err
	}
	return tlsconn.Certificate{Name: c.Name, TLS: pair.Certificate}, nil
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
	var err error
	loaded.ClientCAs, err = pki.ReadCertificates(p.ClientCA)
	return loaded, err
}

package node

import (
	"crypto/x509"
	"fmt"
	"slices"

	"reprise/backend/tlsclient"
	"reprise/config"
	"reprise/config/pki"
)

// backendPolicy returns the TLS policy for the backends of a pool; nil if none uses TLS.
func backendPolicy(r config.Router, c *config.Pool) (*tlsclient.Policy, error) {
	if !slices.ContainsFunc(c.Backends, func(b config.Backend) bool { return b.TLS }) {
		return nil, nil
	}
	p := &tlsclient.Policy{Name: c.TLS.Name, Unverified: c.TLS.Unverified}
	if r == config.HTTPRouter {
		p.ALPN = []string{"http/1.1"}
	}
	if c.TLS.CA != "" && !c.TLS.Unverified {
		authorities, err := pki.ReadCertificates(c.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("%s-backend-ca: %w", r, err)
		}
		p.Roots = x509.NewCertPool()
		for _, a := range authorities {
			p.Roots.AddCert(a)
		}
	}
	if c.TLS.CertFile != "" {
		pair, err := pki.ReadPair(c.TLS.CertFile, c.TLS.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s-backend-cert: %w", r, err)
		}
		p.Certificate = &pair.Certificate
	}
	return p, nil
}

// policy is backendPolicy for a pool that may have existed before. If nothing has changed it
// returns the old policy, so that sessions and kept connections stay. If a file cannot be read, the
// old policy stays in force and c.refused has the error; but never if the configuration has
// changed.
func (c *poolChange) policy(r config.Router, p *config.Pool, old *pool) (*tlsclient.Policy, error) {
	fresh, err := backendPolicy(r, p)
	if old == nil {
		return fresh, err
	}
	was := old.Options().TLS
	switch {
	case err != nil && was != nil && old.config.TLS == p.TLS:
		c.refused = append(c.refused, err)
		return was, nil
	case err == nil && fresh != nil && was != nil && fresh.Equal(was):
		return was, nil
	}
	return fresh, err
}

package node

import (
	"crypto/x509"
	"errors"
	"fmt"

	"reprise/config"
	"reprise/config/pki"
	"reprise/tlsconn"
)

// revocations are the revocation lists of client CAs, by file.
type revocations map[string][]*x509.RevocationList

// readRevocations reads the files of c. With old, which is in force, a file that cannot be read
// harms only itself: the errors name it, and its lists in old stay. A file that was never readable
// has no effect, except that clients whose CA needs it are refused.
func readRevocations(c *config.Config, old revocations) (revocations, []error) {
	var authorities []*x509.Certificate
	for _, file := range clientCAs(c) {
		cas, err := pki.ReadCertificates(file)
		if err != nil {
			continue // its user reports the error
		}
		authorities = append(authorities, cas...)
	}
	read, failed := make(revocations), []error(nil)
	for _, file := range c.ClientCRLs {
		lists, err := pki.ReadCRLs(file, authorities)
		if err != nil {
			lists, failed = old[file], append(failed, fmt.Errorf("ssl-client-crl: %w", err))
		}
		read[file] = lists
	}
	return read, failed
}

// clientCAs returns the files of all client CAs.
func clientCAs(c *config.Config) (files []string) {
	seen := map[string]bool{"": true}
	add := func(file string) {
		if !seen[file] {
			seen[file] = true
			files = append(files, file)
		}
	}
	for i := range c.Listeners {
		if t := c.Listeners[i].TLS; t != nil {
			add(t.ClientCA)
			for _, cert := range t.Certs {
				add(cert.ClientCA)
			}
		}
	}
	return files
}

// prepared returns the lists for the TLS engine, nil if none are configured.
func (r revocations) prepared() *tlsconn.Revocations {
	if len(r) == 0 {
		return nil
	}
	var all []*x509.RevocationList
	for _, lists := range r {
		all = append(all, lists...)
	}
	return tlsconn.NewRevocations(all)
}

// startRevocations reads the lists for the first time.
func startRevocations(c *config.Config) (revocations, error) {
	read, failed := readRevocations(c, nil)
	return read, errors.Join(failed...)
}

package node

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"

	"reprise/config"
	"reprise/config/pki"
	"reprise/internal/acme"
)

// openACME makes the ACME client, with the certificates that it already has.
func (n *Node) openACME() error {
	a := &n.config.ACME
	if len(a.Names) == 0 || !slices.ContainsFunc(n.config.Listeners,
		func(l config.Listener) bool { return l.TLS != nil }) {
		return nil
	}
	o := acme.Options{
		Names: a.Names, Directory: a.Directory, Email: a.Email, Storage: a.Storage,
		NoHTTP: a.NoHTTP, NoTLSALPN: a.NoTLSALPN, Changed: n.onIssued,
	}
	if a.CAFile != "" {
		cas, err := pki.ReadCertificates(a.CAFile)
		if err != nil {
			return fmt.Errorf("acme-ca: %w", err)
		}
		o.Roots = x509.NewCertPool()
		for _, ca := range cas {
			o.Roots.AddCert(ca)
		}
	}
	for _, file := range n.config.ClusterSecretFiles {
		secret, err := config.ReadSecret(file)
		if err != nil {
			return fmt.Errorf("cluster-secret-file %s: %w", file, err)
		}
		defer clear(secret)
		o.Secrets = append(o.Secrets, secret)
	}
	var err error
	if n.acme, err = acme.New(o); err == nil {
		n.onClose(n.acme.Close)
	}
	return err
}

// onIssued signals that there is a new certificate. It does not block.
func (n *Node) onIssued() {
	select {
	case n.issued <- struct{}{}:
	default: // it has been signalled
	}
}

// serveIssued serves the current certificates of ACME, beside the others as last read: it reads no
// file.
func (n *Node) serveIssued() {
	fresh := slices.Clone(n.offered)
	names := make(map[string]bool)
	for i, files := range fresh {
		if files == nil {
			continue
		}
		copied := *files
		copied.offers = slices.Clone(files.offers)
		for j := range copied.offers {
			o := &copied.offers[j]
			if !o.ACME {
				continue
			}
			if cert, _ := n.acme.Certificate(o.Name); cert != nil &&
				!cert.Leaf.Equal(o.read.TLS.Leaf) {
				o.read.TLS = *cert
				names[o.Name] = true
			}
		}
		fresh[i] = &copied
	}
	now := n.now().config
	for i, files := range fresh {
		if files == nil {
			continue
		}
		server, err := n.tlsServers(now, &now.Listeners[i], files, n.keys)
		if err == nil {
			err = n.engine.Renew(i, server)
		}
		if err != nil {
			slog.Error("acme: new certificates cannot be served, the previous ones stay in use", "error",
				err)
			return
		}
	}
	n.offered = fresh
	n.setExpiry()
	for name := range names {
		slog.Info("acme: a new certificate is served", "name", name)
	}
}

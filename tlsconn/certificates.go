package tlsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// A Certificate is a chain with its key and the name it is for.
type Certificate struct {
	// Name is the server name (SNI) that selects it: a host name, a
	// wildcard such as "*.example.com", which stands for one label, or ""
	// for clients that name nothing or nothing known.
	Name string
	TLS  tls.Certificate
	// Policy is for handshakes under Name; nil means the server's. All
	// certificates of one name must have the same.
	Policy *Policy
}

// Certificates chooses a certificate for each client. It is immutable and safe
// for concurrent use.
type Certificates struct{ list []Certificate }

// NewCertificates takes certificates in order of preference. Several may have
// one name, for instance ECDSA and RSA: a client gets the first it supports.
// Without one for "" the first of all is the default.
func NewCertificates(list []Certificate) (*Certificates, error) {
	if len(list) == 0 {
		return nil, errors.New("tlsconn: no certificate")
	}
	c := new(Certificates)
	for _, cert := range list {
		if cert.TLS.Leaf == nil || cert.TLS.PrivateKey == nil {
			return nil, fmt.Errorf("tlsconn: certificate for %q: leaf or key is missing", cert.Name)
		}
		cert.Name = strings.ToLower(strings.TrimSuffix(cert.Name, "."))
		for _, other := range c.list {
			if other.Name == cert.Name && other.Policy != cert.Policy {
				return nil, fmt.Errorf("tlsconn: certificates for %q have different policies", cert.Name)
			}
		}
		c.list = append(c.list, cert)
	}
	return c, nil
}

// boundCertificates are the certificates with the keys of one server.
type boundCertificates struct {
	byName   map[string][]*tls.Certificate
	fallback []*tls.Certificate
}

func (c *Certificates) bind(s *Server) *boundCertificates {
	b := &boundCertificates{byName: make(map[string][]*tls.Certificate)}
	for _, cert := range c.list {
		bound := cert.TLS
		bound.PrivateKey = s.offload(bound.PrivateKey)
		b.byName[cert.Name] = append(b.byName[cert.Name], &bound)
	}
	b.fallback = b.byName[""]
	if b.fallback == nil {
		b.fallback = b.byName[c.list[0].Name]
	}
	return b
}

// get implements tls.Config.GetCertificate.
func (b *boundCertificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
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
	// Let crypto/tls find out in which way it does not fit, and say so.
	return candidates[0], nil
}

func (b *boundCertificates) forName(name string) []*tls.Certificate {
	if certs, ok := forName(b.byName, name); ok && name != "" {
		return certs
	}
	return b.fallback
}

// forName finds what is kept for a server name: its own entry, else that of the
// wildcard that covers it.
func forName[T any](byName map[string]T, name string) (found T, ok bool) {
	if len(byName) == 0 {
		return found, false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if found, ok = byName[name]; ok {
		return found, true
	}
	if _, parent, cut := strings.Cut(name, "."); cut {
		found, ok = byName["*."+parent]
	}
	return found, ok
}

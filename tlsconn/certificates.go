package tlsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// A Certificate is a chain with its key and the name it serves.
type Certificate struct {
	// Name is the server name (SNI) that selects it: a host name, a wildcard such as
	// "*.example.com", which stands for one label, or "" for clients that send no name or an
	// unknown one.
	Name string
	TLS  tls.Certificate
	// ForNamedIssuer reserves it for clients that name an issuer of its chain in
	// certificate_authorities (RFC 8446, Section 4.2.4). The engine of crypto/tls, which does not
	// expose those names, refuses it.
	ForNamedIssuer bool
	// Policy is for handshakes under Name; nil means the server's. All certificates of one name
	// must have the same.
	Policy *Policy
}

// Certificates chooses a certificate for each client. It is immutable and safe
// for concurrent use.
type Certificates struct{ list []Certificate }

// NewCertificates takes certificates in order of preference. Several may have one name, for
// instance ECDSA and RSA: a client gets the first it supports, of those before all others whose
// chain leads to a CA that it names. Without one for "" the first of all is the default.
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
				return nil, fmt.Errorf("tlsconn: certificates for %q have different policies",
					cert.Name)
			}
		}
		c.list = append(c.list, cert)
	}
	return c, nil
}

// List returns the certificates, names in lower case without a dot at the end.
// It must not be changed.
func (c *Certificates) List() []Certificate { return c.list }

// Default returns the name whose certificates serve clients that send no name or an unknown one.
func (c *Certificates) Default() string {
	for i := range c.list {
		if c.list[i].Name == "" {
			return ""
		}
	}
	return c.list[0].Name
}

// Known returns the names for which there is a certificate: those that select one, and those in the
// default certificates.
func (c *Certificates) Known() Names[struct{}] {
	known := make(Names[struct{}])
	for i := range c.list {
		cert := &c.list[i]
		if cert.Name != "" {
			known[cert.Name] = struct{}{}
			continue
		}
		for _, name := range cert.TLS.Leaf.DNSNames {
			known[strings.ToLower(strings.TrimSuffix(name, "."))] = struct{}{}
		}
	}
	return known
}

// Admits reports whether a client that asks for name may go on.
func (s NameStrictness) Admits(name string, known Names[struct{}]) bool {
	if s == AnyName || s == NotUnknown && name == "" {
		return true
	}
	_, ok := known.Find(name)
	return ok
}

// Names maps server names, as certificates write them, to values.
type Names[T any] map[string]T

// Find returns the value for a server name: its own entry, else that of the wildcard that covers
// it.
func (n Names[T]) Find(name string) (found T, ok bool) {
	if len(n) == 0 {
		return found, false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if found, ok = n[name]; ok {
		return found, true
	}
	if _, parent, cut := strings.Cut(name, "."); cut {
		found, ok = n["*."+parent]
	}
	return found, ok
}

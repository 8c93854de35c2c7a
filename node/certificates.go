package node

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"reprise/config"
	"reprise/config/pki"
	"reprise/internal/acme"
	"reprise/internal/libcrypto"
	"reprise/tlsconn"
)

// An offer is a certificate that a listener offers: its configuration and its content.
type offer struct {
	config.Certificate
	read tlsconn.Certificate
}

// key tells offers apart: a name may have certificates of several kinds of keys.
func (o *offer) key() string { return o.Name + " " + o.CertFile }

// source says where the certificate is from.
func (o *offer) source() string {
	if o.ACME {
		return "acme:" + o.Name
	}
	return o.CertFile
}

// tlsFiles is the content of the files of one listener.
type tlsFiles struct {
	policy  tlsconn.Policy
	offers  []offer
	revoked *tlsconn.Revocations // of all its policies
	lost    []string             // missing files of client CAs that are still in force
}

// sources are the parts from which the TLS of all listeners is made.
type sources struct {
	revoked *tlsconn.Revocations
	acme    *acme.Client // nil if no certificate comes by ACME
	// pairs are the pairs read so far: listeners that share files offer the same, even while a tool
	// is replacing them.
	pairs map[pairFiles]readPair
}

type pairFiles struct{ cert, key string }

type readPair struct {
	cert tls.Certificate
	err  error
}

func newSources(revoked *tlsconn.Revocations, acme *acme.Client) sources {
	return sources{revoked, acme, make(map[pairFiles]readPair)}
}

// pair reads a certificate with its key, once.
func (s sources) pair(files pairFiles) (tls.Certificate, error) {
	r, known := s.pairs[files]
	if !known {
		var pair *pki.Pair
		if pair, r.err = pki.ReadPair(files.cert, files.key); r.err == nil {
			r.cert = pair.Certificate
		}
		s.pairs[files] = r
	}
	return r.cert, r.err
}

func (s sources) certificate(c config.Certificate) (tlsconn.Certificate, error) {
	if !c.ACME {
		cert, err := s.pair(pairFiles{c.CertFile, c.KeyFile})
		return tlsconn.Certificate{Name: c.Name, TLS: cert}, err
	}
	if s.acme == nil {
		return tlsconn.Certificate{}, errors.New(c.Name + ": certificates by acme need a restart")
	}
	cert, _ := s.acme.Certificate(c.Name)
	if cert == nil {
		return tlsconn.Certificate{}, errors.New(c.Name + ": no certificate is got for it: restart")
	}
	return tlsconn.Certificate{Name: c.Name, TLS: *cert}, nil
}

// readTLS reads the files of a listener. With old, which it serves already, a certificate or an
// authority that cannot be read harms only itself: refused has the error, and the one that old has
// in its place stays; without one it is left out. The certificates in gone are no longer named
// because they cannot be read, and stay too.
func readTLS(l *config.TLS, from sources, old *tlsFiles,
	gone []config.Unusable,
) (files *tlsFiles, refused []error, err error) {
	files = &tlsFiles{revoked: from.revoked}
	if files.policy, err = files.loadPolicy(l.Policy); err != nil && old == nil {
		return nil, nil, err
	} else if err != nil {
		files.policy.ClientAuth, files.policy.ClientCAs = old.policy.ClientAuth,
			old.policy.ClientCAs
		files.policy.Revocations = files.revocationsFor(old.policy.ClientAuth)
		refused, err = append(refused, err), nil
	}
	policies := make(map[string]*tlsconn.Policy) // by name: all certificates of a name share one
	var failed []string
	for _, c := range l.Certs {
		if was := old.lostAuthority(l, &c); was != nil {
			if c.Policy = was.Policy; policies[c.Name] == nil {
				files.keepPolicy(was, policies)
				files.lost = append(files.lost, c.ClientCA)
			}
		}
		o := offer{Certificate: c}
		var policy *tlsconn.Policy
		if !samePolicy(c.Policy, l.Policy) {
			policy, err = files.policyOf(c, policies)
		}
		if err == nil {
			o.read, err = from.certificate(c)
			o.read.Policy = policy
		}
		switch {
		case err == nil:
			files.offers = append(files.offers, o)
		case old == nil:
			return nil, nil, err
		default:
			refused, failed, err = append(refused, err), append(failed, c.CertFile), nil
		}
	}
	if old == nil {
		return files, nil, nil
	}
	for _, u := range gone {
		failed = append(failed, u.CertFile)
	}
	for _, certFile := range failed {
		files.keep(old, certFile, policies)
	}
	if len(files.offers) == 0 {
		return nil, nil, errors.Join(refused...)
	}
	return files, refused, nil
}

// policyOf returns the policy of c's name, which is read once.
func (f *tlsFiles) policyOf(c config.Certificate,
	policies map[string]*tlsconn.Policy,
) (*tlsconn.Policy, error) {
	if p := policies[c.Name]; p != nil {
		return p, nil
	}
	p, err := f.loadPolicy(c.Policy)
	if err != nil {
		return nil, err
	}
	policies[c.Name] = &p
	return &p, nil
}

// keep takes over the offers of a file that old has and f lacks, with the current policy of their
// names: two certificates of a name cannot have different ones.
func (f *tlsFiles) keep(old *tlsFiles, certFile string, policies map[string]*tlsconn.Policy) {
	for _, o := range old.offers {
		if o.CertFile != certFile || slices.ContainsFunc(f.offers,
			func(n offer) bool { return n.key() == o.key() }) {
			continue
		}
		if i := slices.IndexFunc(f.offers, func(n offer) bool { return n.Name == o.Name }); i >= 0 {
			o.read.Policy = f.offers[i].read.Policy
		} else if p := policies[o.Name]; p != nil {
			o.read.Policy = p
		} else if o.read.Policy != nil {
			o.read.Policy = f.keepPolicy(&o, policies)
		}
		f.offers = append(f.offers, o)
	}
}

// keepPolicy takes over the policy of an offer, with the current revocations.
func (f *tlsFiles) keepPolicy(o *offer, policies map[string]*tlsconn.Policy) *tlsconn.Policy {
	p := *o.read.Policy
	p.Revocations = f.revocationsFor(p.ClientAuth)
	policies[o.Name] = &p
	return &p
}

// lostAuthority returns the offer of f under the name of c with a client CA from a directory of
// names, if its file is missing and nothing else is stated for the name now. The file may be about
// to be written anew, or it was removed by mistake: clients must show a certificate of it until a
// restart.
func (f *tlsFiles) lostAuthority(l *config.TLS, c *config.Certificate) *offer {
	if f == nil || c.ClientCA != l.ClientCA || c.ClientCARequired != l.ClientCARequired {
		return nil
	}
	for i := range f.offers {
		o := &f.offers[i]
		if o.Name != c.Name || o.read.Policy == nil || o.ClientCA == "" ||
			o.ClientCA != strings.TrimSuffix(o.CertFile, ".crt")+".ca" {
			continue
		}
		if _, err := os.Lstat(o.ClientCA); errors.Is(err, fs.ErrNotExist) {
			return o
		}
	}
	return nil
}

// laxer returns the names that ask clients for less than before, including removed names, which are
// served under the listener's policy: an operator may have meant it, or a tool may be about to
// write the file of authorities anew.
func laxer(old, fresh *tlsFiles) (names []string) {
	asks := func(f *tlsFiles, name string) tlsconn.ClientAuth {
		for i := range f.offers {
			if o := &f.offers[i]; o.Name == name && o.read.Policy != nil {
				return o.read.Policy.ClientAuth
			} else if o.Name == name {
				break
			}
		}
		return f.policy.ClientAuth
	}
	for i := range old.offers {
		name := old.offers[i].Name
		if asks(fresh, name) < asks(old, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// changes counts how the certificates of a listener changed.
type changes struct{ Added, Renewed, Removed, Kept int }

// Either may be nil, for a listener that does not exist.
func (c *changes) count(old, fresh *tlsFiles) {
	before := make(map[string]*x509.Certificate)
	for _, o := range old.all() {
		before[o.key()] = o.read.TLS.Leaf
	}
	for _, o := range fresh.all() {
		switch was := before[o.key()]; {
		case was == nil:
			c.Added++
		case was.Equal(o.read.TLS.Leaf):
			c.Kept++
		default:
			c.Renewed++
		}
		delete(before, o.key())
	}
	c.Removed += len(before)
}

// tlsConfig is a listener's TLS configuration without the parts that each loop adds.
func (n *Node) tlsConfig(now *config.Config, l *config.TLS,
	files *tlsFiles,
) (*tlsconn.Config, error) {
	c := &tlsconn.Config{
		Policy:     files.policy,
		MinVersion: now.MinVersion,
		ALPN:       l.ALPN,
		Strict:     strictness[now.NameStrictness],
		Context:    l.SessionContext,
		Lifetime:   n.config.SessionTimeout,
		SingleUse:  n.config.SingleUse,
		Tickets:    now.SessionTickets,
		Owner:      tlsconn.NodeID(n.id.Short()),
	}
	if n.sessions != nil {
		c.Sessions, c.Life = n.sessions, n.sessions.Now
	}
	if n.workers != nil {
		c.Workers = n.workers
	}
	if n.acme != nil {
		c.Challenges = n.acme
	}
	var err error
	c.Certificates, err = files.certificates()
	return c, err
}

var strictness = map[config.NameStrictness]tlsconn.NameStrictness{
	config.AnyName: tlsconn.AnyName, config.NotUnknown: tlsconn.NotUnknown,
	config.OnlyKnown: tlsconn.OnlyKnown,
}

// certificates returns the offers for the TLS engine.
func (f *tlsFiles) certificates() (*tlsconn.Certificates, error) {
	var certs []tlsconn.Certificate
	for i := range f.offers {
		cert := f.offers[i].read
		if key, ok := cert.TLS.PrivateKey.(crypto.Signer); ok {
			cert.TLS.PrivateKey = libcrypto.Signer(key)
		}
		certs = append(certs, cert)
	}
	return tlsconn.NewCertificates(validFirst(certs, time.Now()))
}

// validFirst returns the certificates with those that are not valid now behind the others of their
// name, because the first that suits the client is served.
func validFirst(certs []tlsconn.Certificate, now time.Time) []tlsconn.Certificate {
	for i := range certs {
		valid := slices.IndexFunc(certs[i:], func(c tlsconn.Certificate) bool {
			return c.Name == certs[i].Name && pki.Valid(c.TLS.Leaf, now)
		})
		if valid > 0 {
			// The order of names stays: clients that ask for an unknown name get the first.
			certs[i], certs[i+valid] = certs[i+valid], certs[i]
		}
	}
	return certs
}

// all returns the offers of f, which may be nil.
func (f *tlsFiles) all() []offer {
	if f == nil {
		return nil
	}
	return f.offers
}

// revocationsFor returns the revocations to check clients of a policy against.
func (f *tlsFiles) revocationsFor(a tlsconn.ClientAuth) *tlsconn.Revocations {
	if a == tlsconn.NoClientCert {
		return nil
	}
	return f.revoked
}

func (f *tlsFiles) loadPolicy(p config.Policy) (tlsconn.Policy, error) {
	loaded := tlsconn.Policy{CipherSuites: p.Ciphers}
	if p.ClientCA == "" {
		return loaded, nil
	}
	loaded.ClientAuth = tlsconn.OptionalClientCert
	if p.ClientCARequired {
		loaded.ClientAuth = tlsconn.RequireClientCert
	}
	loaded.Revocations = f.revocationsFor(loaded.ClientAuth)
	var err error
	if loaded.ClientCAs, err = pki.ReadCertificates(p.ClientCA); err != nil {
		return loaded, fmt.Errorf("client CA: %w", err)
	}
	return loaded, nil
}

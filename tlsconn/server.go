package tlsconn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash"
	"slices"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
	"reprise/tlsconn/wire"
)

// A server is our engine for one listener on one loop. Data that its connections need only within a
// step are scratch here: none of it is meant to outlive a step, and its secrets are wiped when the
// step ends.
type server struct {
	config  Config
	hosts   Names[*host]
	other   *host           // for names without their own
	bare    *policy         // for authorities, nil without Challenges
	known   Names[struct{}] // those for which there is a certificate
	sealer  *Sealer
	counts  *Counts
	clients *ClientPolicies
	groups  []primitive.Group

	scoped scoped // cached, since most clients ask for the same name

	longHellos int // handshakes under way that began with one, see table.go

	spares [][]byte       // see input.go
	hashes [2][]hash.Hash // transcripts for reuse, by primitive.Hash

	scratch
}

// scratch is the memory for a handshake step.
type scratch struct {
	out      []byte // the current call's output; takeOut ends it
	flight   []byte // handshake messages to be sealed together
	state    []byte // a session's state, encoded
	small    []byte // a message, a share, a handle
	hello    wire.ClientHello
	chain    wire.Chain
	record   record.Scratch
	kdf      schedule.Scratch
	exchange primitive.Exchange
	random   [wire.RandomLen]byte
	secret   [primitive.MaxHashLen]byte
	verify   [primitive.MaxHashLen]byte
	sum      [primitive.MaxHashLen]byte
	digest   [primitive.MaxDigestLen]byte
	key      [primitive.MaxKeyLen]byte
	iv       [primitive.NonceLen]byte
	alert    [2]byte
}

// maxHashes bounds the transcripts kept for later handshakes, of each kind.
const maxHashes = 64

// New makes a server of our engine. Errors are usage errors: the program put c
// together wrongly.
func New(c Config) (Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	// It decides which implementation is used; one that differs from the standard library is not.
	// The program that starts logs the error.
	_ = primitive.SelfCheck()
	s := &server{config: c, hosts: Names[*host]{}, counts: new(Counts), groups: c.Groups}
	s.clients = NewClientPolicies(&s.config)
	if s.groups == nil {
		s.groups = defaultGroups
	}
	if c.Sessions != nil {
		s.sealer = c.Handles.Sealer()
	}
	byName := map[string]*host{}
	policies := map[*Policy]*policy{}
	for i := range c.Certificates.List() {
		cert := &c.Certificates.List()[i]
		h := byName[cert.Name]
		if h == nil {
			p, err := policyOf(policies, &c, cert.Policy)
			if err != nil {
				return nil, err
			}
			h = &host{policy: p}
			byName[cert.Name] = h
		}
		id, err := newIdentity(cert)
		if err != nil {
			return nil, err
		}
		h.identities = append(h.identities, id)
	}
	s.other = byName[c.Certificates.Default()]
	if s.other.policy.own != nil && c.Certificates.Default() != "" {
		// The first certificate serves other names too, but its policy applies only to its own
		// name.
		p, err := policyOf(policies, &c, nil)
		if err != nil {
			return nil, err
		}
		s.other = &host{policy: p, identities: s.other.identities}
	}
	for name, h := range byName {
		if name != "" {
			s.hosts[name] = h
		}
	}
	s.known = c.Certificates.Known()
	if c.Challenges != nil {
		var err error
		if s.bare, err = policyOf(policies, &c, new(Policy)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// defaultGroups are the groups in order of preference.
var defaultGroups = []primitive.Group{
	primitive.X25519MLKEM768, primitive.X25519, primitive.P256, primitive.P384, primitive.X448,
}

// Counts implements Server.
func (s *server) Counts() *Counts { return s.counts }

// ClientPolicies implements Server.
func (s *server) ClientPolicies() *ClientPolicies { return s.clients }

// Succeed implements Server.
func (s *server) Succeed(old Server) { s.counts = old.Counts() }

// Close implements Server.
func (s *server) Close() {
	s.spares, s.hashes = nil, [2][]hash.Hash{}
	s.scratch = scratch{}
}

// begin starts a step whose output is appended to out. Remains of a step that panicked, and from
// which the caller recovered, must not get into this one.
func (s *server) begin(out []byte) {
	s.out, s.flight = out, s.flight[:0]
}

func (s *server) takeOut() []byte {
	out := s.out
	s.out = nil
	return out
}

// wipe clears the secrets of the step that ends. Other data are overwritten by the next step.
func (s *server) wipe() {
	s.kdf.Clear()
	s.exchange.Clear()
	clear(s.secret[:])
	clear(s.verify[:])
	clear(s.state)
}

// takeHash returns an empty transcript.
func (s *server) takeHash(h primitive.Hash) hash.Hash {
	list := s.hashes[h]
	if len(list) == 0 {
		return h.New()
	}
	t := list[len(list)-1]
	s.hashes[h] = list[:len(list)-1]
	t.Reset()
	return t
}

func (s *server) returnHash(h primitive.Hash, t hash.Hash) {
	if len(s.hashes[h]) < maxHashes {
		s.hashes[h] = append(s.hashes[h], t)
	}
}

// A host is the common data of one name's certificates.
type host struct {
	policy     *policy
	identities []*identity // in order of preference
}

// hostFor returns the host of a server name.
func (s *server) hostFor(name string) *host {
	if name != "" {
		if h, ok := s.hosts.Find(name); ok {
			return h
		}
	}
	return s.other
}

// choose returns the first certificate that fits, nil if none does: if the client names CAs, the
// first of theirs, and of all only if there is none, for a client may know more CAs than it names
// (RFC 8446, Section 4.2.4).
func (h *host) choose(ch *wire.ClientHello, fits func(*identity) bool) *identity {
	if len(ch.Authorities) > 0 {
		for _, id := range h.identities {
			if slices.ContainsFunc(id.issuers, ch.HasAuthority) && fits(id) {
				return id
			}
		}
	}
	for _, id := range h.identities {
		if !id.forNamedIssuer && fits(id) {
			return id
		}
	}
	return nil
}

// A policy is a prepared Policy.
type policy struct {
	own        *Policy // nil: the listener's
	scope      PolicyScope
	client     ClientPolicy
	suites12   []*primitive.Suite
	clientAuth ClientAuth
	roots      *x509.CertPool
	cas        []*x509.Certificate // of roots
	revoked    *Revocations
	request13  []byte // CertificateRequest
	request12  []byte
}

func policyOf(made map[*Policy]*policy, c *Config, own *Policy) (*policy, error) {
	if p := made[own]; p != nil {
		return p, nil
	}
	from := own
	if own == nil {
		from = &c.Policy
	}
	p := &policy{own: own, scope: NewPolicyScope(c, from), clientAuth: from.ClientAuth}
	p.client = p.scope.ClientPolicy()
	for _, suite := range primitive.Suites12 {
		if from.CipherSuites == nil || slices.Contains(from.CipherSuites, suite.ID) {
			p.suites12 = append(p.suites12, suite)
		}
	}
	if p.clientAuth != NoClientCert {
		p.roots, p.cas, p.revoked = x509.NewCertPool(), from.ClientCAs, from.Revocations
		var names [][]byte
		for _, ca := range from.ClientCAs {
			p.roots.AddCert(ca)
			names = append(names, ca.RawSubject)
		}
		var err error
		if p.request13, err = wire.AppendCertificateRequest13(nil, clientSchemes13, names); err == nil {
			p.request12, err = wire.AppendCertificateRequest12(nil, clientSchemes12, names)
		}
		if err != nil {
			return nil, fmt.Errorf("tlsconn: client CAs: %w", err)
		}
	}
	made[own] = p
	return p, nil
}

// An identity is a prepared certificate with its key.
type identity struct {
	key                  crypto.Signer
	slow                 bool     // key workers make signatures
	ecdsa                bool     // the kind of suites it needs in TLS 1.2
	curve                uint16   // of an ECDSA key, as in supported_groups
	issuers              [][]byte // distinguished names, of each certificate's issuer
	forNamedIssuer       bool
	message13, message12 []byte // Certificate
	schemes13, schemes12 []primitive.Scheme
}

// curveIDs are the numbers of curves in supported_groups (RFC 8422, Section 5.1.1).
var curveIDs = map[elliptic.Curve]uint16{
	elliptic.P256(): 23, elliptic.P384(): 24,
	elliptic.P521(): 25,
}

func newIdentity(cert *Certificate) (*identity, error) {
	key, isSigner := cert.TLS.PrivateKey.(crypto.Signer)
	if !isSigner {
		return nil, fmt.Errorf("tlsconn: certificate for %q: the key cannot sign", cert.Name)
	}
	pub := key.Public()
	_, isRSA := pub.(*rsa.PublicKey)
	id := &identity{
		key: key, slow: SignsSlowly(key), ecdsa: !isRSA, issuers: issuers(&cert.TLS),
		forNamedIssuer: cert.ForNamedIssuer,
		schemes13:      primitive.SchemesFor(pub, true),
		schemes12:      primitive.SchemesFor(pub, false),
	}
	if key, isECDSA := pub.(*ecdsa.PublicKey); isECDSA {
		id.curve = curveIDs[key.Curve]
	}
	if allowed := cert.TLS.SupportedSignatureAlgorithms; allowed != nil {
		keep := func(list []primitive.Scheme) (kept []primitive.Scheme) {
			for _, a := range allowed {
				if slices.Contains(list, primitive.Scheme(a)) {
					kept = append(kept, primitive.Scheme(a))
				}
			}
			return kept
		}
		id.schemes13, id.schemes12 = keep(id.schemes13), keep(id.schemes12)
	}
	if len(id.schemes12) == 0 {
		return nil, fmt.Errorf("tlsconn: certificate for %q: keys of this kind cannot be used",
			cert.Name)
	}
	var err error
	if id.message13, err = wire.AppendCertificate13(nil, cert.TLS.Certificate); err == nil {
		id.message12, err = wire.AppendCertificate12(nil, cert.TLS.Certificate)
	}
	if err != nil {
		return nil, fmt.Errorf("tlsconn: certificate for %q: %w", cert.Name, err)
	}
	return id, nil
}

// issuers returns the names of the issuers of a chain's certificates.
func issuers(chain *tls.Certificate) [][]byte {
	list := [][]byte{chain.Leaf.RawIssuer}
	for _, der := range chain.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil { // clients may still accept it
			list = append(list, cert.RawIssuer)
		}
	}
	return list
}

// scoped is the scope of one server name under one policy.
type scoped struct {
	valid    bool
	name     string
	policy   *policy
	scope    Scope
	nameHash uint64
}

// scopeOf returns the scope of connections that ask for name.
func (s *server) scopeOf(h *host, name string) *scoped {
	if !s.scoped.valid || s.scoped.name != name || s.scoped.policy != h.policy {
		s.scoped = scoped{valid: true, name: name, policy: h.policy}
		s.scoped.scope, s.scoped.nameHash = h.policy.scope.For(name)
	}
	return &s.scoped
}

package standard

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"

	"reprise/tlsconn"
)

// A Server is a tlsconn.Server whose connections are crypto/tls's.
type Server struct {
	config tlsconn.Config
	host   // for names without a policy of their own
	chains *chains

	challenged *tls.Config // for authorities, nil without Challenges

	hosts  tlsconn.Names[*host] // for the others, as certificates name them
	sealer *tlsconn.Sealer

	named named // cached, since most clients ask for the same name

	idle    []*coroutine
	current *Conn // whose handshake runs now, for crypto/tls's callbacks
	closed  bool

	counts  *tlsconn.Counts
	clients *tlsconn.ClientPolicies
}

// A host is the common data of the names with one policy.
type host struct {
	tls    *tls.Config
	scope  tlsconn.PolicyScope
	client tlsconn.ClientPolicy

	revoked *tlsconn.Revocations
}

// named is the data derived from a client's server name.
type named struct {
	name  string
	host  *host
	scope tlsconn.Scope
	hash  uint64
}

// New checks c and prepares a server. Errors are usage errors: the program put c
// together wrongly.
func New(c tlsconn.Config) (tlsconn.Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	for _, cert := range c.Certificates.List() {
		if cert.ForNamedIssuer {
			return nil, errors.New("tlsconn: crypto/tls does not tell which CAs a client names")
		}
	}
	s := &Server{config: c, hosts: make(tlsconn.Names[*host]), counts: new(tlsconn.Counts)}
	s.clients = tlsconn.NewClientPolicies(&s.config)
	s.chains = bind(c.Certificates, s)
	base := &tls.Config{
		Time:           c.Now,
		MinVersion:     c.MinVersion,
		MaxVersion:     c.MaxVersion,
		NextProtos:     c.ALPN,
		GetCertificate: s.chains.get,
		// Behind a relay the size of a write does not indicate urgency; full records cost the
		// fewest instructions, as in every peer.
		DynamicRecordSizingDisabled: true,
		SessionTicketsDisabled:      c.Sessions == nil,
	}
	for _, g := range c.Groups {
		base.CurvePreferences = append(base.CurvePreferences, tls.CurveID(g))
	}
	if c.Sessions != nil {
		s.sealer = c.Handles.Sealer()
		base.WrapSession, base.UnwrapSession = s.wrap, s.unwrap
	}
	s.host = newHost(base, &s.config, &s.config.Policy)
	for _, cert := range c.Certificates.List() {
		if cert.Policy == nil { // a wildcard's is not for this name
			s.hosts[cert.Name] = &s.host
			continue
		}
		h := newHost(base, &s.config, cert.Policy)
		s.hosts[cert.Name] = &h
		s.tls.GetConfigForClient = s.configFor
	}
	if c.Challenges != nil {
		s.challenged = &tls.Config{
			Time: c.Now, MinVersion: c.MinVersion, MaxVersion: c.MaxVersion,
			NextProtos:             []string{tlsconn.ChallengeProtocol},
			SessionTicketsDisabled: true,
		}
		s.tls.GetConfigForClient = s.configFor
	}
	s.rename("")
	return s, nil
}

// newHost applies a policy.
func newHost(base *tls.Config, c *tlsconn.Config, p *tlsconn.Policy) host {
	h := host{tls: base.Clone(), scope: tlsconn.NewPolicyScope(c, p)}
	h.client = h.scope.ClientPolicy()
	h.tls.CipherSuites = p.CipherSuites
	switch p.ClientAuth {
	case tlsconn.OptionalClientCert:
		h.tls.ClientAuth = tls.VerifyClientCertIfGiven
	case tlsconn.RequireClientCert:
		h.tls.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return h
	}
	h.tls.ClientCAs = certPool(p.ClientCAs)
	if h.revoked = p.Revocations; h.revoked != nil {
		h.tls.VerifyPeerCertificate = func(_ [][]byte, chains [][]*x509.Certificate) error {
			if len(chains) == 0 {
				return nil // there is no certificate, which suffices at this point
			}
			return p.Revocations.Check(chains, p.ClientCAs, c.Now())
		}
	}
	return h
}

// configFor implements tls.Config.GetConfigForClient.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.challenged != nil && slices.Equal(hello.SupportedProtos,
		[]string{tlsconn.ChallengeProtocol}) {
		if cert := s.config.Challenges.Challenge(hello.ServerName); cert != nil {
			c := s.challenged.Clone()
			c.Certificates = []tls.Certificate{*cert}
			return c, nil
		}
	}
	return s.hostFor(hello.ServerName).tls, nil
}

// hostFor returns the host of a name, by default the server's own.
func (s *Server) hostFor(serverName string) *host {
	if h, ok := s.hosts.Find(serverName); ok {
		return h
	}
	if h, ok := s.hosts[""]; ok {
		return h
	}
	return &s.host
}

// Counts implements tlsconn.Server.
func (s *Server) Counts() *tlsconn.Counts { return s.counts }

// ClientPolicies implements tlsconn.Server.
func (s *Server) ClientPolicies() *tlsconn.ClientPolicies { return s.clients }

// Succeed implements tlsconn.Server.
func (s *Server) Succeed(old tlsconn.Server) { s.counts = old.Counts() }

// Close implements tlsconn.Server.
func (s *Server) Close() {
	s.closed = true
	for _, co := range s.idle {
		co.stop()
	}
	s.idle = nil
}

// names returns the data derived from serverName.
func (s *Server) names(serverName string) *named {
	if serverName != s.named.name {
		s.rename(serverName)
	}
	return &s.named
}

func (s *Server) rename(serverName string) {
	h := s.hostFor(serverName)
	s.named = named{name: serverName, host: h}
	s.named.scope, s.named.hash = h.scope.For(serverName)
}

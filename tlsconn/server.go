package tlsconn

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// ClientAuth is what is asked of clients.
type ClientAuth uint8

const (
	NoClientCert ClientAuth = iota // clients are not asked for a certificate
	// OptionalClientCert asks, accepts none, and verifies what is given.
	OptionalClientCert
	// RequireClientCert refuses clients without a valid certificate.
	RequireClientCert
)

// Policy is what clients must meet, perhaps different for each server name.
type Policy struct {
	CipherSuites []uint16 // for TLS 1.2; nil means crypto/tls's choice
	ClientAuth   ClientAuth
	ClientCAs    []*x509.Certificate // who may sign client certificates
}

// Config is what the connections of one listener on one loop share.
type Config struct {
	Policy       // for names whose certificates state none
	Certificates *Certificates
	MinVersion   uint16   // as on the wire; 0 means TLS 1.2
	ALPN         []string // in order of preference; nil means that none is negotiated

	// Sessions keeps the sessions; nil turns resumption off.
	Sessions Sessions
	Handles  *HandleKeys
	Owner    NodeID
	// Context separates sessions that otherwise look alike, as uWSGI's
	// https-session-context.
	Context string
	// Lifetime is how long a session may be resumed, counted from its full
	// handshake however often it is renewed.
	Lifetime time.Duration
	// SingleUse lets each session be resumed once. That ends replay and
	// tracking by the ticket, at the price of full handshakes for clients
	// that use one session for several connections.
	SingleUse bool

	// Workers makes RSA signatures elsewhere; nil makes them on the loop.
	Workers Workers
	// Now is the loop's clock.
	Now func() time.Time
}

func (c *Config) minVersion() uint16 {
	if c.MinVersion == 0 {
		return tls.VersionTLS12
	}
	return c.MinVersion
}

// A Server makes the connections of one listener on one loop. It and they
// belong to the loop's goroutine; only Stats may be called from elsewhere.
type Server struct {
	config Config
	host                    // for names without a policy of their own
	hosts  map[string]*host // for the others, as certificates name them
	sealer *handleSealer

	named  string // the server name that scoped is for
	scoped scope  // remembered, since most clients ask for the same name

	idle    []*coroutine
	spares  [][]byte // see buffers.go
	current *Conn    // whose handshake runs now, for crypto/tls's callbacks
	closed  bool

	counts *counts
}

// A host is what the names share that have one policy.
type host struct {
	tls   *tls.Config
	scope [scopeParts][]byte // but for scopeName
}

// NewServer checks c and prepares a server. Errors are usage errors: the
// program put c together wrongly.
func NewServer(c Config) (*Server, error) {
	switch {
	case c.Certificates == nil || len(c.Certificates.list) == 0:
		return nil, errors.New("tlsconn: no certificate")
	case c.Now == nil:
		return nil, errors.New("tlsconn: no clock")
	case c.Sessions != nil && (c.Handles == nil || c.Lifetime <= 0):
		return nil, errors.New("tlsconn: sessions need handle keys and a lifetime")
	}
	s := &Server{config: c, hosts: make(map[string]*host), counts: new(counts)}
	base := &tls.Config{
		Time:           c.Now,
		MinVersion:     c.minVersion(),
		NextProtos:     c.ALPN,
		GetCertificate: c.Certificates.bind(s).get,
		// Behind a relay the size of a write says nothing about urgency;
		// full records cost the fewest instructions, as in every peer.
		DynamicRecordSizingDisabled: true,
		SessionTicketsDisabled:      c.Sessions == nil,
	}
	if c.Sessions != nil {
		s.sealer = c.Handles.sealer()
		base.WrapSession, base.UnwrapSession = s.wrap, s.unwrap
	}
	own, err := newHost(base, &c, &c.Policy)
	if err != nil {
		return nil, err
	}
	s.host = *own
	for _, cert := range c.Certificates.list {
		if cert.Policy == nil { // a wildcard's is not for this name
			s.hosts[cert.Name] = &s.host
			continue
		}
		if s.hosts[cert.Name], err = newHost(base, &c, cert.Policy); err != nil {
			return nil, err
		}
		s.tls.GetConfigForClient = s.configFor
	}
	s.rescope("")
	return s, nil
}

// newHost applies a policy.
func newHost(base *tls.Config, c *Config, p *Policy) (*host, error) {
	h := &host{tls: base.Clone(), scope: serverScope(c, p)}
	h.tls.CipherSuites = p.CipherSuites
	switch p.ClientAuth {
	case OptionalClientCert:
		h.tls.ClientAuth = tls.VerifyClientCertIfGiven
	case RequireClientCert:
		h.tls.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return h, nil
	}
	if len(p.ClientCAs) == 0 {
		return nil, errors.New("tlsconn: client certificates asked for, but no CA to verify them")
	}
	h.tls.ClientCAs = certPool(p.ClientCAs)
	return h, nil
}

// configFor implements tls.Config.GetConfigForClient.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	return s.hostFor(hello.ServerName).tls, nil
}

// hostFor returns the host of a name, the server's own if it has no other.
func (s *Server) hostFor(serverName string) *host {
	if h, ok := forName(s.hosts, serverName); ok {
		return h
	}
	if h, ok := s.hosts[""]; ok {
		return h
	}
	return &s.host
}

// Succeed makes s count on where old has counted, whose place it takes. It must be
// called before s has connections, on their goroutine.
func (s *Server) Succeed(old *Server) { s.counts = old.counts }

// Close releases what the server keeps for handshakes to come. Its connections
// must have been aborted or be past their handshake.
func (s *Server) Close() {
	s.closed = true
	for _, co := range s.idle {
		co.stop()
	}
	s.idle, s.spares = nil, nil
}

// scopeOf returns the scope of a connection that asks for serverName.
func (s *Server) scopeOf(serverName string) *scope {
	if serverName != s.named {
		s.rescope(serverName)
	}
	return &s.scoped
}

func (s *Server) rescope(serverName string) {
	s.named, s.scoped = serverName, scopeFor(s.hostFor(serverName).scope, serverName)
}

// offload returns key, or one that signs on a key worker.
func (s *Server) offload(key crypto.PrivateKey) crypto.PrivateKey {
	signer, ok := key.(*rsa.PrivateKey)
	if !ok || s.config.Workers == nil {
		return key // ECDSA and Ed25519 take less than handing over
	}
	return &offloaded{Signer: signer, server: s}
}
